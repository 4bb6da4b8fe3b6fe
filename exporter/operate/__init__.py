"""What an operator does by hand: list builds, show them and their logs, cancel and retry them.

Nothing that serves imports this package.
"""

from exporter.operate.address import reference_of, target_of
from exporter.operate.changing import cancel, check_cancelable, check_retryable, retry
from exporter.operate.operator import BuildList, Operator, operator_for
from exporter.operate.waiting import follow, wait
from exporter.providers.operations import BuildDetails

__all__ = [
    "BuildDetails",
    "BuildList",
    "Operator",
    "cancel",
    "check_cancelable",
    "check_retryable",
    "follow",
    "operator_for",
    "reference_of",
    "retry",
    "target_of",
    "wait",
]
