"""A fingerprint of the settings that shape a history: records that were made by others are of no use. Pure."""

import hashlib

import msgspec

from exporter.history.window import Rules

DIGITS = 16


def fingerprint(provider: str, url: str, rules: Rules) -> str:
    """The fingerprint of what a source reads from, and of the rules by which it is remembered."""
    shaped = msgspec.msgpack.encode([provider, url, rules], order="deterministic")
    return hashlib.sha256(shaped).hexdigest()[:DIGITS]
