"""`builds list`, `show`, `cancel` and `retry` as a person runs them, and their completion in a shell."""

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import here
import pytest
from here import Ended
from processes import COMMAND, environment, running
from real import tool
from serving import TOKEN, Clock, ask, configuration, eventually, gitlab, northflank, refused_url
from terminals import Terminal

from exporter.simulator import Simulator, demo_world, faults

WEB = "northflank/service/shop/web"
STOREFRONT = "gitlab/project/harbour/storefront"
BILLING = "old-gitlab/project/2105"
ALL = (WEB, "northflank/job/shop/nightly-report", STOREFRONT, BILLING)
KEYS = [
    *("target", "id", "run", "status", "outcome", "concluded", "ref", "branch", "sha", "name", "stage"),
    *("created_at", "started_at", "concluded_at", "latency_seconds", "queue_latency_seconds", "execution_seconds"),
    *("message", "url"),
]


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    """Its clock stands still: no build comes or ends between two commands."""
    with Simulator(demo_world(), clock=Clock()) as simulator:
        yield simulator


@pytest.fixture
def config(tmp_path: Path, simulator: Simulator) -> Path:
    simulator.faults.clear()
    simulator.requests.clear()
    path = tmp_path / "config.yaml"
    path.write_text(
        configuration(
            northflank(simulator),
            gitlab(simulator, more="groups: [harbour]"),
            gitlab(simulator, "old-gitlab", "api: v3, projects: [2105]"),
        )
    )
    return path


Run = Callable[..., Ended]


@pytest.fixture
def run(config: Path) -> Run:
    given = {"CI_BUILD_EXPORTER_CONFIG_FILE": str(config), "XDG_CACHE_HOME": str(config.parent / "cache")}
    return lambda *arguments, **more: here.run(*arguments, **(given | more))


def records(ended: Ended) -> list[dict[str, object]]:
    """The JSON on standard output; one object as a list of one."""
    value = json.loads(ended.out)
    return value if isinstance(value, list) else [value]


def changes(simulator: Simulator) -> list[str]:
    return [f"{request.method} {request.path}" for request in simulator.requests if request.method != "GET"]


# What is shown


def test_list_shows_a_table(run: Run) -> None:
    ended = run("builds", "list", STOREFRONT, "-n", "3")
    assert (ended.status, ended.err) == (0, "")
    head, *lines = ended.out.splitlines()
    created = ("CREATED", f"({time.tzname[0]})")
    assert head.split() == ["ID", "STATUS", "JOB", "PIPELINE", "REF", "COMMIT", *created, "QUEUED", "RAN"]
    assert len(lines) == 3
    assert not [line for line in ended.out.splitlines() if line != line.rstrip()]
    assert "\x1b" not in ended.out
    head = run("builds", "list", WEB, "-n", "3").out.splitlines()[0]
    assert head.split() == ["ID", "STATUS", "REF", "COMMIT", *created, "TOOK"]
    assert "PIPELINE" not in run("builds", "list", BILLING).out


def test_times_are_in_the_zone_of_whoever_reads(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        (told,) = records(run("builds", "list", WEB, "-n", "1", "--scope=success", "-o", "json"))
        (_, line) = run("builds", "list", WEB, "-n", "1", "--scope=success").out.splitlines()
        shown = run("builds", "show", WEB, str(told["id"])).out
    finally:
        monkeypatch.delenv("TZ")
        time.tzset()
    utc = str(told["created_at"])
    hour = (int(utc[11:13]) + 9) % 24
    assert f" {hour:02}{utc[13:19]} " in line
    assert re.search(rf"^created +\d{{4}}-\d\d-\d\d {hour:02}{utc[13:19]} JST$", shown, re.MULTILINE)


@pytest.mark.parametrize("target", ALL)
def test_json_has_always_the_same_keys(run: Run, target: str) -> None:
    listed = records(run("builds", "list", target, "-o", "json"))
    assert len(listed) == 20
    assert all(list(told) == KEYS for told in listed)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", str(told["created_at"])) for told in listed)
    assert {told["target"] for told in listed} == {target}
    ended = next(told for told in listed if told["concluded"])
    assert records(run("builds", "show", target, str(ended["id"]), "-o", "json")) == [ended]


def test_show_writes_what_is_known_line_by_line(run: Run) -> None:
    (told,) = records(run("builds", "list", STOREFRONT, "--scope", "failed", "-n1", "-o", "json"))
    shown = run("builds", "show", STOREFRONT, str(told["id"]))
    lines = dict(re.findall(r"^(\w+) +(.*)$", shown.out, re.MULTILINE))
    assert (lines["id"], lines["commit"], lines["page"]) == (told["id"], told["sha"], told["url"])
    assert lines["why"] == told["message"]
    assert list(lines)[:5] == ["target", "id", "pipeline", "status", "why"]


def test_a_list_without_builds_says_so(run: Run) -> None:
    assert run("builds", "list", "northflank/job/platform/seed-data").err == "no builds yet\n"
    assert run("builds", "list", WEB, "--commit=abcdef0").err == (
        "no such builds\nnote: only the newest 1000 builds were read\n"
    )
    assert records(run("builds", "list", "northflank/job/platform/seed-data", "-o", "json")) == []


def test_what_a_provider_sends_moves_no_cursor(run: Run, simulator: Simulator) -> None:
    evil = b"\\u001b[2Jevil\\u202e"
    simulator.faults.add(
        "*",
        faults.Effect(
            lambda answer: type(answer)(
                answer.status,
                answer.headers,
                re.sub(rb'"(ref|name)":"[^"]*"', rb'"\1":"%b"' % evil.replace(b"\\", b"\\\\"), answer.body),
            )
        ),
    )
    for command in (("list", STOREFRONT, "-n1"), ("list", STOREFRONT, "-n1", "-o", "json")):
        out = run("builds", *command).out
        assert "evil" in out
        assert "\x1b" not in out
    assert "\u202e" not in run("builds", "list", STOREFRONT, "-n1").out


def test_list_takes_a_branch_a_commit_and_the_last_failed_run(run: Run) -> None:
    listed = records(run("builds", "list", STOREFRONT, "--branch=main", "-n5", "-o", "json"))
    assert {told["branch"] for told in listed} == {"main"}
    ended = run("builds", "list", STOREFRONT, "--failed-last", "--branch=main", "-o", "json")
    failed = records(ended)
    assert failed
    assert len({told["run"] for told in failed}) == 1
    assert {told["status"] for told in failed} == {"failed"}
    assert run("builds", "list", WEB, "--failed-last").out.splitlines()[1].split()[1] == "failure"
    none = run("builds", "list", WEB, "--failed-last", "--branch=nope")
    assert (none.status, none.out, none.err) == (0, "", "no failed run on nope among the newest builds\n")


def test_the_url_of_a_page_stands_for_the_target_and_the_build(run: Run) -> None:
    listed = records(run("builds", "list", STOREFRONT, "--scope=failed", "-n1", "-o", "json"))
    (told,) = listed
    assert records(run("builds", "show", str(told["url"]), "-o", "json")) == listed
    pipeline = str(told["url"]).partition("/-/")[0] + f"/-/pipelines/{told['run']}"
    of_run = records(run("builds", "list", pipeline, "-n100", "-o", "json"))
    assert {one["run"] for one in of_run} == {told["run"]}
    assert told["id"] in {one["id"] for one in of_run}
    commit = str(told["url"]).partition("/-/")[0] + f"/-/commit/{told['sha']}"
    assert {one["sha"] for one in records(run("builds", "list", commit, "-o", "json"))} == {told["sha"]}
    missing = run("builds", "show", str(told["url"]).partition("/-/")[0])
    assert (missing.status, "Missing argument 'ID'." in missing.err) == (2, True)
    assert records(run("builds", "show", STOREFRONT, f"#{told['id']}", "-o", "json")) == listed


def test_a_job_that_never_ran_has_no_time_in_the_table(run: Run) -> None:
    (told, *_) = records(run("builds", "list", STOREFRONT, "--scope=manual", "--scope=skipped", "-o", "json"))
    assert told["execution_seconds"] is None
    line = run("builds", "list", STOREFRONT, "--scope=manual", "--scope=skipped", "-n1").out.splitlines()[1]
    assert re.search(r"\d\d:\d\d:\d\d$", line), "it ends with the time of creation"


# What is changed


@pytest.mark.parametrize("target", ALL)
def test_retry_and_cancel_change_one_build_and_say_so(run: Run, simulator: Simulator, target: str) -> None:
    (ended,) = records(run("builds", "list", target, "--scope=success", "-n1", "-o", "json"))
    retried = run("builds", "retry", target, str(ended["id"]), "--yes", "-o", "json")
    (new,) = records(retried)
    assert (retried.status, list(new), new["concluded"]) == (0, KEYS, False)
    assert (new["sha"], new["name"]) == (ended["sha"], ended["name"])
    refused = run("builds", "retry", target, str(new["id"]), "--yes")
    assert refused.status == 1
    assert f"build {new['id']} has not ended (" in refused.err
    canceled = run("builds", "cancel", target, str(new["id"]), "--yes")
    word = "aborted" if "northflank" in target else "canceled"
    assert (canceled.status, canceled.out) == (0, f"{target}: build {new['id']} is {word}\n")
    again = run("builds", "cancel", target, str(new["id"]), "--yes")
    assert again.status == 1
    assert again.err == f"ci-build-exporter: build {new['id']} has ended ({word}): there is nothing to cancel\n"
    assert len(changes(simulator)) == 2


@pytest.mark.parametrize("verb", ["cancel", "retry"])
def test_without_a_terminal_and_without_yes_nothing_is_asked_of_the_provider(
    run: Run, simulator: Simulator, verb: str
) -> None:
    ended = run("builds", verb, WEB, "any-build-1")
    assert (ended.status, ended.out) == (1, "")
    assert ended.err == (
        "ci-build-exporter: there is no terminal to confirm the change on; without one, pass --yes; "
        "nothing was changed\n"
    )
    assert not simulator.requests


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (("show", WEB, "nope"), 1, f"ci-build-exporter: {WEB} has no build nope\n"),
        (("cancel", STOREFRONT, "12", "--yes"), 1, f"ci-build-exporter: {STOREFRONT} has no build 12\n"),
        (("show", f"{WEB}b", "x"), 1, f'there is no such target, or the token cannot see it; did you mean "{WEB}"?\n'),
        (("list", "northflan/service/shop/web"), 1, 'there is no source "northflan"; did you mean "northflank"?\n'),
        (("list", WEB, "--scope=broken"), 1, '"broken" is not a scope; the scopes are aborted, '),
        (("list", WEB, "-n", "0"), 2, "0 is not in the range 1<=x<=1000"),
        (("list", WEB, "-o", "xml"), 2, "'xml' is not one of 'table', 'json'"),
        (("retry", WEB, "x", "--timeout=soon"), 2, "must be a duration, e.g. 30s, 5m, 1h30m or 7d"),
        (("list",), 2, "Missing argument 'TARGET'"),
    ],
)
def test_a_wrong_try_is_one_clear_line(run: Run, arguments: tuple[str, ...], status: int, says: str) -> None:
    ended = run("builds", *arguments)
    assert (ended.status, ended.out) == (status, "")
    assert says in ended.err


def test_a_wrong_token_and_a_missing_one_are_told_apart(run: Run, config: Path) -> None:
    ended = run("builds", "list", WEB, **{TOKEN: "hunter2-hunter2"})
    assert ended.status == 1
    assert ended.err == (
        "ci-build-exporter: /v1/projects/shop/services/web/build answered 401 (Unauthorized): "
        "check the token of source northflank\n"
    )
    ended = run("builds", "list", WEB, **{TOKEN: ""})
    assert (ended.status, ended.err) == (2, f"{config}:2: the environment variable {TOKEN} is not set, or empty\n")


def test_a_token_without_the_right_is_told_which(run: Run, simulator: Simulator) -> None:
    (ended,) = records(run("builds", "list", STOREFRONT, "--scope=success", "-n1", "-o", "json"))
    body = b'{"error":"insufficient_scope","error_description":"The request requires higher privileges","scope":"api"}'
    simulator.faults.add("*/retry", faults.instead(403, body))
    refused = run("builds", "retry", STOREFRONT, str(ended["id"]), "--yes")
    assert refused.status == 1
    assert refused.err.endswith(
        "answered 403 (insufficient_scope, The request requires higher privileges): the token needs "
        "the scope api (read_api only reads) and the role Developer or a higher one in the project\n"
    )


def test_a_server_without_v3_says_what_to_write_and_where(run: Run, simulator: Simulator, config: Path) -> None:
    simulator.faults.add("/api/v3/*", faults.gone())
    ended = run("builds", "list", BILLING)
    assert (ended.status, ended.err) == (
        1,
        f'ci-build-exporter: the server no longer speaks API v3: write "api: v4" at {config}:4\n',
    )


def test_a_change_whose_end_is_not_known_ends_with_5_and_is_not_repeated(run: Run, simulator: Simulator) -> None:
    (ended,) = records(run("builds", "list", WEB, "--scope=success", "-n1", "-o", "json"))
    simulator.faults.add("*", faults.server_error(502), method="POST")
    unknown = run("builds", "retry", WEB, str(ended["id"]), "--yes", "--wait")
    assert (unknown.status, unknown.out) == (5, "")
    assert unknown.err == (
        "ci-build-exporter: /v1/projects/shop/services/web/build answered 502 (Internal server error): it is not "
        "known whether the start was made, and it was not sent again; to see: "
        f"ci-build-exporter builds list {WEB} --commit {ended['sha']}\n"
    )
    assert len(changes(simulator)) == 1


# Waiting


def test_wait_ends_with_the_new_build(run: Run, config: Path) -> None:
    seconds = count(1_795_300_000, 30)  # from one look at the clock to the next
    with Simulator(demo_world(), clock=lambda: float(next(seconds))) as simulator:
        config.write_text(configuration(northflank(simulator)))
        (ended,) = records(run("builds", "list", WEB, "--scope=success", "-n1", "-o", "json"))
        waited = run("builds", "retry", WEB, str(ended["id"]), "--yes", "--wait")
        assert waited.status == 0
        first, last = waited.out.splitlines()
        assert re.fullmatch(rf"{WEB}: build {ended['id']} is retried as [a-z0-9-]+ \(pending\)", first)
        assert re.fullmatch(rf"{WEB}: build [a-z0-9-]+: success after [0-9hms]+", last)
        assert waited.err.splitlines()[-1].endswith(": success")


@pytest.mark.parametrize(("word", "status"), [("FAILURE", 1), ("CRASHED", 1), ("ABORTED", 3), ("SUCCESS", 0)])
def test_each_outcome_has_its_status(run: Run, simulator: Simulator, word: str, status: int) -> None:
    (ended,) = records(run("builds", "list", WEB, "--scope=success", "-n1", "-o", "json"))
    record = {"id": "new-build-1", "createdAt": "2026-11-22T00:00:00.000Z", "status": "PENDING", "sha": ended["sha"]}
    simulator.faults.add("*/build", faults.instead(200, json.dumps({"data": record}).encode()), method="POST")
    record |= {"status": word, "concluded": True, "success": word == "SUCCESS", "buildConcludedAt": 1_900_000_000}
    simulator.faults.add("*/build/new-build-1", faults.instead(200, json.dumps({"data": record}).encode()))
    waited = run("builds", "retry", WEB, str(ended["id"]), "--yes", "--wait", "-o", "json")
    assert waited.status == status
    assert [told["status"] for told in records(waited)] == [word.lower()]


def test_a_wait_that_is_over_too_soon_ends_with_4(run: Run) -> None:
    (ended,) = records(run("builds", "list", WEB, "--scope=success", "-n1", "-o", "json"))
    waited = run("builds", "retry", WEB, str(ended["id"]), "--yes", "--wait", "--timeout=100ms")
    assert waited.status == 4
    new = re.search(r"retried as (\S+)", waited.out)
    assert new
    assert waited.err.endswith(
        f"build {new[1]} has not ended within the timeout; to see it: ci-build-exporter builds show {WEB} {new[1]}\n"
    )


# On a terminal


def test_on_a_terminal_there_are_colours_and_a_question(config: Path, simulator: Simulator) -> None:
    (ended,) = _listed(config, WEB)
    listed = Terminal("builds", "list", f"--config.file={config}", WEB, "-n1", "--scope=success", folder=config.parent)
    assert listed.ended() == 0
    assert "\x1b[32msuccess" in listed.drawn
    plain = Terminal("builds", "list", f"--config.file={config}", WEB, "-n1", folder=config.parent, NO_COLOR="1")
    assert plain.ended() == 0
    assert "\x1b" not in plain.drawn

    question = rf"Retry build {ended} of {WEB} \(success, .*\)\? \[y/N\]: "
    retry = ("builds", "retry", f"--config.file={config}", WEB, ended, "--wait", "--timeout=1s")
    no = Terminal(*retry, folder=config.parent).until("[y/N]").answers("n")
    assert no.ended() == 1
    assert re.search(question, no.text)
    assert no.text.endswith("ci-build-exporter: nothing was changed\n")
    assert not changes(simulator)
    yes = Terminal(*retry, folder=config.parent).until("[y/N]").answers("y")
    assert yes.ended() == 4
    assert re.search(r"⠋|⠙|⠹|⠸|⠼|⠴|⠦|⠧|⠇|⠏", yes.text), "a progress display"
    assert len(changes(simulator)) == 1


def _listed(config: Path, target: str) -> list[str]:
    command = [
        str(COMMAND),
        "builds",
        "list",
        f"--config.file={config}",
        target,
        "-n1",
        "--scope=success",
        "-o",
        "json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment())
    return [told["id"] for told in json.loads(done.stdout)]


@pytest.mark.parametrize(("command", "words"), [(("targets",), "listing targets"), (("check", "--live"), "reading:")])
def test_what_takes_long_draws_its_progress(
    config: Path, simulator: Simulator, command: tuple[str, ...], words: str
) -> None:
    simulator.faults.add("*", faults.latency(0.1))
    drawn = Terminal(*command, f"--config.file={config}", folder=config.parent)
    assert drawn.ended() == 0
    assert words in drawn.text


# Completion


def complete(config: Path, *words: str, **more: str) -> list[str]:
    """What a real bash offers for the last of these words."""
    done = completing(config, *words, **more)
    assert done.stderr == ""
    return done.stdout.split()


def completing(config: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    script = """
        source <("$COMMAND" completion bash)
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
        _ci_build_exporter_completion "$COMMAND"
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    variables = {
        "COMMAND": str(COMMAND),
        "CI_BUILD_EXPORTER_CONFIG_FILE": str(config),
        "XDG_CACHE_HOME": str(config.parent / "cache"),
    }
    return subprocess.run(
        [tool("bash"), "-c", script, "bash", *words],
        capture_output=True,
        text=True,
        check=False,
        env=environment(variables | more),
    )


def imported(said: str) -> set[str]:
    """The modules that a Python with PYTHONVERBOSE has imported."""
    return set(re.findall(r"^import '([\w.]+)'", said, re.MULTILINE))


def test_targets_complete_and_are_remembered(config: Path, simulator: Simulator) -> None:
    shop = sorted(f"northflank/service/shop/{name}" for name in ("web", "api", "checkout", "search", "payments"))
    words = ("ci-build-exporter", "builds", "show", "northflank/service/shop/")
    assert complete(config, *words) == shop
    asked = len(simulator.requests)
    assert asked
    assert complete(config, *words) == shop
    assert len(simulator.requests) == asked
    (kept,) = (config.parent / "cache" / "ci-build-exporter").iterdir()
    assert (kept.stat().st_mode & 0o777, kept.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_scopes_complete_by_the_target(config: Path, simulator: Simulator) -> None:
    words = ("ci-build-exporter", "builds", "list", WEB, "--scope", "")
    offered = complete(config, *words)
    assert {"success", "aborted", "failed", "timeout"} <= set(offered)
    assert "manual" not in offered
    assert complete(config, "ci-build-exporter", "builds", "list", STOREFRONT, "--scope", "man") == ["manual"]
    assert not simulator.requests
    config.unlink()
    assert complete(config, *words[:-1], "allowed") == ["allowed_failure"]


def test_stale_addresses_are_offered_at_once_and_renewed_behind(config: Path, simulator: Simulator) -> None:
    words = ("ci-build-exporter", "builds", "show", "gitlab/project/")
    offered = complete(config, *words)
    (kept,) = (config.parent / "cache" / "ci-build-exporter").iterdir()
    version = kept.read_text().splitlines()[0]
    kept.write_text(f"{version}\ngitlab/project/of/yesterday\n")
    os.utime(kept, (1.0, 1.0))
    simulator.requests.clear()
    assert complete(config, *words) == ["gitlab/project/of/yesterday"]
    eventually(lambda: "yesterday" not in kept.read_text())
    assert complete(config, *words) == offered


@pytest.mark.parametrize(
    "words",
    [
        ("",),
        ("builds", ""),
        ("builds", "retry", "--t"),
        ("builds", "list", "northflank/"),
        ("builds", "list", WEB, "--scope", "f"),
        ("builds", "show", WEB, ""),
        ("serve", "--web"),
        ("demo", "--log.level", ""),
        ("check", "--"),
        ("simulate", "--rate-limit", "1/h", "--"),
    ],
)
def test_a_tab_that_the_cache_can_answer_loads_little(config: Path, words: tuple[str, ...]) -> None:
    """It costs some 0.1 s; pydantic, requests and rich would cost another half second."""
    given = ("ci-build-exporter", *words)
    offered = complete(config, *given)
    names = imported(completing(config, *given, PYTHONVERBOSE="1").stderr)
    assert "click" in names
    assert not names & {"pydantic", "requests", "rich", "yaml", "orjson", "prometheus_client", "structlog"}
    assert complete(config, *given) == offered


def test_bash_splits_an_option_at_its_sign_and_completion_goes_on(config: Path) -> None:
    words = ("ci-build-exporter", "builds", "show", "--config.file", "=", str(config), "old")
    assert complete(config, *words, CI_BUILD_EXPORTER_CONFIG_FILE="") == [BILLING]


@pytest.mark.parametrize("break_it", ["configuration", "token", "file", "provider", "cache"])
def test_completion_prints_no_error_whatever_is_wrong(config: Path, simulator: Simulator, break_it: str) -> None:
    more = {}
    if break_it == "configuration":
        config.write_text("sauces: []")
    elif break_it == "file":
        config.unlink()
    elif break_it == "token":
        more[TOKEN] = ""
    elif break_it == "provider":
        simulator.faults.add("*", faults.hang())
    else:
        (config.parent / "cache").write_text("no directory")
    offered = complete(config, "ci-build-exporter", "builds", "show", "", **more)
    if break_it in {"token", "provider"}:
        assert offered == [BILLING]  # the only one that the configuration spells out
    elif break_it == "cache":
        assert WEB in offered
    else:
        assert offered == []


def test_ids_complete_with_what_can_be_cancelled_or_retried(run: Run, config: Path) -> None:
    ids = {told["id"] for told in records(run("builds", "list", WEB, "-n25", "-o", "json")) if told["concluded"]}
    retriable = set(complete(config, "ci-build-exporter", "builds", "retry", WEB, ""))
    assert retriable
    assert retriable <= ids
    assert not retriable & set(complete(config, "ci-build-exporter", "builds", "cancel", WEB, ""))


def test_targets_keeps_what_it_found_for_completion(run: Run, config: Path, simulator: Simulator) -> None:
    assert run("targets").status == 0
    simulator.faults.add("*", faults.hang())
    assert STOREFRONT in complete(config, "ci-build-exporter", "builds", "list", "gitlab/")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_the_script_of_each_shell(run: Run, shell: str) -> None:
    ended = run("completion", shell)
    assert ended.status == 0
    assert f"_CI_BUILD_EXPORTER_COMPLETE={shell}_complete" in ended.out


# What serves


def test_serve_holds_nothing_that_changes_anything_at_a_provider(config: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    arguments = ("serve", f"--config.file={config}", "--web.listen-address=127.0.0.1:0")
    with running(log, *arguments, PYTHONVERBOSE="1") as exporter:
        eventually(lambda: "event=listening" in exporter.log)
        assert ask(exporter.url).status == 200
        assert exporter.stop() == 0
    loaded = imported(log.read_text())
    assert {"exporter.cli.serve", "exporter.collector"} <= loaded
    # rich itself is loaded by structlog, where it is installed.
    foreign = ("exporter.operate", "exporter.cli.table", "exporter.cli.builds", "exporter.cli.init")
    assert not [name for name in loaded if name.startswith(foreign) or name.endswith(".operations")]


def test_the_simulator_that_is_away_is_one_line(run: Run, config: Path) -> None:
    config.write_text(configuration(northflank(refused_url())))
    ended = run("builds", "list", WEB)
    assert ended.status == 1
    assert re.fullmatch(r"ci-build-exporter: connection refused by 127\.0\.0\.1:\d+\n", ended.err)
