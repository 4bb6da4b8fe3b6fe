"""`init`: what it asks, tries and writes."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from here import run
from serving import TOKEN, Clock, refused_url
from terminals import Terminal

from exporter.config.secret import EnvToken
from exporter.providers.gitlab import GitLabSource
from exporter.providers.northflank import NorthflankSource
from exporter.settings import load
from exporter.settings.settings import Settings
from exporter.settings.template import Wish, first_configuration
from exporter.simulator import SIMULATOR_TOKEN, Simulator, demo_world, faults

NORTHFLANK = Wish("northflank", "northflank", "", ("env", "NORTHFLANK_TOKEN"))
GITLAB = Wish("gitlab", "gitlab", "https://gitlab.example.com", ("env", "GITLAB_TOKEN"), projects=("shop/web", "42"))
WISHES = {
    "northflank": NORTHFLANK,
    "northflank in part": Wish(
        "northflank", "nf", "https://nf.example.com", ("file", "/run/secrets/a b"), team="42", projects=("shop", "on")
    ),
    "gitlab": GITLAB,
    "groups": Wish("gitlab", "gl", "http://[::1]:8080", ("env", "T"), groups=("platform", "a/b", "7")),
    "old gitlab": Wish("gitlab", "old", "https://old.example.com", ("env", "T"), api="v3", projects=("7", "null/no")),
    "odd names": Wish(
        "gitlab",
        "1e3",
        "https://gitlab.example.com",
        ("file", "/a/#1: x"),
        projects=("a/b", "a/b-", "1.5/+a", "0x1/_", "12345678901234567890"),
    ),
}


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with Simulator(demo_world(), clock=Clock()) as simulator:
        yield simulator


@pytest.fixture(autouse=True)
def _no_faults(simulator: Simulator) -> None:
    simulator.faults.clear()
    simulator.requests.clear()


def read(text: str) -> Settings:
    return load.read(text, "config.yaml", Path("/"))


@pytest.mark.parametrize("wish", WISHES.values(), ids=WISHES)
def test_what_is_written_is_what_was_wished(wish: Wish) -> None:
    (source,) = read(first_configuration(wish, "config.yaml")).sources
    assert (source.provider, source.name) == (wish.provider, wish.name)
    kind, value = wish.token
    assert (source.token.env if isinstance(source.token, EnvToken) else str(source.token.file)) == value
    assert kind == ("env" if isinstance(source.token, EnvToken) else "file")
    if isinstance(source, GitLabSource):
        assert (source.url, source.api) == (wish.url, wish.api)
        assert tuple(map(str, source.projects)) == wish.projects
        assert tuple(map(str, source.groups)) == wish.groups
    if isinstance(source, NorthflankSource):
        assert source.url == wish.url or not wish.url
        assert (source.team or "", tuple(one.id for one in source.projects or ())) == (wish.team, wish.projects)


@pytest.mark.parametrize("wish", WISHES.values(), ids=WISHES)
def test_every_comment_can_be_made_a_setting(wish: Wish) -> None:
    """Each line that is commented out is good where its sign is taken away."""
    lines = first_configuration(wish, "config.yaml").splitlines()
    settings = [line.replace("# ", "", 1) if _commented(line) else line for line in lines[2:]]
    text = "\n".join(settings)
    assert text.count("# ") < "\n".join(lines).count("# ")
    assert read(text).metrics.histograms == ("conclude",)
    (source,) = read(text).sources
    assert source.webhook
    assert source.exclude or isinstance(source, NorthflankSource)


def _commented(line: str) -> bool:
    inside = line.strip()
    return inside.startswith("# ")


@pytest.mark.parametrize("wish", WISHES.values(), ids=WISHES)
def test_comments_stand_in_a_row_and_lines_are_short(wish: Wish) -> None:
    assert max(map(len, first_configuration(wish, "config.yaml").splitlines())) <= 110


def init(folder: Path, *arguments: str, **more: str) -> tuple[int, str, str]:
    ended = run("init", f"--config.file={folder}/config.yaml", *arguments, **more)
    return ended.status, ended.out, ended.err


def test_with_every_option_nothing_is_asked_and_check_is_content(tmp_path: Path, simulator: Simulator) -> None:
    more = ("--group=harbour", "--project=legacy/billing", "--name=work")
    status, out, err = init(tmp_path, "--provider=gitlab", f"--url={simulator.url}", f"--token.env={TOKEN}", *more)
    assert (status, err) == (0, "")
    path = tmp_path / "config.yaml"
    assert out == (
        "found 5 projects:\n"
        "  work/project/harbour/infra/runner-images\n"
        "  work/project/harbour/infra/terraform\n"
        "  work/project/harbour/mobile-app\n"
        "  work/project/harbour/storefront\n"
        "  work/project/legacy/billing\n"
        f"wrote {path}\nnext: ci-build-exporter check --config.file={path} --live\n"
    )
    checked = run("check", f"--config.file={path}")
    assert (checked.status, checked.out, checked.err) == (0, f"{path}: good, 1 source\n", "")
    assert SIMULATOR_TOKEN not in path.read_text()


def test_a_token_in_a_file_is_found_from_anywhere(tmp_path: Path, simulator: Simulator) -> None:
    token = tmp_path / "token"
    token.write_text(SIMULATOR_TOKEN)
    beside = os.path.relpath(token)
    given = ("--provider=northflank", f"--url={simulator.url}", f"--token.file={beside}")
    status, out, err = init(tmp_path, *given)
    assert (status, err) == (0, "")
    assert out.startswith("found 4 jobs, 9 services:\n")
    assert "  and 3 more\n" in out
    assert f"token: {{file: {Path(beside).absolute()}}}" in (tmp_path / "config.yaml").read_text()


def test_an_old_gitlab_is_read_once_to_see_that_it_is_there(tmp_path: Path, simulator: Simulator) -> None:
    given = ("--provider=gitlab", f"--url={simulator.url}", "--api=v3", f"--token.env={TOKEN}", "--project=2105")
    status, out, _ = init(tmp_path, *given)
    assert (status, out.splitlines()[:2]) == (0, ["found 1 project:", "  gitlab/project/2105"])
    assert [request.path for request in simulator.requests] == ["/api/v3/projects/2105/builds"]


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        ((), 2, "there is no terminal to ask on: give --provider, --token.env or --token.file\n"),
        (
            ("--provider=gitlab",),
            2,
            "there is no terminal to ask on: give --url, --token.env or --token.file, --project or --group\n",
        ),
        (("--provider=bitbucket",), 2, "'bitbucket' is not one of 'northflank', 'gitlab'"),
        (("--provider=northflank", "--token.env=glpat-1234"), 2, "env wants the name of an environment variable"),
        (("--provider=northflank", "--token.env=NO_SUCH"), 1, "the environment variable NO_SUCH is not set, or empty"),
        (("--provider=northflank", "--token.file=no/such"), 1, "no/such"),
        (("--provider=gitlab", "--url=x", f"--token.env={TOKEN}", "--project=a/b"), 2, "wants http:// or https://"),
    ],
)
def test_what_is_missing_or_wrong_is_one_clear_line_and_writes_nothing(
    tmp_path: Path, arguments: tuple[str, ...], status: int, says: str
) -> None:
    ended, out, err = init(tmp_path, *arguments)
    assert (ended, out) == (status, "")
    assert says in err
    assert "1234" not in err
    assert not list(tmp_path.iterdir())


def test_what_does_not_work_is_not_written_unless_untried(tmp_path: Path, simulator: Simulator) -> None:
    given = ("--provider=northflank", f"--token.env={TOKEN}")
    status, _, err = init(tmp_path, *given, f"--url={simulator.url}", **{TOKEN: "wrong"})
    assert status == 1
    assert err == (
        "ci-build-exporter: /v1/projects answered 401 (Unauthorized): check the token of source northflank; "
        "nothing was written (--untried writes it all the same)\n"
    )
    status, _, err = init(tmp_path, *given, f"--url={refused_url()}")
    assert (status, "connection refused" in err) == (1, True)
    assert not list(tmp_path.iterdir())
    status, out, err = init(tmp_path, *given, f"--url={refused_url()}", "--untried")
    assert (status, out.startswith("wrote "), err) == (0, True, "")


def test_a_project_that_is_not_there_is_told(tmp_path: Path, simulator: Simulator) -> None:
    given = ("--provider=gitlab", f"--url={simulator.url}", f"--token.env={TOKEN}", "--project=harbour/nope")
    status, _, err = init(tmp_path, *given)
    assert (status, "gitlab/project/harbour/nope: there is no such target" in err) == (1, True)


def test_a_file_is_overwritten_by_force_only(tmp_path: Path, simulator: Simulator) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("mine")
    given = ("--provider=northflank", f"--token.env={TOKEN}", f"--url={simulator.url}")
    status, _, err = init(tmp_path, *given)
    assert (status, path.read_text()) == (1, "mine")
    assert err.endswith("exists: give --force to overwrite it, or --config.file to write another\n")
    assert not simulator.requests
    assert init(tmp_path, *given, "--force")[0] == 0
    assert read(path.read_text())
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_that_cannot_be_written_is_said_before_anything_is_asked(tmp_path: Path) -> None:
    assert init(tmp_path / "none")[2].endswith("config.yaml: cannot be written: there is no such directory\n")
    (tmp_path / "config.yaml").mkdir()
    assert init(tmp_path)[2].endswith("config.yaml: cannot be written: is a directory\n")


def test_on_a_terminal_it_asks(tmp_path: Path, simulator: Simulator) -> None:
    terminal = Terminal("init", folder=tmp_path)
    terminal.until("Provider (northflank, gitlab) [northflank]: ").answers("gitlab")
    terminal.until("Address of the GitLab server [https://gitlab.com]: ").answers(simulator.url)
    terminal.until("or the path of a file [GITLAB_TOKEN]: ").answers(TOKEN)
    terminal.until("Projects to read").answers("legacy/billing")
    terminal.until("Groups to read").answers("harbour")
    terminal.until("found 5 projects:")
    assert terminal.ended() == 0
    (source,) = read((tmp_path / "config.yaml").read_text()).sources
    assert isinstance(source, GitLabSource)
    assert (source.projects, source.groups) == (("legacy/billing",), ("harbour",))


def test_a_token_that_is_given_for_its_place_is_not_repeated(tmp_path: Path, simulator: Simulator) -> None:
    terminal = Terminal("init", "--provider=northflank", f"--url={simulator.url}", folder=tmp_path)
    terminal.until("or the path of a file [NORTHFLANK_TOKEN]: ").answers("hunter2.hunter2")
    assert terminal.ended() == 2
    assert "env wants the name of an environment variable" in terminal.text
    assert terminal.text.count("hunter2.hunter2") == 1  # what the terminal echoes
    assert not list(tmp_path.iterdir())


def test_on_a_terminal_what_does_not_work_and_what_is_there_is_asked_about(
    tmp_path: Path, simulator: Simulator
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("mine")
    given = ("init", "--provider=northflank", f"--url={simulator.url}", f"--token.env={TOKEN}")
    simulator.faults.add("*", faults.unauthorized())
    terminal = Terminal(*given, folder=tmp_path)
    terminal.until("config.yaml exists. Overwrite it in the end? [y/N]: ").answers("y")
    terminal.until("It does not work yet: /v1/projects answered 401")
    terminal.until("Write the configuration all the same? [y/N]: ").answers("n")
    assert terminal.ended() == 1
    assert path.read_text() == "mine"
    terminal = Terminal(*given, folder=tmp_path).until("Overwrite it in the end?").answers("")
    assert terminal.ended() == 1
    assert terminal.text.endswith("config.yaml is left as it is\n")
