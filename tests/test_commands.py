"""The commands as a person runs them: what they print, how they end, and what they say of a first wrong try."""

import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click
import here
import pytest
from processes import COMMAND, environment, run, running, simulate
from prometheus_client.parser import text_string_to_metric_families
from serving import TOKEN, Reply, ask, configuration, eventually, gitlab, northflank, refused_url, simulating

from exporter import __version__
from exporter.cli import main
from exporter.simulator import faults
from exporter.simulator.server import SIMULATOR_TOKEN, Simulator
from exporter.simulator.world import world

SMALL = world(1, 2, 1, 2)
ADDRESSES = [
    "gitlab/project/group-0/app-0",
    "gitlab/project/group-0/app-1",
    "northflank/job/project-0/job-0",
    "northflank/service/project-0/service-0",
    "northflank/service/project-0/service-1",
]


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with simulating(SMALL) as simulator:
        yield simulator


@pytest.fixture
def config(tmp_path: Path, simulator: Simulator) -> Path:
    return written(tmp_path, northflank(simulator), gitlab(simulator))


def written(folder: Path, *sources: str, more: str = "") -> Path:
    path = folder / "config.yaml"
    path.write_text(configuration(*sources, more=more))
    return path


def test_once_prints_everything_and_ends_well(config: Path) -> None:
    ended = run("once", f"--config.file={config}")
    assert (ended.returncode, ended.stderr) == (0, "")
    reply = Reply(200, {}, ended.stdout.encode())
    assert reply.targets("northflank") == {"service-0", "service-1", "job-0"}
    assert reply.targets("gitlab") == {"group-0/app-0", "group-0/app-1"}
    assert list(text_string_to_metric_families(ended.stdout))


def test_once_ends_with_1_where_a_target_failed(config: Path, simulator: Simulator) -> None:
    simulator.faults.add("*/services/service-1/build", faults.html(502))
    ended = run("once", f"--config.file={config}")
    assert ended.returncode == 1
    assert Reply(200, {}, ended.stdout.encode()).targets("northflank") == {"service-0", "job-0"}
    (line,) = ended.stderr.splitlines()
    assert "of=northflank/service/project-0/service-1" in line
    assert "answered 502" in line


def test_a_pattern_that_matches_nothing_is_told_and_fails_nothing(tmp_path: Path, simulator: Simulator) -> None:
    some = northflank(simulator, more="projects: [{id: project-0, services: [service-0, web-*], jobs: []}]")
    config = written(tmp_path, some)
    once, check = run("once", f"--config.file={config}"), run("check", "--live", f"--config.file={config}")
    assert (once.returncode, check.returncode) == (0, 0)
    assert Reply(200, {}, once.stdout.encode()).targets("northflank") == {"service-0"}
    for told in (once.stderr, check.stdout):
        assert 'sources.northflank.projects.project-0.services: "web-*" matches nothing' in told.replace('\\"', '"')


def test_once_into_a_pipe_that_ends_early_is_quiet(config: Path) -> None:
    command = f"{COMMAND} once --config.file={config} | head -1"
    ended = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=environment(), check=False)
    assert (ended.stdout.startswith("# HELP"), ended.stderr) == (True, "")


def test_targets_lists_addresses(config: Path, simulator: Simulator) -> None:
    ended = run("targets", f"--config.file={config}")
    assert (ended.returncode, ended.stdout.splitlines(), ended.stderr) == (0, ADDRESSES, "")
    assert not [request for request in simulator.requests if request.path.endswith(("/build", "/jobs/"))]


def test_check_says_what_is_good(config: Path) -> None:
    ended = run("check", f"--config.file={config}")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, f"{config}: good, 2 sources\n", "")


def test_check_without_the_token_says_so_and_is_content(config: Path) -> None:
    ended = run("check", f"--config.file={config}", **{TOKEN: ""})
    assert (ended.returncode, ended.stdout) == (0, f"{config}: good, 2 sources\n")
    assert ended.stderr.splitlines() == [
        f"note: {config}:2: sources.0.token: the environment variable {TOKEN} is not set, or empty",
        f"note: {config}:3: sources.1.token: the environment variable {TOKEN} is not set, or empty",
    ]


def test_without_the_token_nothing_is_begun(config: Path) -> None:
    ended = run("serve", f"--config.file={config}", **{TOKEN: ""})
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.splitlines()[0] == (
        f"{config}:2: sources.0.token: the environment variable {TOKEN} is not set, or empty"
    )


def test_check_live_tries_each_source_and_foretells(config: Path) -> None:
    ended = run("check", f"--config.file={config}", "--live")
    assert (ended.returncode, ended.stderr) == (0, "")
    lines = ended.stdout.splitlines()
    assert lines[0] == f"{config}: good, 2 sources"
    assert "northflank: up, 2 services, 1 job" in lines
    assert "gitlab: up, 2 projects" in lines
    assert len([line for line in lines if re.search(r"\d+ requests an hour", line)]) >= 2
    assert [line for line in lines if re.match(r"series: [1-9]\d* of at most 500000", line)]


def test_check_live_names_what_cannot_be_read(tmp_path: Path, simulator: Simulator) -> None:
    sources = (
        northflank(refused_url(), "closed"),
        northflank("http://no-such-host.invalid", "nowhere"),
        gitlab(simulator, more="projects: [group-0/app-0, group-0/app-9]"),
    )
    ended = run("check", f"--config.file={written(tmp_path, *sources)}", "--live")
    assert (ended.returncode, ended.stderr) == (1, "")
    assert "closed: down, 0 services, 0 jobs\n  connection refused by 127.0.0.1:" in ended.stdout
    assert "nowhere: down, 0 services, 0 jobs\n" in ended.stdout
    assert "no-such-host.invalid" in ended.stdout
    assert "gitlab: up, 2 projects\n  gitlab/project/group-0/app-9: " in ended.stdout


def test_check_live_with_a_wrong_token_says_which_and_shows_none(config: Path) -> None:
    ended = run("check", f"--config.file={config}", "--live", **{TOKEN: "hunter2-hunter2"})
    assert ended.returncode == 1
    assert "answered 401 (Unauthorized): check the token of source northflank" in ended.stdout
    assert "hunter2" not in ended.stdout + ended.stderr


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", ": is empty; it needs at least sources"),
        ("sources: [\n", ":2: "),
        ("sources: []\n", ":1: sources: needs at least one entry"),
        ("sauces: []\n", ':1: sauces: unknown key; did you mean "sources"?'),
        (
            "sources:\n  - {name: a, provider: gitlub, token: {env: A}}\n",
            ':2: sources.0.provider: unknown provider; did you mean "gitlab"?',
        ),
        (
            "sources:\n  - {name: a, provider: northflank, token: {env: A}}\nrefresh: {ttl: 5 parsecs}\n",
            ":3: refresh.ttl: must be a duration, e.g. 30s, 5m, 1h30m or 7d",
        ),
        (
            "sources:\n  - {name: a, provider: northflank, token: {env: A}}\nmetrics: {drop: [ci_build_target_upp]}\n",
            ':3: metrics.drop.0: unknown family; did you mean "ci_build_target_up"?',
        ),
    ],
)
def test_check_names_file_line_and_key(tmp_path: Path, text: str, fault: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    ended = run("check", f"--config.file={path}")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert any(line.startswith(f"{path}{fault}") for line in ended.stderr.splitlines())


def test_check_of_a_missing_file_and_of_a_directory(tmp_path: Path) -> None:
    assert run("check", f"--config.file={tmp_path}/x.yaml").stderr == f"{tmp_path}/x.yaml: there is no such file\n"
    ended = run("serve", f"--config.file={tmp_path}")
    assert (ended.returncode, ended.stderr) == (2, f"{tmp_path}: is a directory; a file is wanted\n")


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        ((), 2, "Commands:"),
        (("sreve",), 2, "No such command 'sreve'. Did you mean 'serve'?"),
        (("serve",), 2, "Missing option '--config.file' (env var: 'CI_BUILD_EXPORTER_CONFIG_FILE')."),
        (("serve", "--config.flie=x"), 2, "No such option '--config.flie'. (Did you mean one of: '--config.file'"),
        (("serve", "-config.file=x"), 2, "No such option '-config.file': write it with two dashes, '--config.file'."),
        (("builds", "list", "-failed-last"), 2, "No such option '-failed-last': write it with two dashes"),
        (("check", "-x"), 2, "No such option '-x'."),
        (("demo", "--web.listen-address=http://:10065"), 2, 'is a URL; write HOST:PORT without "http://", e.g. :10065'),
        (("simulate", "--listen=https://a:1/x"), 2, 'is a URL; write HOST:PORT without "https://", e.g. a:1'),
        (("demo", "--log.level=loud"), 2, "'loud' is not one of 'debug', 'info', 'warn', 'error'."),
        (("demo", "--web.listen-address=10065"), 1, '"10065" is no HOST:PORT; write :10065 or 127.0.0.1:10065'),
        (("demo", "--web.listen-address=:65536"), 1, '":65536" is no HOST:PORT'),
        (("demo", "--web.listen-address=no-such-host.invalid:1"), 1, "no-such-host.invalid:1 is no address of this"),
        (("demo", "--web.listen-address=192.0.2.1:1"), 1, "cannot listen on 192.0.2.1:1: cannot assign requested"),
        (("demo", "--web.telemetry-path=metrics"), 1, '--web.telemetry-path: "metrics" is no path; it begins with /'),
        (("demo", "--web.telemetry-path=/-/ready"), 1, "/-/ready is taken by another endpoint; write /metrics"),
        (("simulate", "--rate-limit=1000"), 2, "must be requests and a period, e.g. 1000/h, 600/m or 10/s"),
        (("simulate", "--rate-limit=0/h"), 2, "must be requests and a period"),
        (("simulate", "--latency=fast"), 2, "must be a duration, e.g. 30s, 5m, 1h30m or 7d"),
        (("simulate", "--services=-1"), 2, "-1 is not in the range x>=0"),
        (("simulate", "--listen=1234"), 1, '--listen: "1234" is no HOST:PORT'),
        (("simulate", "--listen=no-such-host.invalid:1"), 1, "--listen: no-such-host.invalid:1 is no address of this"),
    ],
)
def test_a_first_wrong_try_is_told_what_to_write(arguments: tuple[str, ...], status: int, says: str) -> None:
    ended = run(*arguments)
    assert ended.returncode == status
    assert says in ended.stderr
    assert "event=listening" not in ended.stderr


@pytest.mark.parametrize("command", [("demo", "--web.listen-address"), ("simulate", "--listen")])
def test_a_port_in_use_is_one_line(command: tuple[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        ended = run(command[0], f"{command[1]}={address}")
    assert ended.returncode == 1
    assert ended.stderr == (
        f"ci-build-exporter: {command[1]}: cannot listen on {address}: address already in use; "
        "choose another, or end what listens there\n"
    )


def test_version_and_help() -> None:
    assert run("--version").stdout == f"ci-build-exporter, version {__version__}\n"
    shown = run("--help").stdout
    assert all(f"\n  {command} " in shown for command in ("serve", "demo", "once", "check", "targets", "simulate"))
    assert "CI_BUILD_EXPORTER_CONFIG_FILE" in run("serve", "--help").stdout


COMMANDS = ("", *main.COMMANDS, *(f"builds {name}" for name in ("list", "show", "logs", "cancel", "retry")))


@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_a_terminal_of_80_columns(command: str) -> None:
    ended = here.run(*command.split(), "--help", COLUMNS="80")
    assert ended.status == 0
    assert [line for line in ended.out.splitlines() if len(line) > 80] == []


def test_the_descriptions_for_a_shell_are_those_of_the_commands() -> None:
    context = click.Context(main.commands)
    for name, (_, words) in main.COMMANDS.items():
        command = main.commands.get_command(context, name)
        assert command
        described = (command.help or "").partition("\n\n")[0].replace("\n", " ")
        assert described.startswith(words.removesuffix("."))


def test_options_come_from_the_environment_too(config: Path, tmp_path: Path) -> None:
    given = {
        "CI_BUILD_EXPORTER_CONFIG_FILE": str(config),
        "CI_BUILD_EXPORTER_WEB_LISTEN_ADDRESS": "127.0.0.1:0",
        "CI_BUILD_EXPORTER_WEB_TELEMETRY_PATH": "/ci",
        "CI_BUILD_EXPORTER_WEB_ENABLE_LIFECYCLE": "true",
        "CI_BUILD_EXPORTER_LOG_FORMAT": "json",
    }
    assert run("check", **given).stdout == f"{config}: good, 2 sources\n"
    log = tmp_path / "log"
    with running(log, "serve", **given) as exporter:
        eventually(lambda: "listening" in exporter.log)
        url = json.loads(exporter.log.splitlines()[0])["url"]
        assert url.endswith("/ci")
        assert ask(url, "/ci").targets("northflank")
        assert ask(url, "/-/reload", method="POST").status == 200
        assert exporter.stop() == 0


def test_the_demo_shows_all_its_targets(tmp_path: Path) -> None:
    sources = ("northflank", "gitlab", "old-gitlab")
    with running(tmp_path / "log", "demo", "--web.listen-address=127.0.0.1:0") as demo:
        assert ask(demo.url, "/-/healthy").status == 200
        eventually(lambda: sum(len(ask(demo.url).targets(source)) for source in sources) == 19)  # at once, if not busy
        first = ask(demo.url)
        assert [len(first.targets(source)) for source in sources] == [13, 4, 2]
        assert not first.values("ci_build_target_errors_total")
        assert first.value("ci_build_last_success", target="checkout", branch="main") == 0.0
        assert first.values("ci_build_oldest_unfinished_created_timestamp_seconds", target="search")
        assert ask(demo.url, "/-/ready").status == 200
        assert demo.stop() == 0
        assert SIMULATOR_TOKEN not in first.text + demo.log


def test_a_hangup_reads_the_configuration_again_and_a_bad_one_changes_nothing(
    config: Path, tmp_path: Path, simulator: Simulator
) -> None:
    log = tmp_path / "log"
    gauge = "ci_build_exporter_config_last_reload_successful"
    with running(log, "serve", f"--config.file={config}", "--web.listen-address=127.0.0.1:0") as exporter:
        assert ask(exporter.url).value(gauge) == 1.0
        assert ask(exporter.url, "/-/reload", method="POST").status == 403
        config.write_text("sauces: []\n")
        exporter.process.send_signal(signal.SIGHUP)
        eventually(lambda: ask(exporter.url).value(gauge) == 0.0)
        assert ask(exporter.url).targets("gitlab") == {"group-0/app-0", "group-0/app-1"}
        assert f'{config}:1: sauces: unknown key; did you mean \\"sources\\"?' in exporter.log
        written(tmp_path, northflank(simulator, "renamed"))
        exporter.process.send_signal(signal.SIGHUP)
        eventually(lambda: ask(exporter.url).targets("renamed") == {"service-0", "service-1", "job-0"})
        last = ask(exporter.url)
        assert last.value(gauge) == 1.0
        assert not last.targets("gitlab")
        assert last.value("ci_build_exporter_config_last_reload_success_timestamp_seconds") > 0
        assert exporter.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_scrape_that_waits_is_answered_when_the_process_is_told_to_end(
    config: Path, tmp_path: Path, simulator: Simulator, number: signal.Signals
) -> None:
    with running(tmp_path / "log", "serve", f"--config.file={config}", "--web.listen-address=127.0.0.1:0") as exporter:
        eventually(lambda: ask(exporter.url, "/-/ready").status == 200)
        simulator.faults.add("*", faults.hang())
        config.write_text(config.read_text().replace("name: northflank", "name: other"))
        exporter.process.send_signal(signal.SIGHUP)
        eventually(lambda: 'event="configuration reloaded"' in exporter.log)
        asked = len(simulator.requests)
        with ThreadPoolExecutor(1) as pool:
            scrape = pool.submit(ask, exporter.url)
            eventually(lambda: len(simulator.requests) > asked)
            assert exporter.stop(number) == 0
            assert scrape.result().status == 200
            assert scrape.result().targets("gitlab") == {"group-0/app-0", "group-0/app-1"}
        assert "level=error" not in exporter.log
        assert "failed" not in exporter.log, "it waited for what hangs, 60 s"
        last = exporter.log.splitlines()[-1]
        assert f"event=stopped signal={number.name}" in last
        assert exporter.log.count("event=stop") == 1


def test_a_process_that_reloads_from_a_pipe_without_an_end_goes_on_and_ends(
    config: Path, tmp_path: Path, simulator: Simulator
) -> None:
    assert simulator.url
    with running(tmp_path / "log", "serve", f"--config.file={config}", "--web.listen-address=127.0.0.1:0") as exporter:
        eventually(lambda: ask(exporter.url, "/-/ready").status == 200)
        config.unlink()
        os.mkfifo(config)
        writer = os.open(config, os.O_RDWR)
        try:
            exporter.process.send_signal(signal.SIGHUP)
            eventually(lambda: "is a pipe that did not end" in exporter.log)
            assert ask(exporter.url).value("ci_build_exporter_config_last_reload_successful") == 0.0
            exporter.process.send_signal(signal.SIGHUP)
            assert exporter.stop() == 0
        finally:
            os.close(writer)


def test_a_wrong_token_is_in_no_log(config: Path, tmp_path: Path, simulator: Simulator) -> None:
    wrong = "hunter2-hunter2"
    simulator.faults.add("/v1/*", faults.instead(401, f'{{"error": {{"message": "bad {wrong}"}}}}'.encode()))
    simulator.faults.add("/api/*", faults.redirect(f"http://{wrong}.example.com/{wrong}"))
    arguments = ("serve", f"--config.file={config}", "--web.listen-address=127.0.0.1:0", "--log.level=debug")
    with running(tmp_path / "log", *arguments, **{TOKEN: wrong}) as exporter:
        text = ask(exporter.url).text
        assert exporter.stop() == 0
        assert "check the token of source northflank" in exporter.log
        assert "hunter2" not in exporter.log + text


@pytest.mark.parametrize("form", ["json", "logfmt"])
def test_every_line_of_the_log_parses(config: Path, tmp_path: Path, simulator: Simulator, form: str) -> None:
    simulator.faults.add("*/services/service-1/build", faults.instead(500, b'{"message": "a \\"b\\" = c\\nd"}'))
    arguments = ("serve", f"--config.file={config}", "--web.listen-address=127.0.0.1:0", f"--log.format={form}")
    with running(tmp_path / "log", *arguments) as exporter:
        eventually(lambda: "read failed" in exporter.log)
        exporter.stop()
        lines = exporter.log.splitlines()
    assert len(lines) >= 2
    for line in lines:
        fields = json.loads(line) if form == "json" else logfmt(line)
        assert {"ts", "level", "event"} <= set(fields)
        assert fields["level"] in {"debug", "info", "warn", "error"}


def logfmt(line: str) -> dict[str, str]:
    pair = r'([\w.]+)=("(?:[^"\\]|\\.)*"|[^\s"=]*)'
    assert re.fullmatch(rf"{pair}( {pair})*", line), line
    return {name: value.strip('"') for name, value in re.findall(pair, line)}


def test_the_simulator_prints_its_address_and_holds_its_limit() -> None:
    with simulate("--rate-limit=3/h", "--services=1") as url:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", url)
        bearer = {"Authorization": f"Bearer {SIMULATOR_TOKEN}"}
        statuses = [ask(url, "/v1/projects", bearer).status for _ in range(5)]
    assert statuses == [200, 200, 200, 429, 429]
