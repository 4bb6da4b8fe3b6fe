"""What all tests share."""

import hypothesis

# A busy machine is no fault of the code; what a test may take as a whole is bounded by pytest-timeout.
hypothesis.settings.register_profile("exporter", deadline=None, print_blob=True)
hypothesis.settings.load_profile("exporter")
