"""`POST /webhooks/{source}`: what a provider delivers, from whoever knows the secret of that source's webhook."""

import asyncio
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response

from exporter.collector import Collector
from exporter.errors import Unauthorized
from exporter.polling.deliveries import Result
from exporter.providers import OTHER_EVENT

log = structlog.get_logger()

LARGEST_BODY: Final = 1024 * 1024
"""Bytes."""
SLOWEST_BODY: Final = 10.0
"""Seconds that a body may take to arrive; providers wait no longer for the answer."""

STATUS: Final[Mapping[Result, int]] = MappingProxyType(
    {
        Result.APPLIED: 200,
        Result.DUE: 200,
        Result.REPEATED: 200,
        Result.STALE: 200,
        # Not ours, yet no fault of the sender's: GitLab disables a webhook after four answers of 4xx.
        Result.UNKNOWN_TARGET: 202,
        Result.UNKNOWN_EVENT: 202,
        Result.MALFORMED: 400,
        Result.UNAUTHORIZED: 401,
        Result.TOO_LARGE: 413,
    }
)


async def deliver(collector: Collector, request: Request) -> Response:
    """Take in one delivery, and answer with its result."""
    source, headers = request.path_params["source"], dict(request.headers)
    try:
        admitted = collector.admits(source, headers)
    except Unauthorized as error:
        log.error("the secret of a webhook cannot be read", source=source, error=str(error))  # noqa: TRY400  # one line
        return PlainTextResponse("the secret cannot be read\n", 503)
    if admitted is None:
        return PlainTextResponse("no such webhook\n", 404)
    if not admitted:
        return _refused(collector, source, Result.UNAUTHORIZED)
    try:
        async with asyncio.timeout(SLOWEST_BODY):
            body = await _body(request)
    except (TimeoutError, ClientDisconnect):
        return PlainTextResponse("the body did not come\n", 408)
    if body is None:
        return _refused(collector, source, Result.TOO_LARGE)
    return _answer(await run_in_threadpool(collector.delivered, source, headers, body))


async def _body(request: Request) -> bytes | None:
    """The body; None where it is larger than may be, whatever its length was said to be."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BODY:
            return None
    return bytes(body)


def _refused(collector: Collector, source: str, result: Result) -> Response:
    collector.self_metrics.webhook(source, OTHER_EVENT, result)
    return _answer(result)


def _answer(result: Result) -> Response:
    return PlainTextResponse(f"{result}\n", STATUS[result])
