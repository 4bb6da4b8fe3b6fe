"""The command `simulate`. Its code is imported when it runs, so that completing its options stays quick."""

import signal
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from exporter.cli.options import not_a_url, option, seconds

if TYPE_CHECKING:
    from exporter.simulator.limit import Limit

PERIODS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def _limit(context: click.Context, _parameter: click.Parameter, text: str | None) -> "Limit | None":
    if text is None or context.resilient_parsing:
        return None
    from exporter.simulator.limit import Limit

    number, separator, period = text.partition("/")
    if not number.isdecimal() or not int(number) or not separator or period not in PERIODS:
        raise click.BadParameter("must be requests and a period, e.g. 1000/h, 600/m or 10/s")
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
def simulate(listen: str, latency: float, rate_limit: "Limit | None", seed: int, **sizes: int) -> None:
    """Serve a simulated Northflank (/v1) and GitLab (/api/v4, /api/v3), for tests and benchmarks."""
    from exporter.simulator.server import Simulator
    from exporter.simulator.world import world
    from exporter.web.server import cannot_listen, host_and_port

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
