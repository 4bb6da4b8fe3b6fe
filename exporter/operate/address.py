"""Addresses of targets as `targets` prints them, and URLs of pages that show a target. Pure."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

from exporter.build import Target
from exporter.errors import Refused
from exporter.operate.operations import operations_of
from exporter.providers import provider_of
from exporter.providers.operations import Reference
from exporter.settings.settings import Settings, Source

SIMILARITY: Final = 0.5
"""How similar a known address must be to be suggested, 0 to 1."""
STATUS_PAGE: Final = "/targets/"
"""The path of a target's page on the exporter's own website, before the address."""


def target_of(settings: Settings, address: str) -> tuple[Source, Target]:
    """The source and the target of an address; the provider is not asked whether it exists. Raises `Refused`."""
    name, _, rest = address.strip().partition("/")
    source = next((source for source in settings.sources if source.name == name), None)
    if source is None:
        known = [source.name for source in settings.sources]
        suggestion = _suggestion(name, known) or f"; the sources are {', '.join(known)}"
        raise Refused(f'there is no source "{name}"{suggestion}')
    kinds = provider_of(source).kinds
    kind, _, within = rest.partition("/")
    project, slash, target = within.rpartition("/")
    if kind == "project" and kind in kinds and all(within.split("/")):
        return source, Target(name, kind, within, within)
    if kind in kinds and kind != "project" and slash and "/" not in project and project and target:
        return source, Target(name, kind, project, target)
    forms = " or ".join(f"{name}/{kind}/{'PATH' if kind == 'project' else 'PROJECT/NAME'}" for kind in kinds)
    raise Refused(f'"{address}" is not the address of a target; write {forms}, as "ci-build-exporter targets" does')


def reference_of(settings: Settings, text: str) -> tuple[Source, Reference]:
    """The source and the target of an address or of a page's URL, with the build that the page shows.

    A URL can be of a provider's page, or of a target's page on the exporter's own website. Raises `Refused`.
    """
    text = text.strip()
    found = [(source, reference) for source in settings.sources if (reference := operations_of(source).reference(text))]
    if found:
        return min(found, key=lambda one: not one[1].configured)
    if "://" not in text:
        source, target = target_of(settings, text)
        return source, Reference(target)
    for address in _on_status_page(settings, text):
        try:
            source, target = target_of(settings, address)
        except Refused:
            continue
        return source, Reference(target)
    raise Refused(
        f'"{text}" is not a page of a target in a configured source; write an address, as "ci-build-exporter targets" '
        "prints it"
    )


def unknown_target(target: Target, known: Iterable[str]) -> Refused:
    """The error for a target that the provider does not have, with the most similar of the known addresses."""
    return Refused(
        f"{target.address}: there is no such target, or the token cannot see it{_suggestion(target.address, known)}"
    )


def _on_status_page(settings: Settings, url: str) -> list[str]:
    """The addresses that a URL of the status page may stand for: the kind may be missing, or be in the query."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return []
    _, page, address = parts.path.partition(STATUS_PAGE)
    name, _, rest = unquote(address).strip("/").partition("/")
    source = next((source for source in settings.sources if source.name == name), None)
    if not page or source is None:
        return []
    kinds = parse_qs(parts.query).get("kind") or provider_of(source).kinds
    without_kind = [f"{name}/{kind}/{rest}" for kind in kinds]
    return [f"{name}/{rest}", *(without_kind if len(without_kind) == 1 else ())]


def _suggestion(text: str, known: Iterable[str]) -> str:
    similar = get_close_matches(text, [other for other in known if other != text], n=1, cutoff=SIMILARITY)
    return f'; did you mean "{similar[0]}"?' if similar else ""
