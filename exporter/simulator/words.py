"""Spellings: Northflank's ids, times, and the words in them."""

from datetime import UTC, datetime
from functools import lru_cache

ADJECTIVES = (  # noqa: SIM905 - as a list it would take a screen
    "amber ancient autumn bold brave bright calm clever cosmic crimson curious daring eager early fading "
    "gentle golden happy hidden icy joyous keen lively lucky mellow mighty misty noble patient polite proud "
    "quiet rapid silent snowy sunny swift tidy warm wild "
).split()
NOUNS = (  # noqa: SIM905
    "anchor badger beacon bird bridge brook canyon cedar cloud comet coral dawn dune eagle ember falcon field "
    "forest glacier harbor heron island lagoon lantern maple meadow moon otter pebble pine planet reef river "
    "shadow spring stone sunset thunder valley willow"
).split()
DIGITS = 100_000
SLUGS = len(ADJECTIVES) * len(NOUNS) * DIGITS
"""How many ids there are: the numbers of a target meet themselves again after some 90 days, the past is 14 deep."""
STEP = 97_911_373
"""Coprime with `SLUGS`, so that neighbouring numbers look unlike each other."""
STEP_BACK = pow(STEP, -1, SLUGS)


def slug(number: int) -> str:
    """`joyous-river-62901`, as Northflank names its builds."""
    words, digits = divmod(number * STEP % SLUGS, DIGITS)
    adjective, noun = divmod(words, len(NOUNS))
    return f"{ADJECTIVES[adjective]}-{NOUNS[noun]}-{digits}"


def number_of(name: str, newest: int) -> int | None:
    """The greatest number not above `newest` that is spelled `name`; None where nothing is spelled so."""
    adjective, _, rest = name.partition("-")
    noun, _, digits = rest.partition("-")
    if adjective not in ADJECTIVES or noun not in NOUNS or not (digits.isascii() and digits.isdecimal()):
        return None
    words = ADJECTIVES.index(adjective) * len(NOUNS) + NOUNS.index(noun)
    remainder = (words * DIGITS + int(digits)) * STEP_BACK % SLUGS
    return newest - (newest - remainder) % SLUGS


@lru_cache(maxsize=1 << 16)
def iso(moment: float) -> str:
    """Epoch seconds as `2021-07-28T15:55:38.296Z`."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def iso_or_none(moment: float | None) -> str | None:
    """The same, or null."""
    return None if moment is None else iso(moment)
