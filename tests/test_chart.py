"""The Helm chart: its values, what may be written in them, and what it has of the rest of the project."""

import json
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from charts import CASES, CHART, ROOT, case, refusal, rendered, run
from real import NODE_MODULES, node_package

import exporter
from exporter.config.values import duration
from exporter.settings.settings import Refresh
from helm import schema
from mixin import thresholds

VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
BEYOND_VALUES = {"enabled", "resources.claims"}
"""The first is what a chart that has this one as a dependency may give it."""
README = (CHART / "README.md").read_text()

MISSPELT = {
    "replcas": "replcas: 2",
    "repositry": "image: {repositry: x}",
    "scrapeTimeot": "serviceMonitor: {scrapeTimeot: 12s}",
    "disabledAlert": "prometheusRule: {disabledAlert: [x]}",
    "alrt": "prometheusRule: {rules: [{alrt: x, expr: '1'}]}",
    "stuckSecnds": "prometheusRule: {thresholds: {stuckSecnds: 1}}",
    "severty": "prometheusRule: {alerts: {CIBuildStuck: {severty: info}}}",
    "folderr": "dashboards: {folderr: CI}",
    "runAsNonroot": "podSecurityContext: {runAsNonroot: true}",
    "kez": "tolerations: [{kez: dedicated}]",
    "memry": "resources: {limits: {memry: 1Gi}}",
    "preferred": "affinity: {podAntiAffinity: {preferred: []}}",
    "httpget": "livenessProbe: {httpget: {path: /}}",
    "valuefrom": "extraEnv: [{name: A, valuefrom: {}}]",
    "secretname": "extraVolumes: [{name: a, secret: {secretname: b}}]",
    "windw": "config: {windw: {builds: 10}}",
    "idle_tll": "config: {refresh: {idle_tll: 5m}}",
    "tokn": "config: {sources: [{name: a, tokn: {env: A}}]}",
    "envv": "config: {sources: [{name: a, token: {envv: A}}]}",
    "cert_fle": "webConfig: {tls_server_config: {cert_fle: a}}",
    "X-Frame-Option": "webConfig: {http_server_config: {headers: {X-Frame-Option: deny}}}",
    "basic_auth_user": "webConfig: {basic_auth_user: {}}",
    "clientCertificate": "webConfigSecret: {clientCertificate: true}",
    "serverNam": "serviceMonitor: {tlsConfig: {serverNam: a}}",
    "usernam": "serviceMonitor: {basicAuth: {usernam: {}}}",
    "servces": "config: {sources: [{name: a, projects: [{id: shop, servces: []}]}]}",
}
"""A misspelt key at every level, and in every sort of value."""


@pytest.mark.parametrize("values", [CHART / "values.yaml", *CASES], ids=lambda path: path.stem)
def test_lint_finds_nothing(values: Path) -> None:
    ended = run("lint", "--strict", CHART, f"--values={values}")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "[WARNING]" not in ended.stdout


def test_a_misspelt_key_is_refused_at_every_level(tmp_path: Path) -> None:
    files = []
    for key, values in MISSPELT.items():
        files.append(tmp_path / f"{key}.yaml")
        files[-1].write_text(values)
    # A list of a later file takes the place of an earlier one's, so what is in one list is tried apart.
    alone = [file for file in files if "config: {sources" in file.read_text()]
    together = [f"--values={file}" for file in files if file not in alone]
    for names, options in [(set(MISSPELT) - {file.stem for file in alone}, together)] + [
        ({file.stem}, [f"--values={file}"]) for file in alone
    ]:
        ended = run("template", CHART, *options)
        assert ended.returncode != 0
        for name in names:
            assert re.search(rf"\b{name}\b.*not allowed|not allowed.*\b{name}\b|{name}.*not match", ended.stderr), name


def test_each_example_of_a_misspelt_key_is_right_but_for_that_key() -> None:
    for key in MISSPELT:
        assert f'"{key}"' not in json.dumps(SCHEMA)


def test_no_object_of_the_schema_takes_any_key_but_those_that_users_name_themselves() -> None:
    free = {path for path, one in _objects(SCHEMA) if "additionalProperties" not in one}
    fields = "definitions.io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1"  # a path into the object that it speaks of
    assert free == {"properties.global", "properties.extraManifests.items", fields}


def _objects(node: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema in it that an object may fit, and where it is."""
    if isinstance(node, dict):
        types = node.get("type", ())
        if "object" in ([types] if isinstance(types, str) else types) and not path.endswith("properties"):
            yield path, node
        for key, value in node.items():
            yield from _objects(value, f"{path}.{key}" if path else key)


def test_the_schema_has_the_keys_of_the_values_and_no_other() -> None:
    assert set(_keys(VALUES, SCHEMA)) == set(_keys_of_schema(SCHEMA)) - BEYOND_VALUES


def _keys_of_schema(node: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """The keys that the chart's own schema names; what it refers to, such as Kubernetes' definitions, is left out."""
    for key, value in node.get("properties", {}).items():
        yield prefix + key
        yield from _keys_of_schema(value, f"{prefix}{key}.")


def _keys(values: Any, node: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """The keys of the values, as deep as the chart's own schema goes."""
    if "properties" in node:
        for key, value in values.items():
            yield prefix + key
            yield from _keys(value, node["properties"].get(key, {}), f"{prefix}{key}.")


def test_the_schema_is_what_kubernetes_and_the_settings_say() -> None:
    assert (CHART / "values.schema.json").read_text() == schema.text(), "make chart writes it"


def test_the_chart_has_the_rules_and_the_dashboards_of_the_project() -> None:
    mixin, files = ROOT / "mixin", CHART / "files"
    expected = {path.name: path.read_text() for path in [mixin / "alerts.yaml", mixin / "rules.yaml"]}
    expected |= {f"dashboards/{path.name}": path.read_text() for path in (mixin / "dashboards").glob("*.json")}
    expected["thresholds.yaml"] = "# Written by `make chart` from mixin/thresholds.py.\n" + yaml.safe_dump(
        thresholds.places(), sort_keys=False, width=1000
    )
    copied = {str(path.relative_to(files)): path.read_text() for path in files.rglob("*") if path.is_file()}
    assert copied == expected, "make chart copies them"


def test_the_thresholds_are_those_of_the_mixin() -> None:
    defaults = {one.name: one.default for one in thresholds.THRESHOLDS}
    assert VALUES["prometheusRule"]["thresholds"] == defaults


def test_the_version_is_that_of_the_exporter() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == exporter.__version__
    assert chart["version"] == exporter.__version__
    image = f"ghcr.io/ci-build-exporter/ci-build-exporter:{exporter.__version__}"
    assert rendered(case("demo")).container["image"] == image
    (published,) = yaml.safe_load(chart["annotations"]["artifacthub.io/images"])
    assert published["image"] == image


def test_the_addresses_are_those_of_the_project() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    source = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Source"]
    assert [chart["home"]] == chart["sources"] == [source]
    links = yaml.safe_load(chart["annotations"]["artifacthub.io/links"])
    assert all(link["url"].startswith(f"{source}/") for link in links)
    for address in (chart["icon"], *(link["url"] for link in links)):
        _, _, path = address.partition("/main/")
        assert not path or (ROOT / path).is_file(), address


def test_the_readme_has_the_values_as_their_comments_describe_them(tmp_path: Path) -> None:
    node_package("@bitnami/readme-generator-for-helm")
    copy = tmp_path / "README.md"
    shutil.copy(CHART / "README.md", copy)
    generator = NODE_MODULES / ".bin" / "readme-generator"
    command: list[str | Path] = [generator, "--values", CHART / "values.yaml", "--readme", copy]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert copy.read_text() == README, "make chart writes it"


def examples() -> list[str]:
    """The values that the chart's README and the project's page about Kubernetes show."""
    both = README + (ROOT / "docs" / "kubernetes.md").read_text()
    found = re.findall(r"^```yaml\n(.*?)^```$", both, re.MULTILINE | re.DOTALL)
    return [example for example in found if "config" in yaml.safe_load(example)]


@pytest.mark.parametrize("example", examples())
def test_the_examples_of_the_pages_are_rendered(example: str, tmp_path: Path) -> None:
    values = tmp_path / "values.yaml"
    values.write_text(example)
    assert rendered(values).config


def test_a_scrape_may_take_longer_than_a_read_and_ends_before_the_next() -> None:
    monitor = VALUES["serviceMonitor"]
    timeout, interval = duration(monitor["scrapeTimeout"]), duration(monitor["interval"])
    assert Refresh().timeout + 0.5 < timeout < interval


STATE_FILE = [f"--values={case('state-file')}"]
NOTHING_TO_READ = "config.sources names nothing to read: give it a source, or set demo=true to try without any"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--set=secrets.gitlab=token"], NOTHING_TO_READ),
        (["--set=existingSecrets[0].name=tokens"], NOTHING_TO_READ),
        (["--set=config.window.builds=10"], NOTHING_TO_READ),
        (["--set=webConfigSecret.name=web"], NOTHING_TO_READ),
        (["--set=demo=true,httpRoute.enabled=true"], "httpRoute.parentRefs names no Gateway"),
        (["--set=demo=true,ingress.enabled=true"], "ingress.hosts names no host"),
        (
            ["--set=demo=true,prometheusRule.enabled=true,prometheusRule.disabledAlerts={CIBuildBrokn}"],
            'there is no alert "CIBuildBrokn"; there are ',
        ),
        (["--set=demo=true,webConfigSecret.name=web"], "the demo takes no web configuration"),
        (["--set=webConfig.tls_server_config=null"], "tls_server_config"),
        ([*STATE_FILE, "--set=replicas=2"], "serves one process only: set replicas to 1 instead of 2"),
        ([*STATE_FILE, "--set=config.store=memory"], "store.type and config.store both say"),
        (
            [f"--values={case('two-sources')}", "--set=config.store=sqlite:///state/a.db,replicas=3"],
            "serves one process only: set replicas to 1 instead of 3",
        ),
    ],
)
def test_values_that_make_no_sense_are_refused_with_the_reason(options: list[str], message: str) -> None:
    assert message in refusal(*options)


def test_a_package_has_what_it_needs_and_no_more(tmp_path: Path) -> None:
    ended = run("package", CHART, f"--destination={tmp_path}")
    assert ended.returncode == 0, ended.stderr
    (package,) = tmp_path.iterdir()
    listed = subprocess.run(["tar", "-tf", package], capture_output=True, text=True, check=True).stdout
    assert "files/alerts.yaml" in listed
    assert "/ci/" not in listed
    assert "templates/tests/ready.yaml" in listed
    assert rendered(case("demo"), chart=package).by_name() == rendered(case("demo")).by_name()


def test_it_can_be_a_dependency_that_is_switched_on(tmp_path: Path) -> None:
    parent = tmp_path / "parent"
    shutil.copytree(CHART, parent / "charts" / "ci-build-exporter")
    dependency = {"name": "ci-build-exporter", "version": "0.1.0", "condition": "ci-build-exporter.enabled"}
    chart = {"apiVersion": "v2", "name": "parent", "version": "1.0.0", "dependencies": [dependency]}
    (parent / "Chart.yaml").write_text(yaml.safe_dump(chart))
    values = tmp_path / "values.yaml"
    values.write_text("global: {imageRegistry: r.example.com}\nci-build-exporter: {enabled: true, demo: true}\n")
    container = rendered(values, chart=parent).container
    assert container["args"][0] == "demo"
    assert container["image"].startswith("r.example.com/ci-build-exporter/")


def told_after(tmp_path: Path, name: str, *options: str) -> str:
    """What `helm install` tells of a case."""
    notes = tmp_path / "notes.yaml"
    template = 'include "ci-build-exporter/templates/NOTES.txt" . | quote'
    manifest = f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: notes}}\ndata: {{notes: {{{{ {template} }}}}}}"
    notes.write_text(yaml.safe_dump({"extraManifests": [manifest]}))
    found = rendered(case(name), f"--values={notes}", *options).one("ConfigMap", "notes")["data"]["notes"]
    assert isinstance(found, str)
    return found


@pytest.mark.parametrize(
    ("options", "asking"),
    [
        ([], "--user alice --cert client.crt --key client.key --insecure https://"),
        (["--set=webConfig.tls_server_config.client_auth_type=NoClientCert"], "--user alice --insecure https://"),
        (["--set=webConfigSecret.name=mine"], "http://"),
        (["--set=webConfigSecret.name=mine,webConfigSecret.tls=true"], "--insecure https://"),
    ],
)
def test_the_notes_ask_as_the_web_configuration_wants_it(tmp_path: Path, options: list[str], asking: str) -> None:
    told = told_after(tmp_path, "web-config", *options)
    (ask,) = (line.strip() for line in told.splitlines() if line.startswith("  curl"))
    assert ask == f"curl --silent {asking}localhost:10065/metrics | grep -E '^ci_build_(source|target)_up'"
    assert ("the Secret mine names users" in told) == ("mine" in "".join(options))
    assert "will be refused" not in told


def test_the_notes_tell_where_prometheus_would_be_refused(tmp_path: Path) -> None:
    told = told_after(tmp_path, "web-config", "--set=serviceMonitor.basicAuth=null,serviceMonitor.tlsConfig=null")
    assert "serviceMonitor.basicAuth names none" in told
    assert "serviceMonitor.tlsConfig names none" in told


def test_the_notes_tell_the_next_two_commands_and_where_deliveries_go(tmp_path: Path) -> None:
    told = told_after(tmp_path, "everything")
    forward, ask = (line.strip() for line in told.splitlines() if line.startswith(("  kubectl", "  curl")))
    assert forward.endswith(" && kubectl --namespace ci port-forward service/builds 10065:80")
    assert ask == "curl --silent http://localhost:10065/metrics | grep -E '^ci_build_(source|target)_up'"
    assert "gitlab: https://builds.example.com/webhooks/gitlab" in told


def test_without_any_values_the_demo_is_served_and_the_notes_say_so(tmp_path: Path) -> None:
    bare, demo = rendered(case("default")), rendered(CHART / "values.yaml", "--set=demo=true")
    assert bare.by_name() == demo.by_name()
    told = told_after(tmp_path, "default")
    assert told.lstrip().startswith(
        "The exporter serves its demo: a simulated Northflank and GitLab. To read your own builds, set config.sources."
    )
    assert "set config.sources" not in told_after(tmp_path, "demo")
