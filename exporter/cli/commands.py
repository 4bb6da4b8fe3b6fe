"""The commands that collect: `serve`, `demo`, `once`, `check` and `targets`.

Their code is imported when a command runs, so that completing its options stays quick.
"""

import sys
from pathlib import Path
from typing import Any

import click

from exporter.cli.completion import remember_targets
from exporter.cli.options import LOG_FORMATS, LOG_LEVELS, config_file, not_a_url, option, web_address

SELF_SCRAPE = 15.0
"""Seconds between two reads of the demo, which nothing may scrape."""
listen_address = option(
    "web.listen-address",
    callback=not_a_url,
    default=":10065",
    show_default=True,
    help="HOST:PORT, or :PORT for every address.",
)
telemetry_path = option("web.telemetry-path", default="/metrics", show_default=True, help="The path of the metrics.")
external_url = option(
    "web.external-url",
    callback=web_address,
    help="The address that people open, for links; its path, if any, is put before all others.",
)
web_config_file = option(
    "web.config.file",
    type=click.Path(path_type=Path),
    help="The file with TLS, users and headers, YAML.",
)
log_level = option(
    "log.level", type=click.Choice(LOG_LEVELS), default="info", show_default=True, help="Minimum level to log."
)
log_format = option(
    "log.format", type=click.Choice(LOG_FORMATS), default="logfmt", show_default=True, help="Format of the log."
)


@click.command()
@config_file
@listen_address
@telemetry_path
@external_url
@option("web.enable-lifecycle", is_flag=True, help="Allow POST /-/reload to load the configuration again.")
@web_config_file
@log_level
@log_format
def serve(config_file: Path, web_config_file: Path | None, **options: Any) -> None:
    """Answer scrapes."""
    from exporter.cli import logs
    from exporter.cli.serve import answer_scrapes, named_web_file
    from exporter.cli.settings_file import both, usable

    logs.configure(options["log_level"], options["log_format"])
    settings, web = both(lambda: usable(config_file), lambda: named_web_file(web_config_file))
    answer_scrapes(settings, lambda: usable(config_file), web, **options)


@click.command()
@listen_address
@telemetry_path
@external_url
@log_level
@log_format
def demo(**options: Any) -> None:
    """Answer scrapes about a simulated Northflank and GitLab: no account, no token."""
    from exporter.cli import logs
    from exporter.cli.demo import simulated_settings
    from exporter.cli.serve import answer_scrapes
    from exporter.simulator.demo import DEMO_LIMIT, demo_world
    from exporter.simulator.server import Simulator

    logs.configure(options["log_level"], options["log_format"])
    made = demo_world()
    # Two servers, because GitLab and Northflank have rate limits of their own.
    with Simulator(made, rate_limit=DEMO_LIMIT) as northflank, Simulator(made, rate_limit=DEMO_LIMIT) as gitlab:
        settings = simulated_settings(northflank.url, gitlab.url)
        answer_scrapes(settings, lambda: settings, None, self_scrape=SELF_SCRAPE, **options)


@click.command()
@config_file
@log_level
@log_format
def once(config_file: Path, log_level: str, log_format: str) -> None:
    """Collect once and print the metrics; exit 1 if any target was not read."""
    import gzip

    from exporter.cli import logs
    from exporter.cli.progress import reading
    from exporter.cli.settings_file import usable
    from exporter.collector import Collector
    from exporter.exposition.render import Format

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
    from exporter.cli import logs
    from exporter.cli.forecast import forecast
    from exporter.cli.progress import reading
    from exporter.cli.serve import named_web_file
    from exporter.cli.settings_file import both, loaded
    from exporter.collector import Collector
    from exporter.errors import ConfigError
    from exporter.settings import load

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
    from exporter.cli import logs
    from exporter.cli.progress import reading
    from exporter.cli.settings_file import usable
    from exporter.collector import Collector

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
