"""The Dockerfile, checked without building it: `make image-test` builds it, and runs what was built."""

import json
import re
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from certificates import Authority
from click import Option
from serving import PATIENCE, TOKEN, northflank, refused_url, serving, settings

from exporter.cli.commands import serve
from exporter.cli.options import ENVIRONMENT
from exporter.web.server import host_and_port
from exporter.web.web_file import WebFile

ROOT = Path(__file__).parent.parent
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def instructions(text: str) -> list[tuple[str, str]]:
    """The instructions of a Dockerfile and what they are given, comments left out."""
    lines = re.sub(r"(?m)^\s*#.*\n", "", text).replace("\\\n", " ").splitlines()
    return [(name, rest.strip()) for name, _, rest in (line.partition(" ") for line in lines if line)]


def given(name: str) -> list[str]:
    """What the instructions of that name are given in the last stage, which is the image."""
    all_of_them = instructions(DOCKERFILE)
    begins = max(place for place, (instruction, _) in enumerate(all_of_them) if instruction == "FROM")
    return [rest for instruction, rest in all_of_them[begins:] if instruction == name]


def test_hadolint_finds_nothing_to_say() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    ended = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_both_stages_start_from_the_base_that_is_given() -> None:
    assert instructions(DOCKERFILE)[0][0] == "ARG"
    assert [rest.split()[0] for name, rest in instructions(DOCKERFILE) if name == "FROM"] == ["${BASE}", "${BASE}"]


def test_the_image_is_its_base_and_what_the_first_stage_made() -> None:
    assert given("COPY") == ["--from=build /opt/ci-build-exporter /opt/ci-build-exporter"]
    assert given("RUN") == given("ADD") == []


def test_the_user_is_a_number_and_not_root() -> None:
    assert [re.fullmatch(r"[1-9]\d*:[1-9]\d*", user) is not None for user in given("USER")] == [True]


@pytest.mark.parametrize("name", ["ENTRYPOINT", "CMD", "HEALTHCHECK"])
def test_it_is_started_and_checked_without_a_shell(name: str) -> None:
    (rest,) = given(name)
    command = json.loads(rest[rest.index("[") :])
    assert all(isinstance(part, str) for part in command)


def test_the_check_of_health_and_the_published_port_are_those_of_the_default_address() -> None:
    (default,) = [option.default for option in serve.params if option.name == "web_listen_address"]
    host, port = host_and_port("", str(default))
    assert host == ""
    assert given("EXPOSE") == [str(port)]
    (check,) = given("HEALTHCHECK")
    compile(json.loads(check[check.index("[") :])[2], "HEALTHCHECK", "exec")
    assert f"'127.0.0.1', {port}" in check
    assert "'/-/healthy'" in check


def health(port: int, seconds: float = PATIENCE) -> int:
    """With what the check of health ends, asking that port; it waits so long for the answer."""
    (check,) = given("HEALTHCHECK")
    _python, option, code = json.loads(check[check.index("[") :])
    asking = code.replace("10065", str(port)).replace("timeout=4", f"timeout={seconds}")
    return subprocess.run([sys.executable, option, asking], capture_output=True, check=False).returncode


@pytest.mark.parametrize("clients", ["NoClientCert", "RequireAndVerifyClientCert"])
def test_the_check_of_health_is_content_with_an_exporter_over_tls(tmp_path: Path, clients: str) -> None:
    authority = Authority()
    authority.issue(tmp_path, "127.0.0.1")
    authority.write(tmp_path / "ca.crt")
    tls = {"cert_file": "tls.crt", "key_file": "tls.key"}
    if clients != "NoClientCert":
        tls |= {"client_auth_type": clients, "client_ca_file": "ca.crt"}
    (tmp_path / "web.yaml").write_text(yaml.safe_dump({"tls_server_config": tls}))
    with serving(settings(northflank(refused_url())), web=WebFile(tmp_path / "web.yaml")) as exporter:
        assert health(urlsplit(exporter.url).port or 0) == 0


def test_the_check_of_health_tells_an_exporter_from_a_fault_and_from_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, "unused")
    with serving(settings(northflank(refused_url()))) as exporter:
        assert health(urlsplit(exporter.url).port or 0) == 0
    assert health(urlsplit(refused_url()).port or 0) != 0
    with socket.create_server(("127.0.0.1", 0)) as silent:  # it takes connections, and never answers
        assert health(silent.getsockname()[1], seconds=0.5) != 0


def test_each_variable_of_the_exporter_is_one_that_it_reads() -> None:
    read = {f"{ENVIRONMENT}REVISION", *(option.envvar for option in serve.params if isinstance(option, Option))}
    assert set(re.findall(rf"{ENVIRONMENT}\w+", " ".join(given("ENV")))) <= read


def test_only_what_is_copied_is_let_in() -> None:
    copied = {
        source
        for name, rest in instructions(DOCKERFILE)
        if name == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    }
    first, *others = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert first == "*"
    assert {line[1:] for line in others if line.startswith("!")} == copied
    assert all((ROOT / name).exists() for name in copied)
