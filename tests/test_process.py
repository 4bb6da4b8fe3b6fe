"""What `serve` does to its process, in one of its own: it is for good."""

import subprocess
import sys

from exporter.process import CYCLES

CODE = (
    "import gc; from exporter.process import settle; settle(); print(gc.get_threshold()[0], gc.get_freeze_count() > 0)"
)


def test_what_is_loaded_is_not_searched_for_cycles_and_what_comes_seldom() -> None:
    ended = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == [str(CYCLES), "True"]
