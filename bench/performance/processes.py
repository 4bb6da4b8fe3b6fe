"""The processes that are measured, and those that measure them: each ends with the block that began it."""

import http.client
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from exporter.simulator import SIMULATOR_TOKEN

TOKEN = "SIMULATED_TOKEN"  # noqa: S105  # the name of a variable
PATIENCE = 600.0
"""Seconds after which what was waited for is not going to come."""
COMMAND = (sys.executable, "-c", "from exporter.cli.main import main; main()")
"""What the script `ci-build-exporter` does."""
GZIP: Mapping[str, str] = {"Accept-Encoding": "gzip"}

NGINX = """worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off; sendfile on; tcp_nopush on;
  keepalive_timeout 120; keepalive_requests 1000000000;
  client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3;
  uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
  types {{}} default_type "text/plain; version=0.0.4; charset=utf-8";
  server {{
    listen 127.0.0.1:{port};
    location = /metrics.gz {{ root {folder}; add_header Content-Encoding gzip; }}
    location = /metrics {{ root {folder}; }}
  }}
}}
"""


class Missing(Exception):
    """A tool that is not installed."""


def tool(name: str) -> str:
    """Where the tool is. Raises Missing."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise Missing(f"{name} is not installed")
    return found


def version(name: str, *arguments: str) -> str:
    """What the tool says of its version, in its last word."""
    told = subprocess.run([tool(name), *arguments], capture_output=True, text=True, check=False)  # noqa: S603  # named here
    return (told.stdout + told.stderr).split()[-1]


@contextmanager
def running(command: Sequence[str], log: Path | None = None) -> Iterator[subprocess.Popen[str]]:
    """The process; what it says on standard error goes to the log."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CI_BUILD_EXPORTER_")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # what is installed is compiled
    environment[TOKEN] = SIMULATOR_TOKEN
    with (log or Path(os.devnull)).open("w") as errors:
        process = subprocess.Popen(  # noqa: S603  # our own
            command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


@contextmanager
def provider(targets: int, *, latency: float = 0.0, news: bool = False) -> Iterator[str]:
    """The address of a made-up Northflank."""
    command = [sys.executable, "-m", "bench.performance.provider", f"--targets={targets}", f"--latency={latency}"]
    with running([*command, "--news"] if news else command) as process:
        yield str(process.stdout and process.stdout.readline()).strip()


@dataclass(frozen=True, slots=True)
class Server:
    """A process that answers scrapes."""

    pid: int
    url: str


@contextmanager
def exporter(folder: Path, url: str, more: str = "") -> Iterator[Server]:
    """`serve`, once it has read everything."""
    port = free_port()
    begun = time.monotonic()
    with running([*COMMAND, *serving(folder, url, port, more)], folder / f"exporter-{port}.log") as process:
        server = Server(process.pid, f"http://127.0.0.1:{port}/metrics")
        scrape(server.url)  # so that the format is asked for
        while get(server.url.replace("/metrics", "/-/ready")).status != http.client.OK:
            if time.monotonic() - begun > PATIENCE:
                raise TimeoutError("the exporter is not ready")
            time.sleep(0.2)
        wait_for_rest(server)
        yield server


def serving(folder: Path, url: str, port: int, more: str = "") -> list[str]:
    """The arguments to serve what the provider at the URL has; `more` are further lines of the configuration."""
    config = folder / f"config-{port}.yaml"
    config.write_text(
        f"sources:\n  - {{name: northflank, provider: northflank, url: '{url}', token: {{env: {TOKEN}}}}}\n"
        f"metrics: {{max_series: 10000000}}\n{more}\n"
    )
    return ["serve", f"--config.file={config}", f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"]


def wait_for_rest(server: Server) -> None:
    """Return once two scrapes, a second apart, show as many bytes: everything is read and rendered."""
    before = -1
    for _ in range(120):
        size = len(scrape(server.url))
        if abs(size - before) < size // 1000:
            return
        before = size
        time.sleep(1.0)


@contextmanager
def nginx(folder: Path) -> Iterator[Server]:
    """One that serves `metrics` and `metrics.gz` of the folder, with one worker."""
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(folder=folder, port=port))
    folder.chmod(0o755)  # its worker may be another user
    with running([tool("nginx"), "-c", str(config), "-p", str(folder)]) as process:
        connected(port)
        yield Server(process.pid, f"http://127.0.0.1:{port}/metrics")


@contextmanager
def prometheus_client(exposition: Path) -> Iterator[Server]:
    """prometheus-client's own server with the samples of an exposition."""
    port = free_port()
    with running([sys.executable, "-m", "bench.performance.registry", str(exposition), str(port)]) as process:
        connected(port)
        yield Server(process.pid, f"http://127.0.0.1:{port}/metrics")


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def connected(port: int) -> None:
    """Return once somebody listens there."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.005)
        else:
            return


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer."""

    status: int
    body: bytes


def get(url: str, headers: Mapping[str, str] | None = None) -> Reply:
    """The answer to one request over a connection of its own, once somebody listens."""
    parts = urlsplit(url)
    connected(parts.port or 80)
    connection = http.client.HTTPConnection(parts.netloc, timeout=PATIENCE)
    try:
        connection.request("GET", parts.path, headers=dict(headers or {}))
        response = connection.getresponse()
        return Reply(response.status, response.read())
    finally:
        connection.close()


def scrape(url: str, headers: Mapping[str, str] = GZIP) -> bytes:
    """The body of an answer, compressed where nothing else is said."""
    return get(url, headers).body


def requests_a_second(url: str, connections: int, seconds: float, headers: Mapping[str, str]) -> float:
    """What wrk counts. A server that answers less often than once in that time is given ten times as long."""
    wanted = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
    command = [tool("wrk"), "-t1", f"-c{connections}", f"-d{seconds:g}s", "--timeout=60s", *wanted, url]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603  # our own
    number, over = re.search(r"(\d+) requests in ([\d.]+)s", told), re.search(r"Non-2xx", told)
    if number is None or over:
        raise RuntimeError(told)
    return int(number[1]) / float(number[2])
