"""`init`: what it asks, tries and writes."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from here import run
from serving import TOKEN, Clock, refused_url
from terminals import Terminal

from exporter.config.secret import EnvToken
from exporter.providers import PROVIDERS
from exporter.providers.gitlab import GitLabSource
from exporter.providers.northflank import NorthflankSource
from exporter.providers.template import FirstSource
from exporter.settings import load
from exporter.settings.settings import Settings
from exporter.settings.template import first_configuration, template_of
from exporter.simulator import SIMULATOR_TOKEN, Simulator, demo_world, faults

NORTHFLANK = FirstSource("northflank", "northflank", ("env", "NORTHFLANK_TOKEN"), {})


def of_gitlab(name: str, url: str, token: tuple[str, str], api: str = "v4", **lists: tuple[str, ...]) -> FirstSource:
    return FirstSource("gitlab", name, token, {"url": (url,), "api": (api,), **lists})


HERE = "https://gitlab.example.com"
SOURCES = {
    "northflank": NORTHFLANK,
    "northflank in part": FirstSource(
        "northflank",
        "nf",
        ("file", "/run/secrets/a b"),
        {"url": ("https://nf.example.com",), "team": ("42",), "projects": ("shop", "on")},
    ),
    "gitlab": of_gitlab("gitlab", HERE, ("env", "GITLAB_TOKEN"), projects=("shop/web", "42")),
    "groups": of_gitlab("gl", "http://[::1]:8080", ("env", "T"), groups=("platform", "a/b", "7")),
    "old gitlab": of_gitlab("old", "https://old.example.com", ("env", "T"), "v3", projects=("7", "null/no")),
    "odd names": of_gitlab(
        "1e3", HERE, ("file", "/a/#1: x"), projects=("a/b", "a/b-", "1.5/+a", "0x1/_", "12345678901234567890")
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


@pytest.mark.parametrize("wish", SOURCES.values(), ids=SOURCES)
def test_what_is_written_is_what_was_wished(wish: FirstSource) -> None:
    (source,) = read(first_configuration(wish, "config.yaml")).sources
    assert (source.provider, source.name) == (wish.provider, wish.name)
    kind, value = wish.token
    assert (source.token.env if isinstance(source.token, EnvToken) else str(source.token.file)) == value
    assert kind == ("env" if isinstance(source.token, EnvToken) else "file")
    if isinstance(source, GitLabSource):
        assert (source.url, source.api) == (wish.value("url"), wish.value("api"))
        assert tuple(map(str, source.projects)) == wish.values.get("projects", ())
        assert tuple(map(str, source.groups)) == wish.values.get("groups", ())
    if isinstance(source, NorthflankSource):
        assert source.url == wish.value("url") or not wish.value("url")
        projects = tuple(one.id for one in source.projects or ())
        assert (source.team or "", projects) == (wish.value("team"), wish.values.get("projects", ()))


@pytest.mark.parametrize("provider", PROVIDERS)
def test_each_provider_has_a_template_whose_sample_is_valid(provider: str) -> None:
    template = template_of(provider)
    values = {one.key: (one.default,) for one in template.fields if one.default}
    sample = FirstSource(provider, provider, ("env", "TOKEN"), {**values, **template.sample})
    assert read(first_configuration(sample, "config.yaml")).sources
    many = [one.many for one in template.fields]
    assert many == sorted(many), "lists are asked for last"


@pytest.mark.parametrize("wish", SOURCES.values(), ids=SOURCES)
def test_every_comment_can_be_made_a_setting(wish: FirstSource) -> None:
    """Each line that is commented out is good where its sign is taken away."""
    lines = first_configuration(wish, "config.yaml").splitlines()
    settings = [line.replace("# ", "", 1) if _commented(line) else line for line in lines[2:]]
    text = "\n".join(settings)
    assert text.count("# ") < "\n".join(lines).count("# ")
    assert read(text).metrics.histograms == ("conclude",)
    (source,) = read(text).sources
    assert source.webhook
    assert source.exclude or isinstance(source, NorthflankSource)
    assert not isinstance(source, GitLabSource) or source.topics or source.api == "v3"


def _commented(line: str) -> bool:
    inside = line.strip()
    return inside.startswith("# ")


@pytest.mark.parametrize("wish", SOURCES.values(), ids=SOURCES)
def test_comments_stand_in_a_row_and_lines_are_short(wish: FirstSource) -> None:
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
    assert [request.path for request in simulator.requests] == ["/api/v3/user", "/api/v3/projects/2105/builds"]


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        ((), 2, "there is no terminal to ask on; pass --provider, --token.env or --token.file\n"),
        (("--provider=gitlab",), 2, "there is no terminal to ask on; pass --url, --token.env or --token.file\n"),
        (("--provider=bitbucket",), 2, "'bitbucket' is not one of 'northflank', 'gitlab'"),
        (("--provider=northflank", "--token.env=glpat-1234"), 2, "--token.env: that is neither the name of an environ"),
        (
            ("--provider=northflank", "--token.env=NO_SUCH"),
            2,
            "--token.env: the environment variable NO_SUCH is not set, or empty\n",
        ),
        (("--provider=northflank", "--token.file=no/such"), 2, "--token.file: there is no such file\n"),
        (
            ("--provider=gitlab", "--url=x", f"--token.env={TOKEN}", "--project=a/b"),
            2,
            "--url: must begin with http:// or",
        ),
        (("--provider=northflank", f"--token.env={TOKEN}", "--name=a b"), 2, "--name: must be 1 to 64 letters"),
        (("--provider=northflank", f"--token.env={TOKEN}", "--group=a"), 2, "--group is an option for GitLab only\n"),
    ],
)
def test_what_is_missing_or_wrong_is_one_clear_line_and_writes_nothing(
    tmp_path: Path, arguments: tuple[str, ...], status: int, says: str
) -> None:
    ended, out, err = init(tmp_path, *arguments)
    assert (ended, out) == (status, "")
    assert says in err
    assert "1234" not in err
    assert not re.search(r"init:|yaml:[0-9]", err), "it names no line of a file that there is not"
    assert not list(tmp_path.iterdir())


def test_what_does_not_work_is_not_written_unless_untried(tmp_path: Path, simulator: Simulator) -> None:
    given = ("--provider=northflank", f"--token.env={TOKEN}")
    status, _, err = init(tmp_path, *given, f"--url={simulator.url}", **{TOKEN: "wrong"})
    assert status == 1
    assert err == (
        "ci-build-exporter: /v1/projects answered 401 (Unauthorized): check the token of source northflank; "
        "nothing was written (--untried writes the configuration without trying it)\n"
    )
    status, _, err = init(tmp_path, *given, f"--url={refused_url()}")
    assert (status, "connection refused" in err) == (1, True)
    assert not list(tmp_path.iterdir())
    status, out, err = init(tmp_path, *given, f"--url={refused_url()}", "--untried")
    assert (status, out.startswith("wrote "), err) == (0, True, "")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--project=harbour/nope",), "--project: there is no project harbour/nope, or the token cannot see it; "),
        (("--project=harbour/infra",), "--project: harbour/infra is a group, not a project: write it as a group; "),
        (("--group=harbour/storefront",), "--group: harbour/storefront is a project, not a group: write it as a proj"),
        (("--group=nope",), "--group: there is no group nope, or the token cannot see it; "),
        (("--project=harbour",), '--project: "harbour" is no project\'s path'),
        (("--project=4711", "--api=v3"), "--project: there is no project 4711, or the token cannot see it; "),
    ],
)
def test_what_the_provider_does_not_have_is_told(
    tmp_path: Path, simulator: Simulator, arguments: tuple[str, ...], says: str
) -> None:
    given = ("--provider=gitlab", f"--url={simulator.url}", f"--token.env={TOKEN}")
    status, _, err = init(tmp_path, *given, *arguments)
    assert status == 2
    assert err.startswith(says)
    assert not list(tmp_path.iterdir())


def test_a_project_of_northflank_that_is_not_there_is_told_the_nearest(tmp_path: Path, simulator: Simulator) -> None:
    given = ("--provider=northflank", f"--url={simulator.url}", f"--token.env={TOKEN}", "--project=shp")
    status, _, err = init(tmp_path, *given)
    assert (status, 'there is no project shp, or the token cannot see it; did you mean "shop"?' in err) == (2, True)


@pytest.mark.parametrize(
    ("effect", "says"),
    [
        (faults.instead(404, b"<html>"), "has no GitLab API v4; for GitLab 10 and older, use API v3"),
        (faults.instead(403, b'{"error":"insufficient_scope"}'), "insufficient_scope"),
        (faults.too_many(), "429"),
        (faults.html(200), "answered HTML instead of JSON"),
    ],
)
def test_a_server_that_does_not_answer_as_gitlab_is_told(
    tmp_path: Path, simulator: Simulator, effect: faults.Effect, says: str
) -> None:
    simulator.faults.add("*", effect)
    given = ("--provider=gitlab", f"--url={simulator.url}", f"--token.env={TOKEN}", "--project=a/b")
    status, _, err = init(tmp_path, *given)
    assert status == 1
    assert says in err


def test_a_server_without_api_v3_is_told_to_use_v4(tmp_path: Path, simulator: Simulator) -> None:
    simulator.faults.add("/api/v3/*", faults.gone())
    given = ("--provider=gitlab", f"--url={simulator.url}", f"--token.env={TOKEN}", "--project=1", "--api=v3")
    assert "has no API v3 any more: use v4; nothing was written" in init(tmp_path, *given)[2]


def test_a_file_is_overwritten_by_force_only(tmp_path: Path, simulator: Simulator) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("mine")
    given = ("--provider=northflank", f"--token.env={TOKEN}", f"--url={simulator.url}")
    status, _, err = init(tmp_path, *given)
    assert (status, path.read_text()) == (1, "mine")
    assert err.endswith("exists: pass --force to overwrite it, or --config.file to write another file\n")
    assert not simulator.requests
    assert init(tmp_path, *given, "--force")[0] == 0
    assert read(path.read_text())
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_that_cannot_be_written_is_said_before_anything_is_asked(tmp_path: Path) -> None:
    assert init(tmp_path / "none")[2].endswith("config.yaml cannot be written: there is no such directory\n")
    (tmp_path / "config.yaml").mkdir()
    assert init(tmp_path)[2].endswith("config.yaml cannot be written: it is a directory\n")


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


def test_on_a_terminal_each_wrong_answer_is_asked_for_again(tmp_path: Path, simulator: Simulator) -> None:
    wrong_token = tmp_path / "token"
    wrong_token.write_text("not the token")
    terminal = Terminal("init", folder=tmp_path)
    terminal.until("Provider (northflank, gitlab) [northflank]: ").answers("gitlub")
    terminal.until("'gitlub' is not one of").until("Provider (northflank, gitlab) [northflank]: ").answers("gitlab")
    address = "Address of the GitLab server ["
    terminal.until(address).answers(f"{simulator.url}/api/v4")
    terminal.until("url: must be the server's address alone").until(address).answers(simulator.url)
    token = "or the path of a file [GITLAB_TOKEN]: "
    terminal.until(token).answers("glpat-hunter2.hunter2")
    terminal.until("put it into a variable or a file").until(token).answers("NO_SUCH_VARIABLE")
    terminal.until("variable NO_SUCH_VARIABLE is not set").until(token).answers(str(wrong_token))
    terminal.until("token: /api/v4/user answered 401").until(token).answers(TOKEN)
    projects = "Projects to read ("
    terminal.until(projects).answers("legacy/billing harbour/infra")
    terminal.until("project: harbour/infra is a group, not a project").until(projects).answers("legacy/billing")
    groups = "Groups to read, with subgroups ("
    terminal.until(groups).answers("harbur")
    terminal.until("group: there is no group harbur").until(groups).answers("harbour")
    terminal.until("found 5 projects:")
    assert terminal.ended() == 0
    (source,) = read((tmp_path / "config.yaml").read_text()).sources
    assert isinstance(source, GitLabSource)
    assert (source.url, source.projects, source.groups) == (simulator.url, ("legacy/billing",), ("harbour",))
    assert terminal.text.count("hunter2.hunter2") == 1, "what the terminal itself echoes"
    assert "init:" not in terminal.text
    checked = run("check", f"--config.file={tmp_path}/config.yaml", "--live")
    assert (checked.status, checked.err) == (0, "")


def test_on_a_terminal_wrong_options_are_asked_for_again(tmp_path: Path, simulator: Simulator) -> None:
    given = ("--provider=northflank", "--url=northflank.com", "--token.env=glpat", "--project=nope", "--name=a b")
    terminal = Terminal("init", *given, folder=tmp_path)
    terminal.until("name: must be 1 to 64 letters").until("Name of the source in the metrics").answers("nf")
    terminal.until("url: must begin with http:// or https://").until("url [northflank.com]: ").answers(refused_url())
    terminal.until("token: that is neither").until("or the path of a file [NORTHFLANK_TOKEN]: ").answers(TOKEN)
    terminal.until("url: connection refused").until("url [").answers(simulator.url)
    terminal.until("project: there is no project nope").until("Projects to read").answers("shop")
    terminal.until("found ")
    assert terminal.ended() == 0
    (source,) = read((tmp_path / "config.yaml").read_text()).sources
    assert isinstance(source, NorthflankSource)
    assert (source.name, source.url, [one.id for one in source.projects or ()]) == ("nf", simulator.url, ["shop"])


def test_a_token_of_northflank_that_may_not_list_projects_is_asked_for_some(
    tmp_path: Path, simulator: Simulator
) -> None:
    simulator.faults.add("/v1/projects", faults.instead(403, b"{}"))
    given = ("--provider=northflank", f"--url={simulator.url}", f"--token.env={TOKEN}")
    terminal = Terminal("init", *given, folder=tmp_path)
    terminal.until("Projects to read (ids, separated by spaces)").answers("shop")
    assert terminal.ended() == 0
    assert "found 3 jobs" in terminal.text or "services" in terminal.text


def test_on_a_terminal_a_file_that_is_there_is_asked_about(tmp_path: Path, simulator: Simulator) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("mine")
    given = ("init", "--provider=northflank", f"--url={simulator.url}", f"--token.env={TOKEN}")
    terminal = Terminal(*given, folder=tmp_path).until("config.yaml exists. Overwrite it at the end?").answers("")
    assert terminal.ended() == 1
    assert terminal.text.endswith("config.yaml was not changed\n")
    terminal = Terminal(*given, folder=tmp_path).until("Overwrite it at the end?").answers("y")
    assert terminal.ended() == 0
    assert read(path.read_text())
