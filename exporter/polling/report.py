"""How the reading of a source goes and what it comes to, for a person. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain

from exporter.polling.candidates import HOUR, candidates
from exporter.polling.hazard import PRIOR
from exporter.polling.polls import PollList
from exporter.polling.pricing import Demand, Price, longest_pause, pause, solve
from exporter.polling.rate_limit import SHARED, TokenBucket, usual_rate
from exporter.polling.schedule import Candidate
from exporter.polling.state import Source
from exporter.settings.settings import Refresh

READS = 2
"""Of a target that a list covers, for each of its builds: when it begins and when it ends."""


@dataclass(frozen=True, slots=True)
class Report:
    """How the reading of a source goes, for a person."""

    source: str
    up: bool | None
    targets: dict[str, int]
    """How many by kind."""
    limit: float | None
    """Requests an hour that the server allows; None: it reports no limit."""
    errors: tuple[str, ...]
    """What went wrong last, a line each."""
    notes: tuple[str, ...]
    """What the configuration names and the provider does not have, a line each."""
    requests_an_hour: float
    """As its targets stand now."""
    pauses: tuple[float, float]
    """Seconds between two looks at a target, the shortest and the longest."""
    kept: bool
    """Whether the longest pause is as configured."""
    unread: int = 0
    """Targets that were not read yet."""


def reports(sources: Iterable[Source], bucket: TokenBucket, refresh: Refresh, now: float) -> list[Report]:
    """How the reading of the sources goes that share a bucket, and what it comes to in the long run."""
    known = [(source, [one for one in candidates(source, refresh, now) if not one.first]) for source in sources]
    reads = [_reads_a_second(of_source) for _source, of_source in known]
    usual = usual_rate(bucket)
    spent = max(SHARED * usual, usual - sum(reads))
    price = solve([*chain.from_iterable(of_source for _source, of_source in known)], spent, spent, now)
    return [
        _report(source, of_source, price, forced, now) for (source, of_source), forced in zip(known, reads, strict=True)
    ]


def _reads_a_second(known: Iterable[Candidate]) -> float:
    """Reads of targets that lists must be expected to make necessary."""
    lists = (candidate for candidate in known if isinstance(candidate.poll, PollList))
    return READS * sum(one.targets * PRIOR + one.day for candidate in lists for one in candidate.pulses)


def _report(source: Source, known: list[Candidate], price: Price, forced: float, now: float) -> Report:
    state, bucket = source.state, source.budget.bucket
    failed = (
        f"{target.address}: {target_state.health.error}"
        for target, target_state in state.targets.items()
        if target_state.health.error
    )
    kinds = dict.fromkeys(source.provider.kinds, 0)
    for target in state.targets:
        kinds[target.kind] = kinds.get(target.kind, 0) + 1
    allowance = bucket.allowance
    looks = [candidate for candidate in known if candidate.steady] or known
    return Report(
        source=source.name,
        up=state.answered,
        targets=kinds,
        limit=None if allowance.limit is None else allowance.limit * HOUR / allowance.period,
        errors=(*state.discovery.errors, *failed),
        notes=state.discovery.notes,
        requests_an_hour=HOUR * min(usual_rate(bucket), Demand(known, price, now).at(price.worth) + forced),
        pauses=(
            min((pause(candidate, price, now) for candidate in looks), default=0.0),
            max((longest_pause(candidate, price) for candidate in looks), default=0.0),
        ),
        kept=price.stretch <= 1,
        unread=sum(target_state.health.up is None for target_state in state.targets.values()),
    )
