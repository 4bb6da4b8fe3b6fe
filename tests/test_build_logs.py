"""`builds logs`: the lines of a GitLab job log, and following one until the job has ended."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import here
import pytest
from operating import GITLAB, NORTHFLANK, OLD_GITLAB, Hand
from serving import configuration, gitlab, northflank
from terminals import Terminal

from exporter.build import Target
from exporter.cli.log_output import shown
from exporter.errors import Forbidden, NotFound, RateLimited, Refused, SourceError, Unreachable
from exporter.operate import follow, retry, target_of
from exporter.providers.gitlab.trace import log_lines
from exporter.settings.settings import Settings
from exporter.simulator import Simulator, demo_world, faults

SETTINGS = Settings(sources=(NORTHFLANK, GITLAB, OLD_GITLAB))
WEB = "northflank/service/shop/web"
STOREFRONT = "gitlab/project/harbour/storefront"
BILLING = "old-gitlab/project/2105"

RUNNER = (
    b"\x1b[0KRunning with gitlab-runner 17.0.0\x1b[0;m\n"
    b"section_start:1700000000:get_sources\r\x1b[0K\x1b[0K\x1b[36;1mGetting source\x1b[0;m\n"
    b"Receiving objects:  10%\rReceiving objects: 100%, done.\r\n"
    b"section_end:1700000001:get_sources\r\x1b[0Ksection_start:1700000001:step_script[collapsed=true]\r\x1b[0K\n"
    b"\n"
    b"section_end:1700000002:step_script\r\x1b[0K\x1b[31;1mERROR: Job failed: exit code 1\x1b[0;m\n"
)


# The lines


def test_a_log_is_read_as_a_terminal_shows_it_in_the_end() -> None:
    assert log_lines(RUNNER) == [
        "Running with gitlab-runner 17.0.0\x1b[0;m",
        "\x1b[36;1mGetting source\x1b[0;m",
        "Receiving objects: 100%, done.",
        "",
        "\x1b[31;1mERROR: Job failed: exit code 1\x1b[0;m",
    ]


def test_the_time_stamps_of_newer_runners_are_left_out_and_their_pieces_joined() -> None:
    log = (
        b"2024-05-22T12:43:46.962646Z 00O Running with gitlab-runner 17.0.0\n"
        b"2024-05-22T12:43:47.962646Z 01E npm warn: a long\n"
        b"2024-05-22T12:43:47.962647Z 01E+ line\n"
        b"2024-05-22T12:43:48.000000Z 00O section_end:1700000001:step\r\x1b[0K\n"
        b"2024-05-22T12:43:48.000000Z is a time in the job's own output\n"
    )
    assert log_lines(log) == [
        "Running with gitlab-runner 17.0.0",
        "npm warn: a long line",
        "2024-05-22T12:43:48.000000Z is a time in the job's own output",
    ]


def test_until_the_job_has_ended_a_last_line_that_can_still_grow_is_left_out() -> None:
    assert log_lines(b"1\n2", ended=False) == ["1"]
    assert log_lines(b"1\n2\n", ended=False) == ["1", "2"]
    stamp = b"2024-05-22T12:43:46.962646Z 00O"
    assert log_lines(stamp + b" 1\n" + stamp + b" 2\n", ended=False) == ["1"]
    assert log_lines(stamp + b" 1\n" + stamp + b" 2\n") == ["1", "2"]
    assert log_lines(b"", ended=False) == []


@pytest.mark.parametrize(
    ("log", "lines"),
    [
        (b"", []),
        (b"\n", [""]),
        (b"no end", ["no end"]),
        (b"a\n\nb\n", ["a", "", "b"]),
        (b"\xff\xfe\n", ["\ufffd\ufffd"]),
        (b"section_start:1:without the end of a marker\n", ["section_start:1:without the end of a marker"]),
        (b"2024-05-22T12:43:46.962646Z 00O+continues nothing\n", ["continues nothing"]),
    ],
)
def test_a_log_can_be_anything(log: bytes, lines: list[str]) -> None:
    assert log_lines(log) == lines


def test_only_colours_pass_and_only_to_a_terminal() -> None:
    link = "\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\"
    line = f"\x1b[31mred\x1b[0m \x1b[2J\x1b[1;1Hup \x1b]0;title\x07{link} \u202eevil\b\ta"
    assert shown(line, colours=False) == "red up link \ufffdevil\ufffd a"
    assert shown(line, colours=True) == "\x1b[31mred\x1b[0m up link \ufffdevil\ufffd a\x1b[0m"
    assert shown("plain", colours=True) == "plain"
    assert shown("\x1b", colours=True) == "\ufffd"


# The operator


def at(address: str) -> tuple[Hand, Target]:
    source, target = target_of(SETTINGS, address)
    return Hand(source), target


def log_of(log: Callable[[], bytes]) -> Callable[[str], bytes | None]:
    """Answers with that log for every job."""
    return lambda path: log() if path.endswith("/trace") else None


@pytest.mark.parametrize("address", [STOREFRONT, BILLING])
def test_the_log_is_that_of_the_job(address: str) -> None:
    hand, target = at(address)
    hand.instead = log_of(lambda: RUNNER)
    build_id = hand.operator.builds(target, limit=1).builds[0].build.id
    hand.asked.clear()
    assert hand.operator.log(target, build_id)[-1] == "\x1b[31;1mERROR: Job failed: exit code 1\x1b[0;m"
    ((method, path),) = hand.asked
    assert (method, path.rpartition("/projects/")[2].split("/", 1)[1]) == (
        "GET",
        f"{'jobs' if address == STOREFRONT else 'builds'}/{build_id}/trace",
    )


def test_a_job_that_is_not_there_has_no_log() -> None:
    hand, target = at(STOREFRONT)
    hand.fault = lambda _method, path: NotFound("404", status=404) if path.endswith("/trace") else None
    with pytest.raises(Refused, match=f"{STOREFRONT} has no build 12"):
        hand.operator.log(target, "12")


def test_a_log_that_the_token_may_not_read_names_the_permission() -> None:
    hand, target = at(STOREFRONT)
    hand.fault = lambda _method, _path: Forbidden("x answered 403: the token of source s has no right", status=403)
    with pytest.raises(Forbidden, match="x answered 403: the token needs the scope read_api"):
        hand.operator.log(target, "12")


def test_logs_of_northflank_are_refused_before_anything_is_asked() -> None:
    hand, target = at(WEB)
    says = f"{WEB}: logs of Northflank builds cannot be read here; open the build in Northflank"
    with pytest.raises(Refused, match=says):
        hand.operator.log(target, "x-1")
    with pytest.raises(Refused, match=says):
        follow(hand.operator, target, "x-1", last=5, write=lambda _lines: None)
    assert not hand.asked


def running(address: str = STOREFRONT) -> tuple[Hand, Target, str]:
    """A job that has just been started."""
    hand, target = at(address)
    ended = hand.operator.builds(target, scope=("success",), limit=1).builds[0]
    hand.now += 60
    return hand, target, retry(hand.operator, target, ended).build.id


def test_following_writes_the_last_lines_and_then_each_line_once_it_is_whole() -> None:
    hand, target, build_id = running()
    growing = [b"1\n2\n3\n4", b"1\n2\n3\n4 whole\n5", b"1\n2\n3\n4 whole\n5\n6"]
    hand.instead = log_of(lambda: growing[min(len(hand.slept), len(growing) - 1)])
    written: list[list[str]] = []
    ended = follow(hand.operator, target, build_id, last=2, write=lambda lines: written.append(list(lines)))
    assert ended.build.concluded
    assert written == [["2", "3"], ["4 whole"], ["5"], ["6"]]
    assert set(hand.slept) == {3.0}


def test_following_what_has_ended_is_its_end() -> None:
    hand, target = at(STOREFRONT)
    hand.instead = log_of(lambda: b"1\n2\n3")
    ended = hand.operator.builds(target, scope=("failed",), limit=1).builds[0].build
    written: list[str] = []
    assert follow(hand.operator, target, ended.id, last=2, write=written.extend).build == ended
    assert (written, hand.slept) == (["2", "3"], [])


def test_following_goes_on_through_a_rate_limit_and_a_provider_that_is_away() -> None:
    hand, target, build_id = running()
    hand.instead = log_of(lambda: b"1\n2\n")
    left: list[SourceError] = [
        RateLimited("too many", 20.0, status=429),
        Unreachable("connection refused"),
    ]
    hand.fault = lambda _method, _path: left.pop(0) if left else None
    written: list[str] = []
    told: list[str] = []
    follow(
        hand.operator,
        target,
        build_id,
        last=50,
        write=written.extend,
        progress=lambda _build, problem: told.append(problem),
    )
    assert written == ["1", "2"]
    assert hand.slept[:2] == [20.0, 3.0]
    assert told[:3] == ["the rate limit is reached; the next request is in 20 s", "connection refused", ""]


# The command


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with Simulator(demo_world()) as simulator:
        yield simulator


@pytest.fixture
def config(tmp_path: Path, simulator: Simulator) -> Path:
    simulator.faults.clear()
    path = tmp_path / "config.yaml"
    path.write_text(configuration(northflank(simulator), gitlab(simulator, more="groups: [harbour]")))
    return path


def failed_job(config: Path) -> str:
    listed = here.run("builds", "list", f"--config.file={config}", STOREFRONT, "--scope=failed", "-n1")
    return listed.out.splitlines()[1].split()[0]


def test_logs_prints_the_last_lines(config: Path, simulator: Simulator) -> None:
    build_id = failed_job(config)
    simulator.faults.add("*/trace", faults.instead(200, b"".join(b"line %d\n" % n for n in range(1, 101))))
    given = ("builds", "logs", f"--config.file={config}", STOREFRONT, build_id)
    assert here.run(*given).out.splitlines() == [f"line {n}" for n in range(51, 101)]
    assert here.run(*given, "-n", "2").out == "line 99\nline 100\n"
    assert len(here.run(*given, "-n", "1000").out.splitlines()) == 100
    followed = here.run(*given, "-n1", "--follow")
    assert (followed.status, followed.out) == (0, "line 100\n")
    assert re.fullmatch(rf"build {build_id}: failed after [0-9hms]+\n", followed.err)


def test_a_job_without_a_log_says_so(config: Path, simulator: Simulator) -> None:
    build_id = failed_job(config)
    simulator.faults.add("*/trace", faults.instead(200, b""))
    ended = here.run("builds", "logs", f"--config.file={config}", STOREFRONT, build_id)
    assert (ended.status, ended.out, ended.err) == (0, "", f"build {build_id} (failed) has no log\n")


def test_logs_of_northflank_are_refused_in_one_line(config: Path) -> None:
    ended = here.run("builds", "logs", f"--config.file={config}", WEB, "x-1")
    assert (ended.status, ended.out) == (1, "")
    assert ended.err.startswith(f"ci-build-exporter: {WEB}: logs of Northflank builds cannot be read here")


def test_on_a_terminal_a_log_keeps_its_colours(config: Path, simulator: Simulator) -> None:
    build_id = failed_job(config)
    simulator.faults.add("*/trace", faults.instead(200, RUNNER))
    given = ("builds", "logs", f"--config.file={config}", STOREFRONT, build_id)
    coloured = Terminal(*given, folder=config.parent)
    assert coloured.ended() == 0
    assert "\x1b[31;1mERROR: Job failed: exit code 1" in coloured.drawn
    plain = Terminal(*given, folder=config.parent, NO_COLOR="1")
    assert plain.ended() == 0
    assert plain.drawn.replace("\r", "").splitlines()[-1] == "ERROR: Job failed: exit code 1"
    assert "\x1b" not in plain.drawn
