"""What can be configured, and reading it from a file."""
