"""What compose.yaml starts: the files it mounts fit together, and the real tools accept them."""

import json
import re
import subprocess
import sys
from pathlib import Path, PurePosixPath
from typing import Any

import real
import yaml

ROOT = Path(__file__).parent.parent


def read(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text())


SERVICES = read("compose.yaml")["services"]


def test_compose_yaml_is_as_its_specification_says() -> None:
    checker = Path(sys.executable).with_name("check-jsonschema")
    command = [str(checker), "--builtin-schema=vendor.compose-spec", str(ROOT / "compose.yaml")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout


def mounts(service: str) -> list[tuple[Path, str]]:
    """What is mounted into a service, and where."""
    parts = [volume.split(":") for volume in SERVICES[service]["volumes"]]
    assert all(rest == ["ro"] for _, _, *rest in parts)
    return [(ROOT / here, there) for here, there, *_ in parts]


def test_all_that_is_mounted_is_here() -> None:
    assert [here for service in ("prometheus", "grafana") for here, _ in mounts(service) if not here.exists()] == []


def test_every_service_has_a_fixed_image_and_is_published_to_this_machine_only() -> None:
    for name, service in SERVICES.items():
        assert re.fullmatch(r"docker\.io/.+:v?\d+\.\d+\.\d+", service["image"]) or name == "exporter"
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        assert "healthcheck" in service or name == "exporter", "that of the exporter is in its image"


def test_promtool_accepts_the_configuration_with_its_rules_here_and_in_the_container(tmp_path: Path) -> None:
    for here, there in mounts("prometheus"):
        place = tmp_path / there.removeprefix("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(here.read_bytes())
    for configuration in (ROOT / "compose/prometheus.yml", tmp_path / "etc/prometheus/prometheus.yml"):
        ended = subprocess.run(
            [real.tool("promtool"), "check", "config", configuration], capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stderr
        assert "SUCCESS: 2 rule files found" in ended.stdout


def test_prometheus_scrapes_the_exporter_and_grafana_asks_prometheus() -> None:
    scraped = read("compose/prometheus.yml")["scrape_configs"][0]["static_configs"][0]["targets"]
    assert scraped == ["exporter:10065"]
    assert "exporter" in SERVICES["prometheus"]["depends_on"]
    (source,) = read("compose/grafana/datasources/prometheus.yaml")["datasources"]
    assert source["isDefault"], "the variable of the dashboards takes the default"
    assert (source["type"], source["url"]) == ("prometheus", "http://prometheus:9090")
    assert "--enable-feature=exemplar-storage" in SERVICES["prometheus"]["command"]


def test_grafana_finds_the_dashboards_and_begins_with_one_of_them() -> None:
    (folder,) = [there for here, there in mounts("grafana") if here == ROOT / "mixin/dashboards"]
    (provider,) = read("compose/grafana/dashboards/mixin.yaml")["providers"]
    assert provider["options"]["path"] == folder
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert str(PurePosixPath(home).parent) == folder
    dashboard = json.loads((ROOT / "mixin/dashboards" / Path(home).name).read_text())
    first = dashboard["templating"]["list"][0]
    assert (first["name"], first["type"], first["query"]) == ("datasource", "datasource", "prometheus")
