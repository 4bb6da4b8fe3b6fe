"""A real Prometheus that scrapes an exporter, and what it answers."""

import json
import re
import subprocess
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import real
import yaml
from serving import PATIENCE, ask, eventually

JOB = "demo"


@contextmanager
def prometheus(
    folder: Path, *scraped: str, rules: Sequence[Path] = (), scraping: Mapping[str, Any] | None = None
) -> Iterator[str]:
    """The address of a Prometheus that scrapes the addresses, evaluates the rules every second and keeps exemplars.

    A scrape may take five seconds: one that is late on a busy machine fails, and each alert pends anew. With several
    addresses each is a replica. `scraping` is more of the scrape's configuration.
    """
    program = real.tool("prometheus")
    configuration = folder / "prometheus.yml"
    replicas = [urllib.parse.urlsplit(address).netloc for address in scraped]
    settings = {
        "global": {"scrape_interval": "5s", "scrape_timeout": "5s", "evaluation_interval": "1s"},
        "rule_files": [str(path) for path in rules],
        "scrape_configs": [{"job_name": JOB, "static_configs": [{"targets": replicas}], **(scraping or {})}],
    }
    configuration.write_text(yaml.safe_dump(settings))
    told = folder / "prometheus.log"
    with told.open("w") as log:
        process = subprocess.Popen(
            [
                program,
                f"--config.file={configuration}",
                f"--storage.tsdb.path={folder / 'data'}",
                "--web.listen-address=127.0.0.1:0",
                "--enable-feature=exemplar-storage",
            ],
            stderr=log,
            stdout=log,
        )
    try:
        url = listening(process, told)
        eventually(lambda: answers(url))
        yield url
    finally:
        process.terminate()
        process.wait(PATIENCE)


def listening(process: "subprocess.Popen[bytes]", log: Path) -> str:
    """Where it listens, once its log says so."""

    def said() -> re.Match[str] | None:
        return re.search(r'msg="Listening on".* address=(\S+)', log.read_text())

    eventually(lambda: said() is not None or process.poll() is not None)
    found = said()
    assert found, log.read_text()
    return f"http://{found[1]}"


def answers(url: str) -> bool:
    try:
        return ask(url, "/-/ready").status == 200
    except OSError:
        return False


def api(url: str, path: str, **parameters: str) -> Any:
    reply = json.loads(ask(url, f"/api/v1/{path}?{urllib.parse.urlencode(parameters)}").text)
    assert reply["status"] == "success", (parameters, reply)
    return reply["data"]


def query(url: str, expression: str, **parameters: str) -> list[tuple[dict[str, str], float]]:
    found = api(url, "query", query=expression, **parameters)["result"]
    return [(result["metric"], float(result["value"][1])) for result in found]
