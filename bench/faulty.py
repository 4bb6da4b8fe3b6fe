"""Counted exactly once, though servers fail: errors now and then, pages that shift, an hour's outage."""

from collections.abc import Callable
from functools import partial
from random import Random

from bench import bad
from bench.bad import SCRAPE, Server
from bench.course import EARLIER, Hours, Ours, Scene, run
from bench.load import START
from bench.table import Cell, Figure, Row, quantile
from bench.watch import Count, Watch, truth_of
from exporter.http.wire import Request
from exporter.simulator import faults
from exporter.simulator.loopback import HOUR, Before

ERRORS, SHIFTS = 0.05, 0.02
"""The shares of requests that meet an error, and that find the page moved under them."""
OUTAGE = HOUR
SETTLED = 3 * HOUR
"""Seconds after the end in which a build may still conclude."""


def _faulty(scene: Scene, course: Hours, *, broken: bool) -> Before:
    """Puts a fault before one request and another; where `broken`, all fail for an hour in the middle."""
    dice = Random("faults")  # seeded
    outage = (course.begin + course.end) / 2

    def before(request: Request, now: float) -> None:
        throw = dice.random()
        if now >= course.end or now < course.begin:
            return
        if broken and outage <= now < outage + OUTAGE:
            scene.simulator.faults.add("*", faults.server_error(503), times=1)
        elif throw < ERRORS:
            scene.simulator.faults.add("*", faults.server_error(500), times=1)
        elif throw < ERRORS + SHIFTS and request.operation == "builds":
            scene.simulator.faults.add("*", faults.shifting(), times=1)

    return before


def row(server: Server, hours: float) -> Row:
    """The server's usual load for so many hours, under faults."""
    course = Hours(1.0, hours)
    scene = server.scene(course)
    script = scene.simulator.history
    watch, count = Watch(truth_of(scene.world, script, START - EARLIER, course.drained)), Count()
    collector = scene.exporter(server.settings(), [_faulty(scene, course, broken=hours > 1)])
    collector.collect()
    reader = Ours(collector, watch, count)
    reader.scrape(START)
    watch.forget_past(START)
    run(scene, reader, watch, course)
    # Pages shift because more is built: that is to end, and to be counted, too.
    scene.go(reader, watch, scene.clock.now + SETTLED, SCRAPE, iter(()))
    truth = truth_of(scene.world, script, START - EARLIER, scene.clock.now)
    concluded, counted, twice, missed = count.sums(truth)
    delays = watch.delays(course.begin, course.end)
    cells: dict[str, Cell] = {
        "requests/h": Figure(scene.ledger.total / hours, limit=server.most),
        "failed": Figure(sum(number for code, number in scene.ledger.codes.items() if code >= 500)),  # noqa: PLR2004
        "delay: median": Figure(quantile(delays, 0.5), " s"),
        "p99": Figure(quantile(delays, 0.99), " s"),
        "builds concluded": Figure(concluded),
        "counted": Figure(counted),
        "twice": Figure(twice, limit=0),
        "missed": Figure(missed, limit=0),
    }
    return Row(server.name, cells)


ROWS: dict[str, Callable[[float], Row]] = {
    f"faulty-{server.name.lower()}": partial(row, server) for server in bad.SERVERS
}
