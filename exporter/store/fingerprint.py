"""A fingerprint of the settings that shape a history: records that were made by others are of no use. Pure."""

import hashlib
from dataclasses import fields

import msgspec

from exporter.history.window import Rules

DIGITS = 16


def fingerprint(provider: str, url: str, rules: Rules) -> str:
    """The fingerprint of what a source reads from, and of the rules by which it is remembered.

    A rule at its default is left out: one that a later version adds must not make all counters begin anew.
    """
    ours = {field.name: getattr(rules, field.name) for field in fields(rules)}
    changed = {field.name: ours[field.name] for field in fields(rules) if ours[field.name] != field.default}
    shaped = msgspec.msgpack.encode([provider, url, changed], order="deterministic")
    return hashlib.sha256(shaped).hexdigest()[:DIGITS]
