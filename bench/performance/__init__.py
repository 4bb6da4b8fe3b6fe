"""How fast the exporter is, and how small: `make bench` writes docs/performance.md."""
