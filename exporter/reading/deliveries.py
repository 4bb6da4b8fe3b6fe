"""What webhooks deliver: it is committed and shown, or makes a target due."""

from collections.abc import Mapping

import structlog

from exporter.errors import (
    BadPayload,
)
from exporter.history.window import History
from exporter.http.wire import Answer, decode
from exporter.polling import results
from exporter.polling.deliveries import Result, Told, told
from exporter.polling.state import Source, TargetState, digest
from exporter.providers import OTHER_EVENT, Delivery
from exporter.reading.core import Reading

log = structlog.get_logger()


def delivered(reading: Reading, source: Source, headers: Mapping[str, str], body: bytes) -> Result:
    """Book what a webhook delivered: headers (names in lower case) and JSON, from a sender that has the secret."""
    try:
        delivery = source.provider.event(headers, decode(Answer(200, body)))
    except BadPayload:
        delivery, result = Delivery(OTHER_EVENT), Result.MALFORMED
    else:
        result = _delivered(reading, source, delivery)
    reading.self_metrics.webhook(source.name, delivery.event, result)
    return result


def _delivered(reading: Reading, source: Source, delivery: Delivery) -> Result:
    now, webhook = reading.clock(), source.state.webhook
    if delivery.event == OTHER_EVENT:
        return Result.UNKNOWN_EVENT
    with reading.lock:
        webhook.heard_at = now
        if delivery.key in webhook.seen:
            return Result.REPEATED
        if delivery.key:
            webhook.seen[delivery.key] = True
        state = next((source.targets[target] for target in delivery.targets if target in source.targets), None)
        if state is None:
            _stranger(reading, source, delivery, now)
            return Result.UNKNOWN_TARGET
    return _apply_delivery(reading, source, state, delivery, now)


def _stranger(reading: Reading, source: Source, delivery: Delivery, now: float) -> None:
    webhook = source.state.webhook
    if delivery.targets and delivery.targets not in webhook.strangers:
        webhook.strangers[delivery.targets] = True
        webhook.discover_at = max(now, source.state.discovery.asked.at + reading.times().refresh.ttl)
        log.info("a delivery names a target that is not read", target=delivery.targets[0].address)


def _apply_delivery(reading: Reading, source: Source, state: TargetState, delivery: Delivery, now: float) -> Result:
    if not state.digest.known:
        return Result.DUE  # it was never read, and is due anyway
    skew, rules = source.state.skew, reading.rules
    news: list[Told] = []

    def change(history: History) -> History:
        news.append(told(history, delivery, now - skew))
        return news[-1].applied(history, rules, now)

    after = reading.committed(source, state.target, change)
    with reading.lock:
        if not news or source.targets.get(state.target) is not state:
            return Result.STALE
        told_now = news[-1]
        if told_now.prompt is not None:
            source.state.webhook.projects[state.target.project] = told_now.prompt
        state.polling = results.after_delivery(state.polling, told_now, now)
        if told_now.news:
            before = state.digest.version
            state.digest = digest(after, now - skew, state.digest)
            health = results.current(state.health, now) if state.health.up else state.health
            reading.show(source, state, health, after, anew=after.version != before)
            return Result.APPLIED
        return Result.DUE if told_now.due else Result.STALE
