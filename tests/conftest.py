"""What all tests share."""

import os

import hypothesis

# A busy machine is no fault of the code; what a test may take as a whole is bounded by pytest-timeout.
# In CI the same examples come each time: what chance finds is for whoever runs the tests by hand.
hypothesis.settings.register_profile(
    "exporter", deadline=None, print_blob=True, derandomize=os.environ.get("CI") == "true"
)
hypothesis.settings.load_profile("exporter")
