"""What an operator does by hand: look at builds, cancel and retry them. Nothing that serves imports it."""

from exporter.operate.address import where
from exporter.operate.changes import Found
from exporter.operate.changing import cancel, cancelable, retry, retryable
from exporter.operate.operator import Operator, Seen, opened

__all__ = ["Found", "Operator", "Seen", "cancel", "cancelable", "opened", "retry", "retryable", "where"]
