"""`--scope`: which builds to list, by the provider's status, by outcome, or by a common word. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from exporter.build import Build, Outcome
from exporter.errors import Refused
from exporter.providers import Provider


@dataclass(frozen=True, slots=True)
class Scope:
    """Builds with one of these statuses or outcomes; an empty scope has every build."""

    statuses: frozenset[str] = frozenset()
    outcomes: frozenset[Outcome] = frozenset()
    requested: tuple[str, ...] = ()
    """The statuses to request from the provider; empty: request every build, and filter here."""

    def holds(self, build: Build) -> bool:
        """Whether the build is in the scope."""
        return not (self.statuses or self.outcomes) or build.status in self.statuses or build.outcome in self.outcomes


def scope_of(provider: Provider, common: Mapping[str, frozenset[Outcome]], words: Iterable[str]) -> Scope:
    """The scope of these words. A word that is a status and an outcome means the status. Raises `Refused`."""
    wanted = {word.strip().lower() for word in words}
    statuses = frozenset(wanted & _statuses(provider))
    outcomes: set[Outcome] = set()
    for word in sorted(wanted - statuses):
        if word in common:
            outcomes |= common[word]
        elif word in set(Outcome):
            outcomes.add(Outcome(word))
        else:
            raise _unknown(word, scope_words(provider, common))
    requested = set(statuses)
    for outcome in outcomes:
        of_outcome = {status for status, its in provider.vocabulary if its is outcome}
        if not of_outcome:
            return Scope(statuses, frozenset(outcomes))
        requested |= of_outcome
    return Scope(statuses, frozenset(outcomes), tuple(sorted(requested)))


def scope_words(provider: Provider, common: Iterable[str]) -> list[str]:
    """Every word that `--scope` accepts: the provider's statuses, then the others."""
    statuses = _statuses(provider)
    return [*sorted(statuses), *sorted({*common, *Outcome} - statuses)]


def _statuses(provider: Provider) -> set[str]:
    return {status for status, _ in provider.vocabulary}


def _unknown(word: str, known: list[str]) -> Refused:
    similar = get_close_matches(word, known, n=1, cutoff=0.6)
    suggestion = f'did you mean "{similar[0]}"? The' if similar else "the"
    return Refused(f'"{word}" is not a scope; {suggestion} scopes are {", ".join(known)}')
