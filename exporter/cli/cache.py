"""The cache of shell completion: short lists in the user's cache folder, a file each.

A list belongs to one configuration file and one version of it; after a change of the file it is no longer used. Nothing
here raises an error: without a cache, completion is slower.
"""

import os
import time
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from exporter import __version__
from exporter.cli.options import PROGRAM


@dataclass(frozen=True, slots=True)
class Kept:
    """A list from the cache."""

    lines: tuple[str, ...]
    age: float
    """Seconds since it was written or touched."""


def kept(config_file: Path, what: str, key: str = "") -> Kept | None:
    """The list that was kept for the configuration as it is now; None if there is none."""
    with suppress(OSError, ValueError):
        path = _path(config_file, what, key)
        version, *lines = path.read_text(encoding="utf-8").splitlines()
        if version == _version(config_file, key):
            return Kept(tuple(lines), time.time() - path.stat().st_mtime)
    return None


def keep(config_file: Path, what: str, lines: list[str], key: str = "") -> None:
    """Keep a list, readable by the owner of the cache folder only."""
    with suppress(OSError):
        path = _path(config_file, what, key)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        beside = path.with_suffix(f".{os.getpid()}")
        beside.touch(mode=0o600)
        beside.write_text("".join(f"{line}\n" for line in (_version(config_file, key), *lines)), encoding="utf-8")
        beside.replace(path)


def touch(config_file: Path, what: str) -> None:
    """Set the age of a list to 0."""
    with suppress(OSError):
        os.utime(_path(config_file, what, ""))


def _path(config_file: Path, what: str, key: str) -> Path:
    # Two keys may share a file: its first line says whose it is. Not hashlib, which takes long to import.
    name = zlib.crc32(f"{config_file.resolve()}\n{key}".encode())
    return platformdirs.user_cache_path(PROGRAM, appauthor=False) / f"{what}-{name:08x}"


def _version(config_file: Path, key: str) -> str:
    """The first line of a list: what it belongs to."""
    stat = config_file.stat()
    return repr((__version__, stat.st_mtime_ns, stat.st_size, str(config_file.resolve()), key))
