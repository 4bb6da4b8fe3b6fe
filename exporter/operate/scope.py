"""Which builds an operator wants to see: by the provider's status, by our outcome, or by a common word. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from exporter.build import Build, Outcome
from exporter.errors import Refused
from exporter.providers import Provider


@dataclass(frozen=True, slots=True)
class Scope:
    """Builds with one of these statuses or outcomes; without any, all."""

    statuses: frozenset[str] = frozenset()
    outcomes: frozenset[Outcome] = frozenset()
    asked: tuple[str, ...] = ()
    """The provider's statuses that it can be asked for; without any it is asked for all."""

    def holds(self, build: Build) -> bool:
        """Whether the build is among them."""
        return not (self.statuses or self.outcomes) or build.status in self.statuses or build.outcome in self.outcomes


def scope_of(provider: Provider, common: Mapping[str, frozenset[Outcome]], words: Iterable[str]) -> Scope:
    """The scope of these words: a status comes before an outcome of the same name. Raises `Refused`."""
    wanted = {word.strip().lower() for word in words}
    known = {status for status, _ in provider.vocabulary}
    statuses = frozenset(wanted & known)
    outcomes: set[Outcome] = set()
    for word in sorted(wanted - known):
        if word in common:
            outcomes |= common[word]
        elif word in set(Outcome):
            outcomes.add(Outcome(word))
        else:
            raise _unknown(word, [*sorted(known), *sorted({*common, *Outcome} - known)])
    asked = set(statuses)
    for outcome in outcomes:
        of_outcome = {status for status, its in provider.vocabulary if its is outcome}
        if not of_outcome:
            return Scope(statuses, frozenset(outcomes))
        asked |= of_outcome
    return Scope(statuses, frozenset(outcomes), tuple(sorted(asked)))


def _unknown(word: str, known: list[str]) -> Refused:
    near = get_close_matches(word, known, n=1, cutoff=0.6)
    meant = f'did you mean "{near[0]}"? K' if near else "k"
    return Refused(f'"{word}" is no scope; {meant}nown are {", ".join(known)}')
