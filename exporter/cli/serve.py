"""What `serve` and `demo` do: answer scrapes, and reload the configuration."""

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog

from exporter import __version__
from exporter.cli.settings_file import both
from exporter.collector import Collector
from exporter.config.values import StoreAddress
from exporter.errors import ConfigError
from exporter.settings.settings import Settings
from exporter.store.contract import Store
from exporter.store.memory import MemoryStore
from exporter.web.access import Access
from exporter.web.application import application, usable_path
from exporter.web.external_url import behind
from exporter.web.server import listen, run
from exporter.web.web_file import WebFile

log = structlog.get_logger()


def named_web_file(path: Path | None) -> WebFile | None:
    """What `--web.config.file` names. Raises ConfigError."""
    return WebFile(path) if path else None


def store_of(address: StoreAddress) -> Store:
    """The store at an address."""
    if address.kind == "memory":
        return MemoryStore()
    from exporter.store.sqlite import SqliteStore

    return SqliteStore(address.path)


class Reload:
    """Reads the configuration again and applies it; one reload at a time, so that the newer file stays in force."""

    def __init__(self, collector: Collector, reread: Callable[[], Settings], web: WebFile | None = None) -> None:
        self._collector, self._reread, self._web = collector, reread, web
        self._store = collector.settings.store
        self._lock = threading.Lock()

    def __call__(self) -> None:
        """Reload. Raises ConfigError, and then nothing has changed."""
        with self._lock:
            self._reload()

    def _reload(self) -> None:
        web, metrics = self._web, self._collector.self_metrics
        try:
            anew, made = both(self._reread, lambda: web.read() if web else None)
            if anew.store != self._store:
                log.warning("another store is used after a restart only", configured=str(anew.store))
            self._collector.configure(anew)
            if web and made:
                web.use(made)
        except ConfigError as error:
            metrics.reload_successful.set(0)
            log.error("reload failed: the running configuration stays", faults=error.faults)  # noqa: TRY400  # no bug
            raise
        metrics.reload_successful.set(1)
        metrics.reload_success_time.set(time.time())
        log.info("configuration reloaded")


def answer_scrapes(settings: Settings, reread: Callable[[], Settings], web: WebFile | None, **options: Any) -> None:
    """Serve until told to end; `reread` gives the settings anew at a reload, or raises ConfigError."""
    path, external = usable_path(options["web_telemetry_path"]), options["web_external_url"]
    listening = listen(options["web_listen_address"])
    collector = Collector(settings, store=store_of(settings.store))
    reload = Reload(collector, reread, web)

    def reload_at_hangup() -> None:
        with suppress(ConfigError):  # the log has said it, and nobody waits for an answer
            reload()

    collector.self_metrics.reload_successful.set(1)
    collector.self_metrics.reload_success_time.set(time.time())
    host, port = listening.getsockname()[:2]
    host = "localhost" if host in {"::", "0.0.0.0"} else f"[{host}]" if ":" in host else host  # noqa: S104  # is shown only
    context = web.context() if web else None
    log.info("listening", url=f"{'https' if context else 'http'}://{host}:{port}{path}", version=__version__)
    stopping = asyncio.Event()
    lifecycle = options.get("web_enable_lifecycle", False)
    app = application(
        collector,
        path,
        reload,
        lifecycle=lifecycle,
        stopping=stopping,
        external=external,
        self_scrape=options.get("self_scrape", 0.0),
    )
    answering = behind(external.prefix, Access(app, web) if web else app)
    run(answering, listening, reload_at_hangup, context, stopping, collector.close)
