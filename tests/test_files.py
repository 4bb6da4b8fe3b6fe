"""Files that may be anything: what is read of them is bounded, in size and in time."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from exporter.config.errors import text_of
from exporter.config.files import content_of
from exporter.config.secret import FileToken
from exporter.errors import ConfigError, Unauthorized
from exporter.settings import load
from exporter.web.web_file import WebFile


@contextmanager
def held_open(path: Path) -> Iterator[int]:
    """A FIFO with a writer that writes nothing, so that reading never ends."""
    os.mkfifo(path)
    opened = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    try:
        yield opened
    finally:
        os.close(opened)


def test_a_file_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 1_000_000)
    assert content_of(path, 1_000_000) == b"x" * 1_000_000
    assert content_of(path, 999_999) is None


def test_a_fifo_without_an_end_is_given_up(tmp_path: Path) -> None:
    with held_open(tmp_path / "fifo") as writer:
        os.write(writer, b"sources:")
        with pytest.raises(TimeoutError):
            content_of(tmp_path / "fifo", 1000, wait_seconds=0.05)


def test_a_fifo_without_a_writer_is_empty(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert content_of(tmp_path / "fifo", 1000) == b""
    with pytest.raises(ConfigError, match="is empty"):
        load.load(tmp_path / "fifo")


def test_a_device_without_an_end_is_too_large() -> None:
    assert content_of(Path("/dev/zero"), 1_000_000) is None


def test_a_pipe_of_the_shell_is_read_to_its_end() -> None:
    code = "import sys; from pathlib import Path; from exporter.config.errors import text_of; "
    code += "print(text_of(Path('/dev/stdin')), end='')"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.communicate(b"sources: []\n" * 100_000)[0] == b"sources: []\n" * 100_000


def test_a_configuration_that_does_not_end_is_one_fault(tmp_path: Path) -> None:
    with held_open(tmp_path / "config.yaml"), pytest.raises(ConfigError) as raised:
        text_of(tmp_path / "config.yaml")
    assert raised.value.faults == [f"{tmp_path / 'config.yaml'}: is a pipe that did not end within 2 s"]


def test_a_token_file_that_is_a_fifo_is_no_token(tmp_path: Path) -> None:
    with held_open(tmp_path / "token"), pytest.raises(Unauthorized, match="is not a regular file"):
        FileToken(file=tmp_path / "token").read()


def test_a_web_configuration_replaced_by_a_fifo_holds_up_no_request(tmp_path: Path) -> None:
    path = tmp_path / "web.yaml"
    path.write_text("http_server_config: {headers: {X-Frame-Options: deny}}\n")
    web = WebFile(path)
    path.unlink()
    with held_open(path):
        assert [web.now().headers for _ in range(2)] == [((b"x-frame-options", b"deny"),)] * 2


def test_a_certificate_that_is_a_fifo_is_told(tmp_path: Path) -> None:
    (tmp_path / "web.yaml").write_text("tls_server_config: {cert_file: cert.pem, key_file: key.pem}\n")
    with held_open(tmp_path / "cert.pem"), held_open(tmp_path / "key.pem"), pytest.raises(ConfigError) as raised:
        WebFile(tmp_path / "web.yaml")
    assert [fault.rpartition(": ")[2] for fault in raised.value.faults] == [
        f"{tmp_path / name} is a pipe without an end" for name in ("cert.pem", "key.pem")
    ]
