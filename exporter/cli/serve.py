"""The commands that collect: `serve`, `demo`, `once`, `check`, `targets`; and `simulate`, which answers them."""

import asyncio
import gzip
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import structlog

from exporter import __version__
from exporter.cli import logs
from exporter.cli.completion import remember_targets
from exporter.cli.demo import simulated_settings
from exporter.cli.forecast import forecast
from exporter.cli.options import config_file, not_a_url, option, seconds
from exporter.cli.progress import reading
from exporter.cli.settings_file import both, loaded, usable
from exporter.collector import Collector
from exporter.errors import ConfigError
from exporter.exposition.render import Format
from exporter.settings import load
from exporter.settings.settings import Settings
from exporter.simulator.demo import DEMO_LIMIT, demo_world
from exporter.simulator.limit import Limit
from exporter.simulator.server import Simulator
from exporter.simulator.world import world
from exporter.web.access import Access
from exporter.web.application import application, usable_path
from exporter.web.server import cannot_listen, host_and_port, listen, run
from exporter.web.web_file import WebFile

PERIODS = {"s": 1.0, "m": 60.0, "h": 3600.0}

log = structlog.get_logger()


listen_address = option(
    "web.listen-address",
    callback=not_a_url,
    default=":10065",
    show_default=True,
    help="HOST:PORT, or :PORT for every address.",
)
telemetry_path = option("web.telemetry-path", default="/metrics", show_default=True, help="The path of the metrics.")
web_config_file = option(
    "web.config.file",
    type=click.Path(path_type=Path),
    help="The file with TLS, users and headers, YAML.",
)
log_level = option(
    "log.level", type=click.Choice(logs.LEVELS), default="info", show_default=True, help="Minimum level to log."
)
log_format = option(
    "log.format", type=click.Choice(logs.FORMATS), default="logfmt", show_default=True, help="Format of the log."
)


@click.command()
@config_file
@listen_address
@telemetry_path
@option("web.enable-lifecycle", is_flag=True, help="Allow POST /-/reload to load the configuration again.")
@web_config_file
@log_level
@log_format
def serve(config_file: Path, web_config_file: Path | None, **options: Any) -> None:
    """Answer scrapes."""
    logs.configure(options["log_level"], options["log_format"])
    settings, web = both(lambda: usable(config_file), lambda: named_web_file(web_config_file))
    answer_scrapes(settings, lambda: usable(config_file), web, **options)


@click.command()
@listen_address
@telemetry_path
@log_level
@log_format
def demo(**options: Any) -> None:
    """Answer scrapes about a simulated Northflank and GitLab: no account, no token."""
    logs.configure(options["log_level"], options["log_format"])
    made = demo_world()
    # Two servers: what one allows to one token is one allowance.
    with Simulator(made, rate_limit=DEMO_LIMIT) as northflank, Simulator(made, rate_limit=DEMO_LIMIT) as gitlab:
        settings = simulated_settings(northflank.url, gitlab.url)
        answer_scrapes(settings, lambda: settings, None, **options)


def named_web_file(path: Path | None) -> WebFile | None:
    """What `--web.config.file` names. Raises ConfigError."""
    return WebFile(path) if path else None


class Reload:
    """Reads the configuration again and applies it; one reload at a time, so that the newer file stays in force."""

    def __init__(self, collector: Collector, reread: Callable[[], Settings], web: WebFile | None = None) -> None:
        self._collector, self._reread, self._web = collector, reread, web
        self._lock = threading.Lock()

    def __call__(self) -> None:
        """Reload. Raises ConfigError, and then nothing has changed."""
        with self._lock:
            self._reload()

    def _reload(self) -> None:
        web, metrics = self._web, self._collector.self_metrics
        try:
            anew, made = both(self._reread, lambda: web.read() if web else None)
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
    path = usable_path(options["web_telemetry_path"])
    listening = listen(options["web_listen_address"])
    collector = Collector(settings)
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
    app = application(collector, path, reload, lifecycle=options.get("web_enable_lifecycle", False), stopping=stopping)
    run(Access(app, web) if web else app, listening, reload_at_hangup, context, stopping)


@click.command()
@config_file
@log_level
@log_format
def once(config_file: Path, log_level: str, log_format: str) -> None:
    """Collect once, print the exposition text, and end with 1 if any target was not read."""
    logs.configure(log_level, log_format)
    collector = Collector(usable(config_file))
    with reading(collector):
        collector.collect()
    click.echo(gzip.decompress(collector.expose(Format.TEXT)), nl=False)
    collector.close()
    if any(report.errors or report.unread for report in collector.reports()):
        sys.exit(1)


@click.command()
@config_file
@web_config_file
@option("live", is_flag=True, help="Try every source, and predict requests per hour and series.")
def check(config_file: Path, web_config_file: Path | None, *, live: bool) -> None:
    """Validate the configuration; exit 2 if it has a fault, 1 if a source cannot be read."""
    logs.configure("error", "logfmt")
    settings, web = both(lambda: loaded(config_file), lambda: named_web_file(web_config_file))
    missing = load.secrets(settings)
    if live and missing:
        raise ConfigError(missing)
    for note in (*missing, *(web.now().notes if web else ())):
        click.echo(f"note: {note}", err=True)
    click.echo(f"{config_file}: good, {len(settings.sources)} source{'s' if len(settings.sources) > 1 else ''}")
    if web:
        click.echo(f"{web_config_file}: good, {web.now().summary}")
    if live:
        collector = Collector(settings)
        with reading(collector):
            collector.collect()
        for line in forecast(collector, settings):
            click.echo(line)
        collector.close()
        if any(report.errors for report in collector.reports()):
            sys.exit(1)


@click.command()
@config_file
def targets(config_file: Path) -> None:
    """Print the address of each target; exit 1 if a source could not be listed."""
    logs.configure("warn", "logfmt")
    collector = Collector(usable(config_file))
    with reading(collector, listing_only=True):
        collector.discover()
    addresses = [target.address for target in sorted(collector.targets())]
    for address in addresses:
        click.echo(address)
    collector.close()
    if any(report.errors for report in collector.reports()):
        sys.exit(1)
    remember_targets(config_file, addresses)


def _limit(_context: click.Context, _parameter: click.Parameter, text: str | None) -> Limit | None:
    if text is None:
        return None
    number, separator, period = text.partition("/")
    if not number.isdecimal() or not int(number) or not separator or period not in PERIODS:
        raise click.BadParameter("wants requests and a period, e.g. 1000/h, 600/m or 10/s")
    return Limit(int(number), PERIODS[period])


@click.command()
@option("listen", callback=not_a_url, default="127.0.0.1:0", show_default=True, help="HOST:PORT; 0 is any free port.")
@option("northflank-projects", type=click.IntRange(0), default=1, show_default=True, help="Projects of Northflank.")
@option("services", type=click.IntRange(0), default=10, show_default=True, help="Services per Northflank project.")
@option("jobs", type=click.IntRange(0), default=4, show_default=True, help="Jobs per Northflank project.")
@option("gitlab-projects", type=click.IntRange(0), default=4, show_default=True, help="Projects of GitLab.")
@option("latency", callback=seconds, default="0", show_default=True, help="How long each answer takes, e.g. 100ms.")
@option("rate-limit", callback=_limit, help="Rate limit of each provider, e.g. 1000/h; none if not given.")
@option("seed", type=int, default=1, show_default=True, help="The same seed and clock give the same builds.")
def simulate(listen: str, latency: float, rate_limit: Limit | None, seed: int, **sizes: int) -> None:
    """Serve a simulated Northflank (/v1) and GitLab (/api/v4, /api/v3), for tests and benchmarks."""
    host, port = host_and_port("listen", listen)
    made = world(seed=seed, **sizes)
    simulator = Simulator(made, (host or "127.0.0.1", port), latency=latency, rate_limit=rate_limit, seed=seed)
    try:
        simulator.start()
    except OSError as error:
        raise cannot_listen("listen", listen, error) from error
    signal.signal(signal.SIGTERM, lambda *_: simulator.stopping.set())  # as the first process of a container, too
    with suppress(KeyboardInterrupt):
        click.echo(simulator.url)
        click.echo(f"token: {simulator.token}", err=True)
        simulator.stopping.wait()
    simulator.stop()
