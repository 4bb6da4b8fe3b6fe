"""`--web.external-url`: the address under which people reach the exporter, as Prometheus has it. Pure.

Its path, where it has one, stands before the path of every link. Requests are answered with that path and without it,
so a proxy may pass it on or strip it.
"""

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

_PLAIN: Final = "/~:@!$&'()*+,;="
"""Characters of a path that need no escape."""


@dataclass(frozen=True, slots=True)
class ExternalUrl:
    """Where people reach the exporter."""

    origin: str = ""
    """`https://ci.example.com`; empty where it was not given."""
    prefix: str = ""
    """`/builds`, or nothing: the path before every path of the exporter."""

    def path(self, path: str) -> str:
        """The path of a link, such as `/targets/gitlab/project/shop/web`."""
        return self.prefix + path

    def absolute(self, path: str) -> str:
        """The whole address of a path; the path alone where the origin is not known."""
        return self.origin + self.prefix + path

    def __str__(self) -> str:
        return f"{self.origin}{self.prefix}/"


def external_url(text: str) -> ExternalUrl:
    """What the option's value means; empty: it was not given. Raises ValueError, which says what to write."""
    if not text:
        return ExternalUrl()
    wanted = "write the address that people open, e.g. https://ci.example.com/ or https://example.com/builds/"
    try:
        parts = urlsplit(text)
        host = parts.hostname
        parts.port  # noqa: B018  # it raises where the port is none
    except ValueError:
        raise ValueError(f'"{text}" is no URL; {wanted}') from None
    if parts.scheme not in {"http", "https"} or not host or not text.isprintable() or " " in text:
        raise ValueError(f'"{text}" is no URL of a website; {wanted}')
    if parts.username is not None:
        raise ValueError(f"must contain no user and no password; {wanted}")
    if parts.query or parts.fragment:
        raise ValueError(f'"{text}" has something behind its path; {wanted}')
    path = "/" + parts.path.strip("/")
    return ExternalUrl(f"{parts.scheme}://{parts.netloc}", "" if path == "/" else quote(path, safe=_PLAIN + "%"))


def behind(prefix: str, application: ASGIApp) -> ASGIApp:
    """The application, which also answers paths that begin with the prefix."""
    if not prefix:
        return application
    prefix = unquote(prefix)  # as the server hands on paths

    async def stripped(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path: str = scope["path"]
            if path == prefix or path.startswith(f"{prefix}/"):
                scope = {**scope, "path": path.removeprefix(prefix) or "/"}
        await application(scope, receive, send)

    return stripped
