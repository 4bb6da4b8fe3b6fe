"""The machine that measures, and the processes on it."""

import platform
import time
from pathlib import Path

NANO = 1e-9
KIB = 1024.0


def cpu() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def processor_time(pid: int) -> float:
    """Seconds of processor time that the threads of a process have taken; those of threads that ended are not in it."""
    return sum(float(task.read_text().split()[0]) for task in Path(f"/proc/{pid}/task").glob("*/schedstat")) * NANO


def memory(pid: int | str = "self") -> tuple[float, float]:
    """KiB that are resident, and of these the process's own: shared with no other (USS)."""
    fields: dict[str, float] = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, number, *_ = line.split()
        fields[name] = float(number)
    return fields["Rss:"], fields["Private_Clean:"] + fields["Private_Dirty:"]


def idle_share(seconds: float = 1.0) -> float:
    """The share of all processors' time in which they had nothing to do, of 1: how quiet the machine is."""

    def ticks() -> tuple[int, int]:
        numbers = [int(number) for number in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        return numbers[3] + numbers[4], sum(numbers)

    idle, total = ticks()
    time.sleep(seconds)
    idle_after, total_after = ticks()
    return (idle_after - idle) / max(1, total_after - total)
