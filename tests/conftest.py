"""What all tests share."""

import os
from collections.abc import Iterator

import hypothesis
import pytest
import structlog

# A busy machine is no fault of the code; what a test may take as a whole is bounded by pytest-timeout.
# In CI the same examples come each time: what chance finds is for whoever runs the tests by hand.
hypothesis.settings.register_profile(
    "exporter", deadline=None, print_blob=True, derandomize=os.environ.get("CI") == "true"
)
hypothesis.settings.load_profile("exporter")


@pytest.fixture(autouse=True)
def _log_as_at_the_start() -> Iterator[None]:
    """A command that runs in the process of a test configures the log, as it should; the next test is none of it."""
    yield
    structlog.reset_defaults()
