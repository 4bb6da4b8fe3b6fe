"""Measurements of the exporter; `make help` names them."""
