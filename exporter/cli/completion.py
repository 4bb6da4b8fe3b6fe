"""Completion of targets, builds and scopes in a shell: quick, from a cache, and silent whatever goes wrong.

Everything beyond click is imported when it is needed: a Tab that the cache can answer costs less than 0.2 s.
"""

import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import BashComplete, CompletionItem, add_completion_class, get_completion_class

from exporter.cli import cache
from exporter.cli.options import PROGRAM

if TYPE_CHECKING:
    from exporter.settings.settings import Settings, Source

VARIABLE = "_CI_BUILD_EXPORTER_COMPLETE"
"""The environment variable by which a shell asks for completion."""
WAIT_SECONDS = 1.5
"""How long a Tab waits for a provider."""
TARGETS_FRESH = 600.0
"""Seconds after which kept addresses are offered once more, while newer ones are fetched in the background."""
BUILDS_FRESH = 30.0
"""Seconds for which kept builds are offered."""
SUGGESTED = 20
"""How many builds are offered."""
ENDED, UNFINISHED = "ended", "unfinished"

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def complete_address(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The addresses of targets: kept ones, else discovered ones, else those in the configuration."""
    with suppress(Exception):
        path = Path(context.params["config_file"])
        kept = cache.kept(path, "targets")
        if kept is None:
            addresses = _discovered_or_configured(path)
        else:
            addresses = list(kept.lines)
            if kept.age > TARGETS_FRESH:
                _refresh_in_background(path)
        return [CompletionItem(address) for address in sorted(addresses) if address.startswith(incomplete)]
    return []


def complete_id(state: str = "") -> Complete:
    """A function that completes the id of a build: the newest, or the newest in a state (`ENDED`, `UNFINISHED`)."""

    def complete(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        with suppress(Exception):
            path, address = Path(context.params["config_file"]), context.params["target"]
            kept = cache.kept(path, "builds", address)
            lines = list(kept.lines) if kept and kept.age < BUILDS_FRESH else _newest_builds(path, address)
            builds = [line.split("\t", 2) for line in lines]
            return [
                CompletionItem(build_id, help=words)
                for build_id, its_state, words in builds
                if build_id.startswith(incomplete) and state in {"", its_state}
            ]
        return []

    return complete


def complete_scope(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The statuses of the target's provider, and the outcomes; before a target is written, those of every source."""
    words: Sequence[str]
    try:
        path = Path(context.params["config_file"])
        # Not `context.params`: without the option's value, click stops parsing before it comes to the arguments.
        target = next((word for word in context.meta.get(PROGRAM, ()) if "/" in word and word[0] != "-"), "")
        source = target.partition("/")[0]
        kept = cache.kept(path, "scopes", source)
        words = kept.lines if kept else _scopes(path, source)
    except Exception:  # noqa: BLE001  # a shell must not show it
        from exporter.build import Outcome

        words = sorted(Outcome)
    return [CompletionItem(word) for word in words if word.startswith(incomplete)]


def remember_targets(config_file: Path, addresses: list[str]) -> None:
    """Keep the addresses of the targets of a configuration for completion."""
    cache.keep(config_file, "targets", addresses)


def _discovered_or_configured(path: Path) -> list[str]:
    from exporter.cli.settings_file import loaded

    settings = loaded(path)
    discovered = _discovered(settings)
    if None not in discovered:
        addresses = [address for found in discovered for address in found or ()]
        remember_targets(path, addresses)
        return addresses
    return [
        address
        for source, found in zip(settings.sources, discovered, strict=True)
        for address in ([target.address for target in source.named_targets()] if found is None else found)
    ]


def _discovered(settings: "Settings") -> list[list[str] | None]:
    """The addresses of each source's targets; None for a source that was not listed as a whole and in time."""
    import threading

    from exporter import operate

    found: list[list[str] | None] = [None] * len(settings.sources)

    def discover(place: int, source: "Source") -> None:
        with suppress(Exception):
            listed = operate.operator_for(source, WAIT_SECONDS).targets()
            if not listed.faults:
                found[place] = [target.address for target in listed.targets]

    deadline = time.monotonic() + WAIT_SECONDS
    threads = [
        threading.Thread(target=discover, args=(place, source), daemon=True)
        for place, source in enumerate(settings.sources)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return list(found)


def _refresh_in_background(path: Path) -> None:
    """Let `targets` keep newer addresses; the shell does not wait for it."""
    import subprocess

    cache.touch(path, "targets")  # the next Tab starts no other
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    subprocess.Popen(  # noqa: S603  # this program itself
        [sys.executable, "-m", "exporter", "targets", f"--config.file={path}"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env=environment,
    )


def _newest_builds(path: Path, address: str) -> list[str]:
    """The newest builds of a target, a line each: id, state and a description, with tabs between."""
    from exporter import operate
    from exporter.cli.settings_file import loaded
    from exporter.cli.table import printable

    source, reference = operate.reference_of(loaded(path), address)
    listed = operate.operator_for(source, WAIT_SECONDS).builds(reference.target, limit=SUGGESTED)
    lines = []
    for details in listed.builds:
        build = details.build
        words = " ".join(filter(None, (build.status, build.branch, build.name)))
        lines.append("\t".join(map(printable, (build.id, ENDED if build.concluded else UNFINISHED, words))))
    cache.keep(path, "builds", lines, address)
    return lines


def _scopes(path: Path, name: str) -> Sequence[str]:
    from exporter import operate
    from exporter.cli.settings_file import loaded

    sources = loaded(path).sources
    chosen = [source for source in sources if source.name == name] or sources
    words = sorted({word for source in chosen for word in operate.operator_for(source, 1.0).scope_words()})
    cache.keep(path, "scopes", words, name)
    return words


# The shells


def script(shell: str, commands: click.Command) -> str:
    """The script that a shell runs at its start. Raises KeyError for an unknown shell."""
    kind = get_completion_class(shell)
    if kind is None:
        raise KeyError(shell)
    completing = kind(commands, {}, PROGRAM, VARIABLE)
    return completing.source_template % completing.source_vars()


class Bash(BashComplete):
    """Bash splits `--config.file=FILE` into three words; click would take the second for the file."""

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
