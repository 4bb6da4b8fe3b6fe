"""The page on the state tells the truth: its commands do what it says, also while an exporter runs."""

import re
import resource
import shutil
import signal
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from builds import WEB, build, read
from pages import PAGES, ROOT, code, table
from processes import Running, running
from real import tool
from serving import TOKEN, ask, configuration, eventually, northflank, simulating

from exporter.simulator.demo import demo_world
from exporter.simulator.server import SIMULATOR_TOKEN
from exporter.store.sqlite import SqliteStore

PAGE = "docs/state.md"
COMMANDS = re.findall(r"^```sh\n(sqlite3 .*?)\n```$", PAGES[PAGE], re.MULTILINE | re.DOTALL)
REASONS = [reason for row in table(PAGE, "If it cannot be used", "reason in the log") for reason in row[0].split(", ")]


def shell(command: str, folder: Path) -> str:
    tool("sqlite3")
    ended = subprocess.run(["sh", "-c", command], cwd=folder, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_the_commands_of_the_page_work_while_the_state_is_in_use(tmp_path: Path) -> None:
    look, back_up, delete = COMMANDS
    store = SqliteStore(tmp_path / "state.db")
    store.use({"nf": "one"})
    store.update(WEB, lambda _before: read(build("a")))
    assert shell(look, tmp_path).startswith("nf|shop|web|20")
    shell(back_up, tmp_path)
    store.update(WEB, lambda _before: read(build("b")))
    assert store.up
    store.close()
    shell(delete.replace("gitlab", "nf").replace("shop/web", "shop"), tmp_path)
    assert shell(look, tmp_path) == ""
    shutil.move(tmp_path / "state-copy.db", tmp_path / "state.db")
    again = SqliteStore(tmp_path / "state.db")
    again.use({"nf": "one"})
    assert [set(history.rows) for _target, history in again.load("nf")] == [{"a"}]
    assert again.up
    again.close()


def test_every_reason_of_the_page_is_one_of_the_code_or_of_sqlite() -> None:
    texts = "".join(path.read_text() for path in (ROOT / "exporter" / "store").glob("*.py"))
    sqlite = {
        "file is not a database",
        "database disk image is malformed",
        "attempt to write a readonly database",
        "database or disk is full",
        "disk I/O error",
        "unable to open database file",
    }
    ours = {code(reason).removesuffix("…").rstrip() for reason in REASONS} - sqlite
    assert ours
    assert not {reason for reason in ours if reason not in texts}


def limited(one: Running, size: int) -> None:
    """Let no file of the process grow beyond that many bytes: as on a full disk, each write beyond it fails."""
    resource.prlimit(one.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux bounds the files of another process")
def test_a_disk_that_is_full_while_the_exporter_runs_is_said_and_nothing_is_lost_once_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TOKEN, SIMULATOR_TOKEN)
    path = tmp_path / "state.db"
    with simulating(demo_world()) as simulator:
        more = f"refresh: {{ttl: 1s, idle_ttl: 2s, timeout: 60s}}\nstore: sqlite://{path}"
        (tmp_path / "config.yaml").write_text(configuration(northflank(simulator), more=more))
        serve = ("serve", f"--config.file={tmp_path / 'config.yaml'}", "--web.listen-address=127.0.0.1:0")
        with running(tmp_path / "log", *serve) as one:

            def up() -> bool:
                return ask(one.url).values("ci_build_store_up") == [1.0]

            assert up()
            limited(one, 4096)
            eventually(lambda: not up())
            assert ask(one.url).status == 200
            limited(one, resource.RLIM_INFINITY)
            eventually(up)
            assert one.log.count("the state is not kept") == 1
            assert one.log.count("the state is kept again") == 1
            counted = len(ask(one.url).samples("ci_build_concluded_total"))
            one.stop(signal.SIGKILL)
        with running(tmp_path / "log-again", *serve) as again:
            assert len(ask(again.url).samples("ci_build_concluded_total")) >= counted
            with running(tmp_path / "log-second", *serve) as second:
                assert ask(second.url).values("ci_build_store_up") == [0.0]
                assert second.log.count("another process uses it") == 1
            again.stop()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert not path.with_name("state.db-wal").exists(), "the file alone is complete after an end in order"
