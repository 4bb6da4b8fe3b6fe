"""The built image, run as an operator runs it. `make image-test` builds it and calls this; `make test` does not."""

import json
import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from serving import Reply, ask, eventually

from exporter import __version__

ENGINE = os.environ["ENGINE"]
IMAGE = os.environ["IMAGE"]
ROOT = Path(__file__).parent.parent.parent
HARDENED = (
    "--read-only",
    *(("--read-only-tmpfs=false",) if ENGINE == "podman" else ()),  # which would make /tmp and others writable
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
    "--no-healthcheck",  # it is run by the tests; to repeat it podman wants systemd
)
CONFIGURATION = """
sources:
  - {name: northflank, provider: northflank, url: "http://127.0.0.1:9", token: {env: NORTHFLANK_TOKEN}}
"""


def engine(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([ENGINE, *arguments], capture_output=True, text=True, timeout=60, check=False)


def done(*arguments: str) -> str:
    """What the engine prints, having succeeded."""
    ended = engine(*arguments)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


def of_image(*keys: str) -> Any:
    """The setting of the image that has one of these names: docker and podman do not agree on all."""
    image = json.loads(done("image", "inspect", IMAGE))[0]
    return next(place[key] for place in (image["Config"], image) for key in keys if key in place)


class Container:
    """A container that runs."""

    def __init__(self, name: str) -> None:
        self.name = name

    def execute(self, *command: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        return engine("exec", *options, self.name, *command)

    def python(self, program: str, options: tuple[str, ...] = ()) -> str:
        """What the program prints in the container."""
        ended = self.execute("python", "-c", program, options=options)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout.strip()

    def healthy(self) -> bool:
        """Whether the image's own check of health passes."""
        kind, *command = of_image("Healthcheck", "HealthCheck")["Test"]
        assert kind == "CMD", "anything else is run by a shell"
        return self.execute(*command).returncode == 0

    def ask(self, path: str = "/metrics") -> Reply:
        published = done("port", self.name, "10065/tcp").splitlines()[0]
        return ask(f"http://{published}", path)

    def answers(self) -> bool:
        try:
            return self.ask("/-/healthy").status == 200
        except OSError:
            return False

    def stop(self) -> int:
        """How its process ended."""
        done("stop", "-t", "20", self.name)
        return int(done("inspect", "--format={{.State.ExitCode}}", self.name))


@contextmanager
def running(*command: str, options: tuple[str, ...] = ()) -> Iterator[Container]:
    container = Container(
        done("run", "--detach", *HARDENED, "--publish=127.0.0.1::10065", *options, IMAGE, *command).splitlines()[-1]
    )
    try:
        yield container
    finally:
        engine("kill", container.name)
        engine("rm", "--force", container.name)


@pytest.fixture(scope="module")
def demo() -> Iterator[Container]:
    with running("demo") as container:
        eventually(container.answers)
        yield container


def test_the_demo_is_scraped_from_outside(demo: Container) -> None:
    eventually(lambda: demo.ask("/-/ready").status == 200)
    reply = demo.ask()
    assert len(reply.targets("northflank")) > 5
    assert len(reply.targets("gitlab")) > 1
    assert not reply.targets("northflank", up=0.0) | reply.targets("gitlab", up=0.0)


def test_version_and_revision_are_those_of_the_build(demo: Container) -> None:
    labels = of_image("Labels")
    revision = labels["org.opencontainers.image.revision"]
    assert demo.ask().value("ci_build_exporter_build_info", version=__version__, revision=revision) == 1.0
    assert labels["org.opencontainers.image.version"] == __version__


def test_it_runs_as_nobody_in_particular_and_can_write_nowhere(demo: Container) -> None:
    assert demo.python("import os; print(os.getuid(), os.getgid())") == "65532 65532"
    status = dict(line.split(":\t") for line in demo.python("print(open('/proc/1/status').read())").splitlines())
    assert status["Uid"].split() == ["65532"] * 4
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
    assert status["NoNewPrivs"] == "1"
    for folder in ("/", "/tmp", "/opt/ci-build-exporter", "/etc"):  # noqa: S108  # of the container
        refused = demo.execute("python", "-c", f"open({folder!r} + '/written', 'w')")
        assert "Read-only file system" in refused.stderr


def test_its_check_of_health_sees_a_server_that_answers_and_one_that_does_not(demo: Container) -> None:
    assert demo.healthy()
    with running("simulate", "--listen=127.0.0.1:9999") as silent:
        eventually(lambda: silent.execute("python", "-c", "").returncode == 0)
        assert not silent.healthy()


def test_no_shell_is_needed() -> None:
    masks = tuple(f"--volume=/dev/null:{shell}:ro" for shell in ("/bin/sh", "/bin/bash"))
    with running("demo", options=masks) as container:
        eventually(container.answers)
        assert container.execute("sh", "-c", "true").returncode != 0
        assert container.healthy()


def test_it_ends_well_when_it_is_stopped() -> None:
    with running("demo") as container:
        eventually(container.answers)
        assert container.stop() == 0


def test_a_mounted_configuration_is_served(tmp_path: Path) -> None:
    configuration = tmp_path / "config.yaml"
    configuration.write_text(CONFIGURATION)
    configuration.chmod(0o644)
    mounted = (f"--volume={configuration}:/etc/ci-build-exporter/config.yaml:ro", "--env=NORTHFLANK_TOKEN=none")
    assert "good, 1 source" in done("run", "--rm", *HARDENED, *mounted, IMAGE, "check")
    elsewhere = (f"--volume={configuration}:/config.yaml:ro", "--env=NORTHFLANK_TOKEN=none")
    for options, command in ((mounted, ()), (elsewhere, ("serve", "--config.file=/config.yaml"))):
        with running(*command, options=options) as container:
            eventually(container.answers)
            assert container.ask().value("ci_build_source_up", source="northflank") == 0.0


def test_nothing_but_the_runtime_is_in_it(demo: Container) -> None:
    names = demo.python("import importlib.metadata as m; print(*(d.metadata['Name'] for d in m.distributions()))")
    installed = set(names.lower().replace("_", "-").split())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {"ci-build-exporter", *(dependency.partition(">")[0] for dependency in project["dependencies"])} <= installed
    assert not installed & {"pip", "setuptools", "hatchling", "pytest", "ruff", "mypy"}
    left = "import pathlib as p; print(*(n for n in {} if p.Path(n).exists()))"
    traces = ("/source", "/wheels", "/build", "/root/.cache", "/run/secrets/pip.conf", "/usr/bin/cc", "/usr/bin/gcc")
    assert demo.python(left.format(traces), options=("--user=0",)) == ""


def test_every_module_is_compiled_once_and_bears_no_time(demo: Container) -> None:
    """Byte code with time stamps would differ between two builds, and byte code beside it would be there twice."""
    program = """
import pathlib as p
folder = p.Path("/opt/ci-build-exporter/lib")
compiled = list(folder.rglob("*.pyc"))
flags = {int.from_bytes(one.read_bytes()[4:8], "little") for one in compiled}
print(len(list(folder.rglob("*.py"))), len(compiled), flags)
"""
    modules, compiled, flags = demo.python(program).split(maxsplit=2)
    assert (modules, flags) == (compiled, "{1}"), "1: by hash, and not checked"


def test_the_packages_are_those_of_the_lock(demo: Container) -> None:
    program = (
        "import importlib.metadata as m; print(*(d.metadata['Name'] + '==' + d.version for d in m.distributions()))"
    )
    locked = set(re.findall(r"^(\S+==[^\s;]+)", (ROOT / "locks" / "run.txt").read_text(), re.MULTILINE))
    installed = {name.lower().replace("_", "-") for name in demo.python(program).split()}
    assert installed - locked == {f"ci-build-exporter=={__version__}"}
