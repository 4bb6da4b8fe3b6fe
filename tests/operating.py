"""An operator at a simulator without a network: a fake at `fetch`, and a clock that is set by hand."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

from exporter.config.secret import EnvToken
from exporter.errors import SourceError
from exporter.http.http_errors import RequestContext, error_for_status
from exporter.http.wire import Answer, Request
from exporter.operate import Operator
from exporter.providers import provider_of
from exporter.providers.gitlab import GitLabSource
from exporter.providers.northflank import NorthflankSource
from exporter.settings.settings import Source
from exporter.simulator import SIMULATOR_TOKEN, Simulator, World, demo_world
from exporter.simulator import Request as Simulated

TOKEN = EnvToken("NO_SUCH_TOKEN")
NORTHFLANK = NorthflankSource(name="northflank", provider="northflank", token=TOKEN)
GITLAB = GitLabSource(
    name="gitlab", provider="gitlab", url="https://gitlab.example.com", token=TOKEN, groups=("harbour",)
)
OLD_GITLAB = GitLabSource(
    name="old-gitlab", provider="gitlab", url="https://gitlab.example.com", api="v3", token=TOKEN, projects=(2105,)
)


@dataclass
class Hand:
    """An operator at a source of a simulator, and all that it asked."""

    source: Source
    now: float = 1_795_300_000.0
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Method and path with its query."""
    bodies: list[bytes | None] = field(default_factory=list)
    """Of those that change something."""
    slept: list[float] = field(default_factory=list)
    fault: Callable[[str, str], SourceError | None] = lambda _method, _path: None
    """What goes wrong with a request instead of an answer."""
    answered: Callable[[str, str, Answer], Answer] = lambda _method, _path, answer: answer
    """What becomes of an answer on the way."""
    instead: Callable[[str], bytes | None] = lambda _path: None
    """The answer to a request for a path, instead of the simulator's."""
    of: World = field(default_factory=demo_world)

    def __post_init__(self) -> None:
        self.simulator = Simulator(self.of, clock=lambda: self.now)
        self.operator = Operator(self.source, lambda: self, clock=lambda: self.now, sleep=self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def __call__(self, request: Request, *, method: str = "GET", body: bytes | None = None) -> Answer:
        query = f"?{urlencode(request.params)}" if request.params else ""
        self.asked.append((method, request.path + query))
        if method != "GET":
            self.bodies.append(body)
        fault = self.fault(method, request.path)
        if fault:
            raise fault
        body_instead = self.instead(request.path)
        if body_instead is not None:
            return Answer(200, body_instead, {}, self.now)
        headers = {**provider_of(self.source).headers(SIMULATOR_TOKEN)}
        given = self.simulator.answer(Simulated.of(method, request.path + query, headers, body or b""))
        asked = RequestContext(self.source.name, self.source.url, request.path, 10.0, 5.0)
        if given.status >= 300:
            raise error_for_status(given.status, given.headers, given.body, asked, now=self.now)
        lowered: Mapping[str, str] = {name.lower(): value for name, value in given.headers.items()}
        return self.answered(method, request.path, Answer(given.status, given.body, lowered, self.now))

    def close(self) -> None:
        """Nothing is open."""

    @property
    def changes(self) -> list[tuple[str, str]]:
        """What was asked that changes something."""
        return [(method, path) for method, path in self.asked if method != "GET"]
