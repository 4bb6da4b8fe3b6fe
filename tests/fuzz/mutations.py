"""Valid documents, changed at random places into what nobody expects."""

import copy
from collections.abc import Iterator
from random import Random
from typing import Any

ODD: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1 << 63,
    1 << 70,
    1e308,
    -0.0,
    1e-320,
    "",
    " ",
    ".",
    "..",
    "\x00",
    "\u2028",
    "\ud83d",
    'a"b\\c\nd',
    "{{ 7 * 7 }}<script>",
    "main" * 100,
    "2026-02-30T99:99:99Z",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59+14:00",
    "1970-01-01T00:00:00Z",
    "٣",
    [],
    {},
    [[[[[[]]]]]],
    {"id": {"id": {"id": 1}}},
)


def places(document: Any) -> Iterator[tuple[Any, Any]]:
    """Each container with each of its keys or indices."""
    if isinstance(document, dict | list):
        for key, value in list(document.items() if isinstance(document, dict) else enumerate(document)):
            yield document, key
            yield from places(value)


def mutated(document: Any, dice: Random) -> Any:
    """A copy in which up to four values are replaced, removed, repeated or exchanged."""
    document = copy.deepcopy(document)
    for _ in range(dice.randint(1, 4)):
        found = list(places(document))
        if not found:
            return dice.choice(ODD)
        (container, key), (other, other_key) = dice.choice(found), dice.choice(found)
        match dice.randrange(5):
            case 0:
                container.pop(key)
            case 1:
                container[key] = copy.deepcopy(other[other_key])
            case 2 if isinstance(container, list):
                container.insert(dice.randint(0, len(container)), copy.deepcopy(container[key]))
            case _:
                container[key] = copy.deepcopy(dice.choice(ODD))
    return document


def bytes_mutated(content: bytes, dice: Random) -> bytes:
    """The bytes with up to four pieces removed, repeated, replaced or moved."""
    for _ in range(dice.randint(1, 4)):
        begin, end = sorted((dice.randint(0, len(content)), dice.randint(0, len(content))))
        end = min(end, begin + dice.choice((1, 2, 8, 200)))
        piece = content[begin:end]
        match dice.randrange(4):
            case 0:
                content = content[:begin] + content[end:]
            case 1:
                content = content[:end] + piece + content[end:]
            case 2:
                content = content[:begin] + dice.randbytes(len(piece)) + content[end:]
            case _:
                at = dice.randint(0, len(content))
                content = content[:at] + piece + content[at:]
    return content
