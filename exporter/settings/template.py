"""The text of a first configuration: what was wished, and in comments what else there is. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import orjson

PLAIN: Final = re.compile(r"[A-Za-z_./][A-Za-z0-9_./-]*|https?://[A-Za-z0-9_.:/-]+")
"""What YAML reads as it is written: all else stands in quotes."""
NUMBER: Final = re.compile(r"[1-9][0-9]{0,17}")
WORDS_OF_YAML: Final = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n", "~", ".inf", ".nan"})
COMMENTS_FROM: Final = 38


@dataclass(frozen=True, slots=True)
class Wish:
    """One source, as somebody wants it read."""

    provider: str
    name: str
    url: str
    token: tuple[str, str]
    """`env` and a variable's name, or `file` and a path."""
    api: str = "v4"
    team: str = ""
    projects: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


def first_configuration(wish: Wish, path: str) -> str:
    """The file that is to lie at `path`."""
    lines = [
        f"# What ci-build-exporter reads. To try it: ci-build-exporter check --config.file={path} --live",
        "# docs/configuration.md explains every key. Tokens are never written here.",
        "sources:",
        _line(f"  - name: {_scalar(wish.name)}", "the label `source` of the metrics"),
        f"    provider: {wish.provider}",
        *([f"    url: {_scalar(wish.url)}"] if wish.url else []),
        *(_northflank(wish) if wish.provider == "northflank" else _gitlab(wish)),
        _line(
            f"    # webhook: {{secret: {{env: {wish.provider.upper()}_WEBHOOK_SECRET}}}}",
            f"for its deliveries to /webhooks/{wish.name}",
        ),
        _line("    # spend: 40%", "of the provider's allowance; also 400/h"),
        _line("# window: {builds: 100, age: 7d}", "what is recent, of each target and branch"),
        _line("# refresh: {ttl: 30s, idle_ttl: 5m}", "the shortest and the longest pause between two reads"),
        "# metrics:",
        "#   # These branches keep their name, `default` is each target's own default branch; all others are `other`.",
        '#   branches: [default, main, master, "release/*"]',
        _line("#   histograms: [conclude]", "also run, queue, execution and concluded"),
    ]
    return "".join(f"{line}\n" for line in lines)


def _token(wish: Wish) -> str:
    kind, value = wish.token
    other = "{file: PATH}" if kind == "env" else "{env: NAME}"
    return _line(f"    token: {{{kind}: {_scalar(value)}}}", f"or {other}")


def _northflank(wish: Wish) -> Iterator[str]:
    yield _token(wish)
    yield (
        f"    team: {_scalar(wish.team)}" if wish.team else _line("    # team: my-team", "for an organisation's token")
    )
    if wish.projects:
        yield "    projects:"
        for project in wish.projects:
            yield f"      - id: {_scalar(project)}"
        lead = "        # "
    else:
        yield _line("    # projects:", "without it: every project that the token sees")
        yield "    #   - id: shop"
        lead = "    #     "
    yield _line(f'{lead}services: ["*"]', "names or globs; without it: every one that builds")
    yield f'{lead}jobs: ["*"]'
    yield f'{lead}exclude: ["*-preview"]'


def _gitlab(wish: Wish) -> Iterator[str]:
    yield _line(f"    api: {wish.api}", "v3 for GitLab up to 10")
    yield _token(wish)
    old = wish.api == "v3"
    if wish.projects:
        yield _line(f"    projects: {_list(wish.projects)}", "paths or numbers")
    else:
        yield _line("    # projects: [shop/web, 42]", "paths or numbers")
    if wish.groups:
        yield _line(f"    groups: {_list(wish.groups)}", "with their subgroups")
    elif not old:
        yield _line("    # groups: [platform]", "with their subgroups")
    yield _line('    # exclude: ["*/archive/*"]', "paths or globs")


def _line(text: str, comment: str) -> str:
    return f"{text.ljust(COMMENTS_FROM)}  # {comment}"


def _list(values: tuple[str, ...]) -> str:
    return f"[{', '.join(value if NUMBER.fullmatch(value) else _scalar(value) for value in values)}]"


def _scalar(text: str) -> str:
    if PLAIN.fullmatch(text) and text.lower() not in WORDS_OF_YAML:
        return text
    return orjson.dumps(text).decode()
