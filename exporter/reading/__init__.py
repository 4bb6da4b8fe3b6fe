"""Polls what is due, commits what the answers change, and shows it: the one place where reading has effects.

A poll becomes a job. A worker runs it and commits to the store without the lock, and then takes the lock to book and
show the result.
"""

from exporter.polling.polls import Discover, PollChanges, PollList, PollTarget
from exporter.reading.changes import read_changes
from exporter.reading.core import Lock, Reading, ReadJob, submit
from exporter.reading.deliveries import delivered
from exporter.reading.lists import discover, read_list
from exporter.reading.restore import Restored
from exporter.reading.targets import read

__all__ = ["Lock", "Reading", "Restored", "delivered", "perform", "submit"]


def perform(reading: Reading, job: ReadJob) -> None:
    """Make the poll of a job, and commit and show what it brings."""
    match job.poll:
        case PollTarget(target):
            read(reading, job, target)
        case PollList(_, name):
            read_list(reading, job, name)
        case PollChanges():
            read_changes(reading, job)
        case Discover():
            discover(reading, job)
