"""`python -m exporter`: the command `ci-build-exporter`."""

from exporter.cli.main import main

main()
