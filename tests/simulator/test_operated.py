"""The vendors' own clients see the change that a command made."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import gitlab
import here
import pytest
import real
from serving import Clock, configuration
from serving import gitlab as gitlab_source
from serving import northflank as northflank_source

from exporter.simulator import SIMULATOR_TOKEN, Simulator, demo_world

SCRIPT = Path(__file__).parent / "northflank_sees.mjs"


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator(demo_world(), clock=Clock()) as simulator:
        yield simulator


@pytest.fixture
def config(tmp_path: Path, simulator: Simulator) -> Path:
    path = tmp_path / "config.yaml"
    old = gitlab_source(simulator, "old-gitlab", "api: v3, projects: [2105]")
    path.write_text(
        configuration(northflank_source(simulator), gitlab_source(simulator, more="groups: [harbour]"), old)
    )
    return path


def builds(config: Path, verb: str, *arguments: str) -> str:
    ended = here.run("builds", verb, f"--config.file={config}", *arguments)
    assert (ended.status, ended.err) == (0, "")
    return ended.out


def retried(config: Path, target: str, build_id: str) -> str:
    """The id of the new build."""
    said = builds(config, "retry", target, build_id, "--yes")
    match = re.fullmatch(rf"{target}: build {build_id} is retried as (\S+) \(\w+\)\n", said)
    assert match, said
    return match[1]


@pytest.mark.parametrize(
    ("target", "project"),
    [("gitlab/project/harbour/storefront", "harbour/storefront"), ("old-gitlab/project/2105", "legacy/billing")],
)
def test_python_gitlab_sees_what_was_retried_and_cancelled(
    config: Path, simulator: Simulator, target: str, project: str
) -> None:
    jobs = gitlab.Gitlab(simulator.url, private_token=SIMULATOR_TOKEN).projects.get(project).jobs
    before = jobs.list(scope="success", per_page=1, get_all=False)[0]
    new = jobs.get(retried(config, target, str(before.id)))
    assert (new.name, new.commit["id"], new.pipeline["id"]) == (before.name, before.commit["id"], before.pipeline["id"])
    assert new.status in {"pending", "running"}
    assert new.id == jobs.list(per_page=1, get_all=False)[0].id
    assert builds(config, "cancel", target, str(new.id), "--yes") == f"{target}: build {new.id} is canceled\n"
    new.refresh()
    assert new.status == "canceled"
    with pytest.raises(gitlab.exceptions.GitlabJobCancelError, match="not cancelable"):
        new.cancel()


def test_the_client_of_northflank_sees_what_was_retried_and_aborted(config: Path, simulator: Simulator) -> None:
    real.node_package("@northflank/js-client")
    node, target = real.tool("node"), "northflank/service/shop/api"
    (before,) = json.loads(builds(config, "list", target, "--scope=success", "-n1", "-o", "json"))

    def sees(*ids: str) -> list[dict[str, str]]:
        command = [str(node), str(SCRIPT), simulator.url, SIMULATOR_TOKEN, "shop", "api", *ids]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        seen: list[dict[str, str]] = json.loads(done.stdout)
        return seen

    new = retried(config, target, before["id"])
    old, begun = sees(before["id"], new)
    assert (old["status"], begun["sha"]) == ("SUCCESS", before["sha"])
    assert begun["status"] in {"QUEUED", "PENDING", "STARTING", "CLONING", "BUILDING"}
    assert builds(config, "cancel", target, new, "--yes") == f"{target}: build {new} is aborted\n"
    assert [one["status"] for one in sees(new)] == ["ABORTED"]
