"""Writes each dashboard to its JSON file: `make dashboards`."""

from pathlib import Path

from mixin.dashboards.written import written

FOLDER = Path(__file__).parent

for name, text in written().items():
    (FOLDER / name).write_text(text)
