"""What an answer changes: in what is known of a target and its source, in the budget, and in what is shown.

Nothing here asks anything. The caller holds the collector's lock.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from math import inf

import structlog

from exporter.build import Target
from exporter.errors import BadPayload, RateLimited, SourceError
from exporter.exposition.self_metrics import Meters
from exporter.exposition.series_limit import Display
from exporter.history.window import History, Rules, merge, without
from exporter.http.fetch import RequestStats
from exporter.http.wire import Answer, decode
from exporter.polling import rate_limit, schedule
from exporter.polling.deliveries import Result, timely, told, untold
from exporter.polling.list_status import REPEATS, Verdict, covers, heard, running, stepped, verdict
from exporter.polling.polls import SLOWEST, announced
from exporter.polling.state import Asked, Origin, Subject
from exporter.polling.walk import Walked
from exporter.providers import OTHER_EVENT, Delivery, Discovery, Look
from exporter.settings.settings import Refresh

log = structlog.get_logger()

HOURLY = 3600.0
"""Seconds after which a target is read whose list says that nothing moved."""
SWEEP = 3600.0
"""Seconds after which the next read takes a largest page: it shows what came late, and what came back to life."""
TOO_MANY = "429"
ABSENCES = 2
"""Complete lists without a target, after which it is dropped."""


@dataclass(frozen=True, slots=True)
class Intake:
    """The rules by which answers are taken in, and where what they change is shown."""

    refresh: Refresh
    rules: Rules
    display: Display
    meters: Meters
    chance: Callable[[], float]

    # Discovery

    def discovered(
        self, origin: Origin, found: Discovery, listed: Collection[str], *, requests: int, now: float
    ) -> None:
        """Take in what discovery found by so many requests, but for the lists that were left out.

        A partial list takes nothing away.
        """
        tried_before = origin.tried  # else the configuration is new, and what it no longer names goes at once
        origin.tried, origin.discovery_cost = True, requests
        origin.discovered = (bool(found.targets) or not found.faults) if requests else None
        origin.errors = tuple(str(fault) for fault in found.faults)
        origin.notes = found.notes
        for fault in found.faults:
            log.warning("discovery is partial", source=origin.name, reason=fault.reason, error=str(fault))
        for note in found.notes:
            log.warning("nothing matches", source=origin.name, note=note)
        failures = origin.discovery.failures + 1 if found.faults else 0
        origin.discovery = Asked(now, failures, self._retry_at(failures, now))
        if origin.webhook.discover_at <= now:
            origin.webhook.discover_at = inf
        for target in found.targets:
            origin.subjects.setdefault(target, Subject(target)).absences = 0
        if not found.faults:
            left_out = (target for target in origin.subjects if origin.provider.list_of(target) in listed)
            self._drop_absent(origin, {*found.targets, *left_out}, ABSENCES if tried_before else 1)
        self._looked(origin, found.looks, now)
        self._listed(origin, found.looks, now)

    def found(self, origin: Origin, targets: Mapping[Target, Look | None], now: float) -> list[Target]:
        """Take in what discovery has come upon so far, with what a list tells of it; gives those that are new."""
        new = [target for target in targets if target not in origin.subjects]
        for target in new:
            origin.subjects[target] = Subject(target, look=targets[target])
        self._listed(origin, targets, now)
        return new

    def _listed(self, origin: Origin, looks: Collection[Target], now: float) -> None:
        """The lists that tell of these were asked."""
        for name in {origin.provider.list_of(target) for target in looks} - {None}:
            origin.lists[str(name)] = Asked(now)

    def _drop_absent(self, origin: Origin, present: set[Target], absences: int = ABSENCES) -> None:
        for target in [target for target in origin.subjects if target not in present]:
            subject = origin.subjects[target]
            subject.absences += 1
            if subject.absences >= absences:
                del origin.subjects[target]
                self.display.forget(target)
                log.info("target is gone", target=target.address)

    def discovery_failed(self, origin: Origin, error: Exception, now: float) -> None:
        """Keep the targets, and try again later."""
        _log_failure("discovery failed", origin.name, error)
        origin.discovered, origin.tried, origin.errors = False, True, (str(error),)
        origin.discovery = self._later(origin.discovery, error, now)

    # Lists

    def looked(self, origin: Origin, name: str, looks: Mapping[Target, Look | None], now: float) -> None:
        """Take in what a list tells; what it does not tell enough of is read next."""
        origin.lists[name] = Asked(now)
        origin.read[True] += 1
        for target in looks:
            origin.subjects.setdefault(target, Subject(target)).absences = 0
        others = (target for target in origin.subjects if origin.provider.list_of(target) != name)
        self._drop_absent(origin, {*looks, *others})
        self._looked(origin, looks, now)

    def _looked(self, origin: Origin, looks: Mapping[Target, Look | None], now: float) -> None:
        for target, look in looks.items():
            subject = origin.subjects.get(target)
            if subject is None:
                continue
            before, subject.look = subject.look, look
            if look is not None and subject.known:
                self._take_look(origin, subject, before, look, now)

    def _take_look(self, origin: Origin, subject: Subject, before: Look | None, look: Look, now: float) -> None:
        asked_for = verdict(before, look, subject.unfinished)
        if asked_for is Verdict.READ and announced(origin, subject, now) and heard(look, subject.history):
            asked_for = Verdict.NOTHING
        if asked_for is Verdict.READ:
            subject.wanted_at = subject.due_at = now
            subject.repeats = 0
            return
        if asked_for is Verdict.STEP:
            (build,) = subject.unfinished
            self._merged(
                origin,
                subject,
                merge(subject.history, [(stepped(build, look), now - origin.skew)], self.rules, now),
                now,
            )
        if not subject.asked.failures and covers(look, subject.unfinished):
            self._current(origin, subject, now)

    def look_failed(self, origin: Origin, name: str, error: Exception, now: float) -> None:
        """Tell of every target in the list that it could not be read."""
        _log_failure("list failed", f"{origin.name}/{name}", error)
        origin.lists[name] = self._later(origin.lists.get(name, Asked()), error, now)
        for subject in list(origin.listed(name)):
            self._down(origin, subject, error, now)
        origin.read[False] += 1

    # Builds

    def read(self, origin: Origin, subject: Subject, walked: Walked, *, sweep: bool, now: float) -> None:
        """Take in what a walk brought, all of it or nothing."""
        before = subject.history
        history = merge(before, timely(before, walked.sights), self.rules, now)
        history = without(history, walked.gone, self.rules, now)
        history = replace(history, mark=walked.mark, walked_at=now - origin.skew)
        if not walked.ordered and origin.short and not origin.provider.ordered:
            origin.short = False
            log.warning("builds are not told newest first: every page is read", source=origin.name)
        if sweep:
            subject.swept_at = now
        elif before.baseline is None:
            subject.swept_at = now - SWEEP * self.chance()  # so that the next are spread
        subject.asked = Asked(now)
        origin.read[True] += 1
        if walked.missed:
            subject.errors["missed"] += 1
            log.warning("more builds came than a read may follow; the oldest are missed", target=subject.target.address)
        for rejected in walked.rejected:
            if (subject.target, rejected) not in origin.met:
                origin.met[subject.target, rejected] = True
                self.meters.rejected(origin.name, rejected.reason)
        if before.baseline is not None and untold(before, history, now - origin.skew):
            subject.announced = origin.webhook.projects[subject.target.project] = False
        recovered = self._recovered(subject)
        self._merged(origin, subject, history, now, show=walked.missed or recovered)
        self._refreshed(subject, now)
        self._schedule(origin, subject, now)

    def _schedule(self, origin: Origin, subject: Subject, now: float) -> None:
        """When a target that a list covers must be read again: soon if the list told of a build that the read lacks."""
        look = subject.look
        if subject.due_at > now:
            subject.wanted_at = subject.due_at
        elif announced(origin, subject, now):
            subject.wanted_at = now + SLOWEST * (1 - self.chance() / 2)  # not all at once
        elif look is None:
            subject.wanted_at = None
        elif running(look) and not subject.unfinished and subject.repeats < REPEATS:
            subject.repeats += 1
            subject.wanted_at = now + self.refresh.ttl
        else:
            subject.repeats = 0
            subject.wanted_at = min(now + HOURLY, schedule.overrun(subject.pulse, now - origin.skew) + origin.skew)

    def read_failed(self, origin: Origin, subject: Subject, error: Exception, now: float) -> None:
        """Keep what is known, and try again later."""
        _log_failure("read failed", subject.target.address, error)
        subject.asked = self._later(subject.asked, error, now)
        self._down(origin, subject, error, now)
        origin.read[False] += 1

    # Deliveries

    def delivered(self, origin: Origin, headers: Mapping[str, str], body: bytes, now: float) -> Result:
        """Take in what a webhook delivered: headers (names in lower case) and JSON, from whoever knows the secret."""
        try:
            delivery = origin.provider.event(headers, decode(Answer(200, body)))
        except BadPayload:
            delivery, result = Delivery(OTHER_EVENT), Result.MALFORMED
        else:
            result = self._delivered(origin, delivery, now)
        self.meters.webhook(origin.name, delivery.event, result)
        return result

    def _delivered(self, origin: Origin, delivery: Delivery, now: float) -> Result:
        webhook = origin.webhook
        if delivery.event == OTHER_EVENT:
            return Result.UNKNOWN_EVENT
        webhook.heard_at = now
        if delivery.key in webhook.seen:
            return Result.REPEATED
        if delivery.key:
            webhook.seen[delivery.key] = True
        subject = next((origin.subjects[target] for target in delivery.targets if target in origin.subjects), None)
        if subject is not None:
            return self._told(origin, subject, delivery, now)
        if delivery.targets and delivery.targets not in webhook.strangers:
            webhook.strangers[delivery.targets] = True
            webhook.discover_at = max(now, origin.discovery.at + self.refresh.ttl)
            log.info("a delivery names a target that is not read", target=delivery.targets[0].address)
        return Result.UNKNOWN_TARGET

    def _told(self, origin: Origin, subject: Subject, delivery: Delivery, now: float) -> Result:
        if not subject.known:
            return Result.DUE  # as it is anyway: it was never read
        history = subject.history
        news = told(history, delivery, now - origin.skew)
        if news.prompt is not None:
            subject.announced = origin.webhook.projects[subject.target.project] = news.prompt
        if news.due:
            subject.wanted_at = subject.due_at = now
        if news.sights:
            self._merged(origin, subject, merge(history, news.sights, self.rules, now), now)
            if subject.up:
                self._current(origin, subject, now)
            return Result.APPLIED
        return Result.DUE if news.due else Result.STALE

    # What they share

    def _merged(self, origin: Origin, subject: Subject, history: History, now: float, *, show: bool = False) -> None:
        moved = history.version != subject.history.version
        subject.history = history
        if moved:
            subject.pulse = schedule.pulse(history, now - origin.skew)
        if moved or show:
            self.display.show(origin, subject, now)

    def _current(self, origin: Origin, subject: Subject, now: float) -> None:
        """The target is known to be as it is shown."""
        if self._recovered(subject):
            self.display.show(origin, subject, now)
        self._refreshed(subject, now)

    def _recovered(self, subject: Subject) -> bool:
        """Note that the target can be read; whether that is news, to be shown."""
        before = subject.up
        if before is False:
            log.info("read again", target=subject.target.address)
        subject.up, subject.error = True, ""
        return before is not True

    def _refreshed(self, subject: Subject, now: float) -> None:
        subject.refreshed_at = max(now, subject.refreshed_at or now)
        self.display.refreshed(subject.target, subject.refreshed_at)

    def _down(self, origin: Origin, subject: Subject, error: Exception, now: float) -> None:
        """The target could not be read; that its turn was only put off is no failure of it."""
        subject.errors[error.reason if isinstance(error, SourceError) else "unexpected"] += 1
        if not isinstance(error, RateLimited):
            subject.up, subject.error = False, str(error)
        self.display.show(origin, subject, now)

    def _later(self, asked: Asked, error: Exception, now: float) -> Asked:
        if isinstance(error, RateLimited):
            return asked
        failures = asked.failures + 1
        return replace(asked, failures=failures, not_before=self._retry_at(failures, now))

    def _retry_at(self, failures: int, now: float) -> float:
        return schedule.retry_at(failures, now, self.refresh.ttl, self.chance()) if failures else now


def observed(origin: Origin, seen: RequestStats) -> None:
    """Keep what an answer says of the allowance and of the server's clock."""
    budget = rate_limit.told(
        origin.purse.budget, rate_limit.allowance_of(seen.headers, origin.provider.limit_headers, seen.at)
    )
    # What was under way when a rest began ends no row of refusals.
    refused = seen.code == TOO_MANY or seen.at < budget.resting_until
    origin.purse.budget = budget if refused else rate_limit.answered(budget)
    origin.skew = rate_limit.skew_of(seen.headers, seen.at)


def rest(origin: Origin, error: RateLimited, now: float) -> None:
    """Let the source's budget rest after a 429, and say so once."""
    purse = origin.purse
    purse.budget = rate_limit.refused(purse.budget, error.retry_after, now)
    if not purse.resting:
        purse.resting = True
        seconds = round(purse.budget.resting_until - now)
        log.warning("the allowance is used up: the source rests", source=origin.name, seconds=seconds)


def rested(origin: Origin, now: float) -> None:
    """Say once that the source no longer rests, when something was answered again."""
    purse = origin.purse
    if purse.resting and not purse.budget.rests and now >= purse.budget.resting_until:
        purse.resting = False
        log.info("the source no longer rests", source=origin.name)


def _log_failure(what: str, which: str, error: Exception) -> None:
    if isinstance(error, RateLimited):
        return  # `rest` says it, once for all
    if isinstance(error, SourceError):
        log.warning(what, of=which, reason=error.reason, error=str(error))
    else:
        log.error(what, of=which, reason="unexpected", exc_info=error)
