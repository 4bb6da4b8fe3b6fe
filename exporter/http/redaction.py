"""Texts of a provider without the tokens that they may repeat, in whatever encoding."""

import base64
import html
import re
from functools import lru_cache
from typing import Final

SHORTEST: Final = 8
"""Characters. A shorter text is no token, and to redact it would hide parts of ordinary words."""
REPLACEMENT: Final = "[token]"

_LONGEST = 256
"""Characters of a token that are searched for; what follows them without a space is redacted too."""


def redacted(text: str, secrets: tuple[str, ...]) -> str:
    """`text` with `[token]` in place of each secret.

    A secret is found in upper or lower case, percent-encoded, as HTML or JSON escapes it, in hexadecimal and in base64,
    also within a longer text that was encoded as a whole.
    """
    pattern = _pattern(secrets)
    return pattern.sub(REPLACEMENT, text) if pattern else text


def holds_secret(text: str, secrets: tuple[str, ...]) -> bool:
    """Whether `redacted` would change it."""
    pattern = _pattern(secrets)
    return pattern is not None and pattern.search(text) is not None


@lru_cache(maxsize=64)  # one for each token in use; to compile it takes a millisecond
def _pattern(secrets: tuple[str, ...]) -> re.Pattern[str] | None:
    long_enough = sorted({secret for secret in secrets if len(secret) >= SHORTEST}, key=len, reverse=True)
    alternatives = [alternative for secret in long_enough for alternative in _alternatives(secret)]
    return re.compile("|".join(alternatives), re.IGNORECASE) if alternatives else None


def _alternatives(secret: str) -> list[str]:
    """Regular expressions for the ways to write a secret."""
    rest = r"\S*" if len(secret) > _LONGEST else ""
    secret = secret[:_LONGEST]
    raw = secret.encode("utf-8", "surrogatepass")
    encoded = [_base64(raw, before) for before in range(3)]
    return [f"{written}{rest}" for written in ("".join(map(_character, secret)), *encoded, raw.hex())]


def _base64(raw: bytes, before: int) -> str:
    """The base64 of bytes that stand behind `before` others, modulo 3, without the characters that these share."""
    text = base64.b64encode(bytes(before) + raw).decode()
    whole = text[-(-before * 8 // 6) : (before + len(raw)) * 8 // 6]
    return "".join(map(_character_of_base64, whole)) + r"(?:[A-Za-z0-9+/_-]{0,2}(?:=|%3D|%253D){1,2})?"


def _character_of_base64(character: str) -> str:
    return {"+": f"(?:{_character('+')}|-)", "/": f"(?:{_character('/')}|_)"}.get(character, character)


def _character(character: str) -> str:
    """A character as it is, percent-encoded once or twice, or as HTML or JSON escapes it."""
    if character.isalnum() and character.isascii():
        # Few encode these, and a short expression is a fast one.
        return f"(?:{character}|{_escapes(character)})"
    names = {html.escape(character), f"\\{character}"}
    return f"(?:{re.escape(character)}|{'|'.join(map(re.escape, sorted(names)))}|{_escapes(character)})"


def _escapes(character: str) -> str:
    percent = "".join(f"%(?:25)?{byte:02x}" for byte in character.encode("utf-8", "surrogatepass"))
    code = ord(character)
    return rf"{percent}|&\#(?:0*{code}|x0*{code:x});|\\u{code:04x}"
