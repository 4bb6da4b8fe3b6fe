"""What a simple exporter does: every minute the newest hundred builds of each target, whatever happens."""

from collections.abc import Callable

from bench.course import Scene
from bench.watch import Watch
from exporter.build import Target
from exporter.errors import SourceError
from exporter.http.wire import Reading, T
from exporter.providers import Page, provider_of
from exporter.settings.settings import Source
from exporter.simulator.loopback import Loopback

EVERY = 60.0
PAGE = 100


class Naive:
    """Reads every target once a minute; one that fails keeps what it showed."""

    def __init__(self, scene: Scene, source: Source, watch: Watch) -> None:
        self._provider = provider_of(source)
        self._fetch = Loopback(
            scene.simulator, scene.clock, scene.ledger, source=source.name, observe=lambda _seen: None
        )
        self._watch = watch
        self._due = 0.0
        self._targets: tuple[Target, ...] = self._drive(self._provider.discover()).targets

    def scrape(self, now: float) -> None:
        """Read what is due."""
        if now < self._due:
            return
        self._due = now + EVERY
        for target in self._targets:
            try:
                page = self._drive(self._provider.builds(target, PAGE))
            except SourceError:
                continue
            self._watch.look((target.kind, target.name), _says(page), now)

    def _drive(self, reading: Reading[T]) -> T:
        try:
            request = next(reading)
            while True:
                try:
                    answer = self._fetch(request)
                except SourceError as error:
                    request = reading.throw(error)
                else:
                    request = reading.send(answer)
        except StopIteration as end:
            result: T = end.value
            return result


def _says(page: Page) -> Callable[[str], str | None]:
    return {build.id: build.status for build in page.builds if build.concluded}.get
