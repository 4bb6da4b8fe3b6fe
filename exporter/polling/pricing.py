"""What a request is worth now, and after which pause each candidate is asked. Pure; times are seconds since the epoch.

Each candidate is asked again once so much delay has accrued that its requests are worth it, but not before its shortest
and not after its longest pause. The worth is such that all candidates together take what may be spent:

    requests a second                 sum over the candidates of cost / pause(worth)
        |  all at their shortest pause
        |------.
        |        .
        |          .                  <- what may be spent: the worth is read off here
        |             .
        |                 ------------ all at their longest pause
        +------------------------------ worth of a request, in seconds of delay
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from math import exp, fsum, inf, log

from exporter.polling.hazard import Pulse, accrued, arrival_rate, quiet_pause
from exporter.polling.schedule import Candidate

LEAST, MOST = 1e-6, 1e9
"""Bounds of the worth, in seconds of delay."""
ROOM = 0.5
"""The share of what is spent that longest pauses take at most, as long as some have slack; the rest follows hazards."""
SURE = 0.85
"""The same once longest pauses cannot be kept."""
FOLLOWED = 600.0
"""Seconds over which the worth is averaged: what is saved in a quiet minute is there for a busy one."""
SWING = 0.3
"""The natural logarithm of how much more a request must be worth where the bucket is empty rather than half full."""
STEPS = 24
"""Of each bisection."""
POINTS = 6
"""Pauses at which the delay of a candidate is computed, where it does not follow from one rate."""
ALIKE, ALIKE_USUAL = 6, 2
"""Rates and usual durations whose logarithms are equal, in so many steps for each factor of e, are one group."""


@dataclass(frozen=True, slots=True)
class Price:
    """What a request is worth, and by how much longest pauses must be stretched."""

    worth: float = 0.0
    """Seconds of delay that must have accrued; 0: every candidate is asked after its shortest pause."""
    average: float = LEAST
    """The same whatever the bucket holds now."""
    given: float = 0.0
    """How much of the slack of those that have some is used, 0 to 1."""
    stretch: float = 1.0
    """How many times longer than configured the longest pauses are, because too little may be spent."""


@dataclass(slots=True)
class _Group:
    """Candidates of like hazard and equal pauses: all are asked again after the same one."""

    shortest: float
    longest: float
    places: list[int] = field(default_factory=list)
    """Of its candidates among all."""
    requests: float = 0.0
    """That asking each of them once takes."""
    rate: float = 0.0
    """Sum of their rates, and below of their usual durations."""
    usual: float = 0.0

    def pause(self, worth: float) -> float:
        """The pause after which so much delay has accrued, on average."""
        if not self.rate:
            return self.longest
        number = len(self.places)
        wanted = quiet_pause(self.rate / number, self.usual / number, worth * self.requests / number)
        return min(self.longest, max(self.shortest, wanted))


@dataclass(slots=True)
class _Curve:
    """A candidate whose delay is known at some pauses."""

    places: tuple[int]
    pauses: Sequence[float]
    delays: Sequence[float]
    requests: float

    @property
    def shortest(self) -> float:
        """The first of the pauses."""
        return self.pauses[0]

    def pause(self, worth: float) -> float:
        """The pause after which so much delay has accrued, between the shortest and the longest."""
        worth *= self.requests
        place = bisect_left(self.delays, worth)
        if place == 0:
            return self.pauses[0]
        if place == len(self.delays):
            return self.pauses[-1]
        low, high = self.delays[place - 1], self.delays[place]
        share = (worth - low) / (high - low)
        return self.pauses[place - 1] + share * (self.pauses[place] - self.pauses[place - 1])


class Demand:
    """Candidates by like hazard: what they take at any price. None of them was never asked."""

    def __init__(self, candidates: Iterable[Candidate], stretched: Price, now: float) -> None:
        groups: dict[tuple[float, ...], _Group] = {}
        curves: list[_Curve] = []
        for place, candidate in enumerate(candidates):
            pulses, shortest, longest = candidate.pulses, candidate.shortest, longest_pause(candidate, stretched)
            rate = usual = 0.0
            if not candidate.steady or not pulses:
                key: tuple[float, ...] = (longest,)
            elif len(pulses) == 1 and not pulses[0].unfinished:
                rate, usual = arrival_rate(pulses[0], now), pulses[0].usual
                key = shortest, longest, int(ALIKE * log(rate)), int(ALIKE_USUAL * log(usual + 1))
            else:
                curves.append(_curve(place, candidate, shortest, longest, now))
                continue
            group = groups.get(key)
            if group is None:
                group = groups[key] = _Group(shortest if rate else longest, longest)
            group.places.append(place)
            group.requests += candidate.cost
            group.rate += rate
            group.usual += usual
        self._parts: list[_Group | _Curve] = [*groups.values(), *curves]

    def at(self, worth: float) -> float:
        """Requests a second that they take at that worth."""
        return sum(part.requests / part.pause(worth) for part in self._parts)

    def worth(self, available: float) -> float:
        """The worth of a request at which they take so many requests a second; 0: all at their shortest pause."""
        if sum(part.requests / part.shortest for part in self._parts) <= available:
            return 0.0
        low, high = log(LEAST), log(MOST)
        if self.at(MOST) < available:
            for _ in range(STEPS):
                middle = (low + high) / 2
                low, high = (middle, high) if self.at(exp(middle)) > available else (low, middle)
        return exp(high)

    def pauses(self, worth: float) -> Iterator[tuple[float, Sequence[int]]]:
        """The seconds after which candidates are asked again, with their places."""
        return ((part.pause(worth), part.places) for part in self._parts)


def _curve(place: int, candidate: Candidate, shortest: float, longest: float, now: float) -> _Curve:
    ratio = (longest / shortest) ** (1 / (POINTS - 1))
    pauses = [shortest * ratio**place for place in range(POINTS)]
    asked_at = max(candidate.asked_at, now - longest) - candidate.skew
    delays = [_accrued(candidate.pulses, asked_at, seconds) for seconds in pauses]
    return _Curve((place,), pauses, list(accumulate(delays, max)), candidate.cost)


def solve(candidates: Collection[Candidate], available: float, usual: float, now: float) -> Price:
    """The price at which the candidates take `available` requests a second.

    `usual` is what may be spent in the long run: longest pauses are stretched by that alone, not for a bucket that
    happens to be full or empty.
    """
    price = stretched(candidates, usual)
    return replace(price, worth=Demand(candidates, price, now).worth(available))


def stretched(candidates: Iterable[Candidate], usual: float) -> Price:
    """How far longest pauses are stretched: those with slack first, then those of all steady candidates alike."""
    sums: dict[tuple[float, float, bool], float] = defaultdict(float)
    for candidate in candidates:
        sums[candidate.longest, candidate.slack, candidate.steady] += candidate.cost

    def least(given: float, *, steady: bool | None = None) -> float:
        return fsum(
            cost / (longest * slack**given)
            for (longest, slack, is_steady), cost in sums.items()
            if steady in {None, is_steady}
        )

    if least(0.0) <= ROOM * usual:
        return Price()
    if least(1.0) <= ROOM * usual:
        low, high = 0.0, 1.0
        for _ in range(STEPS // 2):
            middle = (low + high) / 2
            low, high = (middle, high) if least(middle) > ROOM * usual else (low, middle)
        return Price(given=high)
    ratio = least(1.0, steady=True) / max(LEAST, usual - least(1.0, steady=False))
    return Price(given=1.0, stretch=max(1.0, min(ratio * ratio, ratio / SURE)))


def followed(before: Price, solved: Price, elapsed: float, fullness: float) -> Price:
    """The price after the one before: its worth moves towards the solved one, and with how full the bucket is.

    The further it is from the solved one, the faster. `elapsed`: seconds since the price before; infinite where there
    was none. `fullness`: 0 to 1.
    """
    if solved.worth <= 0:
        return solved
    if elapsed == inf or before.worth <= 0:
        average = solved.worth
    else:
        ahead = log(solved.worth / before.average)
        average = before.average * exp(ahead * (1 - exp(-elapsed * max(1.0, ahead * ahead) / FOLLOWED)))
    return replace(solved, average=average, worth=average * exp((0.5 - fullness) * 2 * SWING))


def pause(candidate: Candidate, price: Price, now: float) -> float:
    """Seconds from its last asking after which the candidate is asked again."""
    shortest, longest = candidate.shortest, longest_pause(candidate, price)
    if not candidate.steady:
        return longest
    worth = price.worth * candidate.cost
    if worth <= 0:
        return shortest
    if len(candidate.pulses) == 1 and not candidate.pulses[0].unfinished:
        known = candidate.pulses[0]
        return min(longest, max(shortest, quiet_pause(arrival_rate(known, now), known.usual, worth)))
    asked_at = max(candidate.asked_at, now - longest) - candidate.skew
    if _accrued(candidate.pulses, asked_at, shortest) >= worth:
        return shortest
    if _accrued(candidate.pulses, asked_at, longest) < worth:
        return longest
    low, high = shortest, longest
    while high - low > max(1.0, low / 50):
        middle = (low + high) / 2
        low, high = (low, middle) if _accrued(candidate.pulses, asked_at, middle) >= worth else (middle, high)
    return high


def longest_pause(candidate: Candidate, price: Price) -> float:
    """Seconds from its last asking after which the candidate is asked whatever has accrued."""
    longest = candidate.longest
    if candidate.slack != 1:
        longest *= candidate.slack**price.given
    if candidate.steady:
        longest *= price.stretch
    return longest if longest > candidate.shortest else candidate.shortest  # noqa: FURB136  # called ten thousand times


def _accrued(pulses: Iterable[Pulse], asked_at: float, seconds: float) -> float:
    return sum(accrued(known, asked_at, asked_at + seconds) for known in pulses)
