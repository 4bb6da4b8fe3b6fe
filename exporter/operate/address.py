"""Addresses of targets, as `targets` prints them: `northflank/service/shop/web`, `gitlab/project/shop/web`. Pure."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

from exporter.build import Target
from exporter.errors import Refused
from exporter.providers import provider_of
from exporter.settings.settings import Settings, Source

NEAR: Final = 0.5
"""How like a known address an unknown one must be to be taken for it, of 1."""


def where(settings: Settings, address: str) -> tuple[Source, Target]:
    """The source and the target that an address names; whether the target exists is not asked. Raises `Refused`."""
    name, _, rest = address.strip().partition("/")
    source = next((source for source in settings.sources if source.name == name), None)
    if source is None:
        known = [source.name for source in settings.sources]
        raise Refused(f'no source is named "{name}"{_meant(name, known) or "; known are " + ", ".join(known)}')
    kinds = provider_of(source).kinds
    kind, _, within = rest.partition("/")
    project, slash, target = within.rpartition("/")
    if kind == "project" and kind in kinds and all(within.split("/")):
        return source, Target(name, kind, within, within)
    if kind in kinds and kind != "project" and slash and "/" not in project and project and target:
        return source, Target(name, kind, project, target)
    forms = " or ".join(f"{name}/{kind}/{'PATH' if kind == 'project' else 'PROJECT/NAME'}" for kind in kinds)
    raise Refused(f'"{address}" is no address of a target: write {forms}, as "ci-build-exporter targets" prints it')


def unknown_target(target: Target, known: Iterable[str]) -> Refused:
    """What is told of a target that the provider does not have, with the nearest of the known addresses."""
    return Refused(
        f"{target.address}: there is no such target, or the token may not see it{_meant(target.address, known)}"
    )


def _meant(text: str, known: Iterable[str]) -> str:
    near = get_close_matches(text, [other for other in known if other != text], n=1, cutoff=NEAR)
    return f'; did you mean "{near[0]}"?' if near else ""
