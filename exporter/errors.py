"""The tree of errors; each is one line for the operator that names what is wrong, where, and what to do.

ExporterError
├── ConfigError      the configuration cannot be used; holds every fault found
├── ListenError      the address to serve on cannot be had
├── Refused          what an operator wishes cannot be done
├── OutcomeUnknown   a change was sent, and it is not known whether it was made
└── SourceError      a provider did not give what was asked; `reason` is the label of the metric
    ├── Unreachable      no connection, no answer in time, or a server's own failure (5xx)
    ├── Unauthorized     401, or a token that cannot be read
    ├── Forbidden        403
    ├── NotFound         404, 410, or moved elsewhere (3xx)
    ├── RateLimited      429
    └── BadPayload       an answer that is not what the API's page describes
"""


class ExporterError(Exception):
    """Something the operator can act on."""

    exit_status = 1
    """With what a command ends that fails of it."""


class ConfigError(ExporterError):
    """The configuration cannot be used. `faults` are lines `FILE:LINE: key.path: what is wrong`, in order."""

    exit_status = 2

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class ListenError(ExporterError):
    """The address to serve on cannot be had."""


class Refused(ExporterError):
    """What an operator wishes cannot be done: the line says why. Nothing was changed."""


class OutcomeUnknown(ExporterError):
    """A change was sent, and it is not known whether the provider made it; the line says how to look."""

    exit_status = 5


class SourceError(ExporterError):
    """A provider did not give what was asked. `status` is the HTTP status of its answer, None where none came."""

    reason = "unexpected"
    unsent = False
    """Whether the request surely never reached the provider."""
    said = ""
    """The provider's own words, where its answer has some."""
    moved_to = ""
    """The path, without the server, to which a redirect (3xx) leads."""

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Unreachable(SourceError):
    """No connection, no answer in time, or a server's own failure."""

    reason = "unreachable"


class Unauthorized(SourceError):
    """The token was refused, or cannot be read."""

    reason = "unauthorized"


class Forbidden(SourceError):
    """The token has no right to this."""

    reason = "forbidden"


class NotFound(SourceError):
    """There is no such thing, or the token may not see it."""

    reason = "not_found"


class RateLimited(SourceError):
    """The allowance is used up. `retry_after` is in seconds, None where the server did not say."""

    reason = "rate_limited"

    def __init__(self, message: str, retry_after: float | None = None, *, status: int | None = None) -> None:
        super().__init__(message, status=status)
        self.retry_after = retry_after


class BadPayload(SourceError):
    """An answer that is not what the API's page describes."""

    reason = "bad_payload"
