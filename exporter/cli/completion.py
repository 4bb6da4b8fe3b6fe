"""Completion of targets and builds in a shell: quick, remembered for a while, and silent whatever goes wrong.

What is remembered are addresses of targets, in the user's cache directory, one file a configuration.
"""

import hashlib
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import BashComplete, CompletionItem, add_completion_class, get_completion_class

from exporter.build import Build
from exporter.cli.options import PROGRAM, loaded
from exporter.settings.settings import Settings, Source

if TYPE_CHECKING:
    from exporter.operate import Found

VARIABLE = "_CI_BUILD_EXPORTER_COMPLETE"
"""By which click knows that a shell asks."""
PATIENCE = 1.5
"""Seconds that whoever pressed the key waits for a provider."""
FRESH = 600.0
"""Seconds for which addresses are taken as they were."""
SUGGESTED = 20
"""Builds."""

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def complete_address(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The addresses of targets that begin so: remembered, discovered in time, or else those that are configured."""
    with suppress(Exception):
        path = Path(context.params["config_file"])
        settings = loaded(path)
        known, fresh = remembered(path)
        if not fresh:
            found = discovered(settings)
            if None not in found:
                known = [address for addresses in found for address in addresses or ()]
                remember(path, known)
            elif not known:
                for source, addresses in zip(settings.sources, found, strict=True):
                    known += configured(source) if addresses is None else addresses
        return [CompletionItem(address) for address in sorted(known) if address.startswith(incomplete)]
    return []


def complete_id(holds: Callable[[Build], bool] | None) -> Complete:
    """What completes the id of a build: the newest of those that hold."""

    def complete(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        with suppress(Exception):
            # Here and not above: only this asks for builds.
            from exporter import operate  # noqa: PLC0415

            settings = loaded(Path(context.params["config_file"]))
            source, target = operate.where(settings, context.params["target"])
            operator = operate.opened(source, PATIENCE)
            found: list[Found] = list(operator.builds(target, limit=SUGGESTED).found)
            builds = [one.build for one in found if holds is None or holds(one.build)]
            return [
                CompletionItem(build.id, help=" ".join(filter(None, (build.status, build.branch, build.name))))
                for build in builds
                if build.id.startswith(incomplete)
            ]
        return []

    return complete


def configured(source: Source) -> list[str]:
    """The targets that the configuration itself names."""
    return [target.address for target in source.named_targets()]


def discovered(settings: Settings) -> list[list[str] | None]:
    """The addresses of each source's targets; None of one that was not listed whole and in time."""
    from exporter import operate  # noqa: PLC0415  # as above

    found: list[list[str] | None] = [None] * len(settings.sources)

    def discover(place: int, source: Source) -> None:
        with suppress(Exception):
            listed = operate.opened(source, PATIENCE).targets()
            if not listed.faults:
                found[place] = [target.address for target in listed.targets]

    deadline = time.monotonic() + PATIENCE
    threads = [
        threading.Thread(target=discover, args=(place, source), daemon=True)
        for place, source in enumerate(settings.sources)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return list(found)


def cache(config_file: Path) -> Path:
    """Where the addresses of a configuration are remembered."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    folder = Path(home) if Path(home).is_absolute() else Path.home() / ".cache"
    name = hashlib.sha256(str(config_file.resolve()).encode()).hexdigest()[:16]
    return folder / PROGRAM / f"targets-{name}"


def remember(config_file: Path, addresses: list[str]) -> None:
    """Keep the addresses, for whoever owns the cache directory alone; where they cannot be kept, nothing."""
    with suppress(OSError):
        path = cache(config_file)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        beside = path.with_suffix(f".{os.getpid()}")
        beside.touch(mode=0o600)
        beside.write_text("".join(f"{line}\n" for line in (_version(config_file), *addresses)), encoding="utf-8")
        beside.replace(path)


def remembered(config_file: Path) -> tuple[list[str], bool]:
    """The addresses that are kept of the configuration as it is now, and whether they need not be asked anew."""
    with suppress(OSError, ValueError):
        path = cache(config_file)
        version, *addresses = path.read_text(encoding="utf-8").splitlines()
        if version == _version(config_file):
            return addresses, time.time() - path.stat().st_mtime < FRESH
    return [], False


def _version(config_file: Path) -> str:
    stat = config_file.stat()
    return f"{stat.st_mtime_ns} {stat.st_size}"


def script(shell: str, commands: click.Command) -> str:
    """What a shell runs at its start."""
    kind = get_completion_class(shell)
    if kind is None:
        raise KeyError(shell)
    completing = kind(commands, {}, PROGRAM, VARIABLE)
    return completing.source_template % completing.source_vars()


class Bash(BashComplete):
    """Bash takes `--config.file=FILE` for three words; click would take the second for the file."""

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words before the one that is completed, and that one."""
        words, incomplete = super().get_completion_args()
        joined: list[str] = []
        for word in words:
            if (word == "=" and joined) or (len(joined) > 0 and joined[-1].endswith("=")):
                joined[-1] += word
            else:
                joined.append(word)
        if joined and joined[-1].endswith("=") and joined[-1].startswith("--"):
            joined.pop()
        return joined, incomplete


add_completion_class(Bash)
