"""The values of the configuration: what each may look like in a file, and the fault where it looks otherwise."""

import math
import re
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    StrictStr,
    ValidationInfo,
    model_validator,
)
from pydantic_core import PydanticCustomError

from exporter.config.document import Mapped
from exporter.config.secret import EnvToken, FileToken

_UNITS = {"y": 31_536_000_000, "w": 604_800_000, "d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
"""Milliseconds."""
_DURATION = re.compile("".join(f"(?:([0-9]{{1,15}}){unit})?" for unit in _UNITS))
_LONGEST = 292 * _UNITS["y"]
"""Prometheus counts nanoseconds in 64 bits."""
_SPEND = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(%|/[smh])")
_PER = {"/s": 1, "/m": 60, "/h": 3600}
_HOST = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?|\[[0-9A-Fa-f:.]+\]")
LONGEST_SHOWN = 60
"""Characters of the user's own text that a fault repeats."""
GREATEST_SHARE = 0.8
"""Of a server's allowance: somebody else may need it too."""


@dataclass(frozen=True, slots=True)
class FromFile:
    """Said to the settings that come from a file: numbers bear units there, and paths begin at the file's folder."""

    folder: Path
    families: frozenset[str] | None = None
    """The metric families that there are; None where they are not known."""


def duration(text: str) -> float:
    """Seconds of a Prometheus duration: `1h30m`, `7d`, `100ms`, `0`. Raises ValueError."""
    match = _DURATION.fullmatch(text)
    if text == "0":
        return 0.0
    if not text or match is None:
        raise ValueError("must be a duration, e.g. 30s, 5m, 1h30m or 7d")
    total = sum(int(count or 0) * unit for count, unit in zip(match.groups(), _UNITS.values(), strict=True))
    if total > _LONGEST:
        raise ValueError("is a longer duration than Prometheus knows (292y)")
    return total / 1000


def show_duration(seconds: float) -> str:
    """The duration as Prometheus writes it, to the millisecond: `1h30m`; `0s` for nothing. `duration` reads it back."""
    left = round(seconds * 1000)
    shown = ""
    for name, unit in _UNITS.items():
        # As Prometheus does: 8d is not 1w1d, and 90h not 3d18h.
        if left >= unit and not (name in "ywd" and left % unit):
            shown += f"{left // unit}{name}"
            left %= unit
    return shown or "0s"


def fault(text: str) -> PydanticCustomError:
    """A fault in our own words, which pass through pydantic as they are."""
    return PydanticCustomError("plain", "{text}", {"text": text})


def _seconds(value: object, info: ValidationInfo) -> float:
    if isinstance(value, str):
        try:
            seconds = duration(value)
        except ValueError as error:
            raise fault(str(error)) from None
    elif isinstance(value, int | float) and not isinstance(value, bool) and info.context is None:
        seconds = float(value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        raise fault("is a number without a unit; write a duration, e.g. 30s, 5m, 1h30m or 7d")
    else:
        raise fault("must be a duration, e.g. 30s, 5m, 1h30m or 7d")
    if not 0 < seconds < math.inf:
        raise fault("must be longer than nothing")
    return seconds


def shown(text: str, quote: str = '"') -> str:
    """What a fault repeats of the user's own text: all of it, or an ellipsis for what is long or unprintable."""
    return f"{quote}{text if len(text) <= LONGEST_SHOWN and text.isprintable() else '…'}{quote}"


def word(text: str) -> str:
    """The text itself. Raises a fault where it is empty or has spaces around it or control characters."""
    if not text or text != text.strip() or not text.isprintable():
        raise fault("must be text that is not empty, without spaces around it and without control characters")
    return text


def _source_name(text: str) -> str:
    if re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", text) is None:
        raise fault("must be 1 to 64 letters, digits, _ or - (it stands in addresses)")
    return text


def _family(text: str, info: ValidationInfo) -> str:
    families = info.context.families if isinstance(info.context, FromFile) else None
    if families is not None and text not in families:
        near = get_close_matches(text, sorted(families), n=1, cutoff=0)
        raise fault("unknown family" + (f'; did you mean "{near[0]}"?' if near else ""))
    return text


def _url(text: str) -> str:
    # The text is never shown: it may hold a password.
    if "@" in text:
        raise fault("must hold no user or password (it becomes a label); the token goes under token")
    if "?" in text or "#" in text:
        raise fault("must hold no query and no fragment")
    try:
        parts = urlsplit(text)
        port_fits = parts.port is None or parts.port > 0
    except ValueError:
        raise fault("is not a URL") from None
    host = parts.netloc if parts.port is None else parts.netloc.rpartition(":")[0]
    if parts.scheme not in {"http", "https"}:
        raise fault("must begin with http:// or https://")
    if not port_fits or not text.isascii() or not text.isprintable() or " " in text or _HOST.fullmatch(host) is None:
        raise fault("needs a host, e.g. https://gitlab.example.com")
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/')}"


def _path(value: object, info: ValidationInfo) -> Path:
    if isinstance(value, Path):
        return value
    if not isinstance(value, str) or not value or "\0" in value:
        raise fault("must be the path of a file")
    return info.context.folder / value if isinstance(info.context, FromFile) else Path(value)


def _token(value: object, info: ValidationInfo) -> EnvToken | FileToken:
    # Whatever is wrong, the value may be a token that was put literally: no word of it is shown.
    if isinstance(value, EnvToken | FileToken):
        return value
    if isinstance(value, Mapped) and value.keys() == {"env"}:
        name = value["env"]
        # Capitals only: most tokens would pass for a variable's name otherwise, and that is shown.
        if not isinstance(name, str) or re.fullmatch(r"[A-Z_][A-Z0-9_]{0,127}", name) is None:
            raise fault("env must be the name of an environment variable: capitals, digits and _")
        return EnvToken(name, place=value.place("env"))
    if isinstance(value, Mapped) and value.keys() == {"file"}:
        return FileToken(_path(value["file"], info), place=value.place("file"))
    raise fault("a token is never written here: name where it is, {env: NAME} or {file: PATH}")


class Section(BaseModel):
    """A mapping of the configuration, and its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Spend(Section):
    """How much of an allowance to use: a share of what the server's headers say, or requests a second."""

    share: float | None = Field(default=None, gt=0, le=GREATEST_SHARE)
    per_second: float | None = Field(default=None, gt=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _is_one_of_both(self) -> "Spend":
        if (self.share is None) == (self.per_second is None):
            raise fault("must be a share or a rate")
        return self


def _spend(value: object) -> Spend | None:
    if value is None or isinstance(value, Spend):
        return value
    match = _SPEND.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise fault("must be a share or a rate: 40%, 500/m, 400/h or 5/s")
    count, unit = float(match[1]), match[2]
    if count == 0:
        raise fault("must be more than nothing")
    if unit != "%":
        return Spend(per_second=count / _PER[unit])
    if count / 100 > GREATEST_SHARE:
        raise fault("is more than 80%, and others may need the allowance too")
    return Spend(share=count / 100)


@dataclass(frozen=True, slots=True)
class StoreAddress:
    """Where the state is kept: in memory, or in an SQLite file."""

    kind: Literal["memory", "sqlite"] = "memory"
    path: Path = Path()
    """Of the SQLite file; absolute."""

    def __str__(self) -> str:
        return self.kind if self.kind == "memory" else f"sqlite://{self.path}"


_SQLITE = "sqlite://"
_EXAMPLE = "sqlite:///var/lib/ci-build-exporter/state.db"


def _store(value: object) -> StoreAddress:
    # The text is not repeated: the address of a store may hold a password.
    if isinstance(value, StoreAddress):
        return value
    if value == "memory":
        return StoreAddress()
    if not isinstance(value, str) or not value.startswith("sqlite:"):
        raise fault(f"must be memory or the address of an SQLite file, e.g. {_EXAMPLE}")
    path = Path(value.removeprefix(_SQLITE))
    if not value.startswith(_SQLITE) or not path.is_absolute():
        raise fault(f"needs three slashes and then the file's path from the root: {_EXAMPLE}")
    if not value.isprintable() or value.endswith("/"):
        raise fault(f"must be the path of a file, e.g. {_EXAMPLE}")
    return StoreAddress("sqlite", path)


def _shown_token(token: EnvToken | FileToken) -> dict[str, str]:
    """As a file writes it; never what was read."""
    return {"env": token.env} if isinstance(token, EnvToken) else {"file": str(token.file)}


Duration = Annotated[float, BeforeValidator(_seconds)]
"""Seconds, more than none. A file writes them as a Prometheus duration; code may also give a number."""
Word = Annotated[StrictStr, AfterValidator(word)]
Family = Annotated[StrictStr, AfterValidator(_family)]
FilePath = Annotated[Path, PlainValidator(_path)]
Token = Annotated[EnvToken | FileToken, PlainValidator(_token), PlainSerializer(_shown_token)]
Url = Annotated[StrictStr, AfterValidator(_url)]
SourceName = Annotated[StrictStr, AfterValidator(_source_name)]
Store = Annotated[StoreAddress, PlainValidator(_store), PlainSerializer(str)]
Spending = Annotated[Spend | None, BeforeValidator(_spend)]
