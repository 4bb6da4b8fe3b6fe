"""What the chart renders: Kubernetes, the Prometheus operator, the exporter and Prometheus take it, and it is safe."""

import base64
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]  # it has no types
import pytest
import yaml
from certificates import Authority
from charts import CASES, CHART, ROOT, Manifest, case, rendered
from processes import run
from real import NODE_MODULES, node_package, tool
from serving import eventually, northflank, serving, settings, simulating

from exporter.cli import commands
from exporter.simulator import demo_world
from exporter.web.web_config import read
from exporter.web.web_file import WebFile

OF_THE_OPERATOR = "monitoring.coreos.com/v1"
OF_THE_GATEWAYS = "gateway.networking.k8s.io/v1"
KUBERNETES = ["1.25.0", "1.37.0"]
"""The oldest that Chart.yaml names, and the newest."""
TYPES = {OF_THE_OPERATOR: "@kubernetes-models/prometheus-operator", OF_THE_GATEWAYS: "@kubernetes-models/gateway-api"}
"""The npm packages with the types of what is not Kubernetes' own, which know every key."""
ALL = pytest.mark.parametrize("values", CASES, ids=lambda path: path.stem)
UNCONFIGURED = {case("demo"), case("default")}
CONFIGURED = pytest.mark.parametrize(
    "values", [path for path in CASES if path not in UNCONFIGURED], ids=lambda path: path.stem
)


@ALL
@pytest.mark.parametrize("version", KUBERNETES)
def test_every_manifest_is_one_that_kubernetes_takes(values: Path, version: str) -> None:
    for manifest in rendered(values).manifests:
        if manifest["apiVersion"] not in (OF_THE_OPERATOR, OF_THE_GATEWAYS):
            kubernetes_validate.validate(manifest, version, strict=True)


def test_the_oldest_kubernetes_is_that_of_the_chart() -> None:
    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["kubeVersion"] == f">={KUBERNETES[0]}-0"


def faults_of_types(manifests: list[Manifest], tmp_path: Path) -> str:
    """What TypeScript says of manifests of the Prometheus operator and of the Gateway API."""
    node_package("typescript")
    for package in TYPES.values():
        node_package(package)
    (tmp_path / "node_modules").symlink_to(NODE_MODULES)
    groups = list(TYPES)
    lines = [f'import type * as v{i} from "{TYPES[group]}/{group}";' for i, group in enumerate(groups)]
    for i, one in enumerate(manifests):
        lines.append(f"export const _{i}: v{groups.index(one['apiVersion'])}.I{one['kind']} = {json.dumps(one)};")
    (tmp_path / "manifests.ts").write_text("\n".join(lines))
    options = ["--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext", "--target", "esnext"]
    command: list[str | Path] = [NODE_MODULES / ".bin" / "tsc", *options, "manifests.ts"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    return ended.stdout + ended.stderr


def test_every_manifest_for_the_operator_and_for_gateways_is_of_their_types(tmp_path: Path) -> None:
    manifests = [one for values in CASES for one in rendered(values).manifests if one["apiVersion"] in TYPES]
    assert {one["kind"] for one in manifests} == {"ServiceMonitor", "PodMonitor", "PrometheusRule", "HTTPRoute"}
    assert faults_of_types(manifests, tmp_path) == ""


def test_a_key_that_the_operator_does_not_know_would_be_found(tmp_path: Path) -> None:
    monitor = {
        "apiVersion": OF_THE_OPERATOR,
        "kind": "ServiceMonitor",
        "spec": {"selector": {}, "endpoints": [{"prt": "a"}]},
    }
    assert "'\"prt\"' does not exist" in faults_of_types([monitor], tmp_path)


@CONFIGURED
def test_the_exporter_finds_nothing_wrong_with_the_configuration(values: Path, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    authorities = Path(__file__).parent / "data" / "config" / "ca.pem"
    file.write_text(rendered(values).config.replace("/etc/company/ca.pem", str(authorities)))
    ended = run("check", f"--config.file={file}")
    assert ended.returncode == 0, ended.stdout + ended.stderr


@CONFIGURED
def test_the_configuration_is_what_the_values_say(values: Path) -> None:
    written = yaml.safe_load(values.read_text())
    store = {"store": STATE_FILE} if written.get("store") else {}
    assert yaml.safe_load(rendered(values).config) == written["config"] | store


STATE_FILE = "sqlite:///var/lib/ci-build-exporter/state.db"


def test_a_state_file_has_a_volume_of_its_own_and_one_process_at_a_time() -> None:
    shown = rendered(case("state-file"))
    claim = shown.one("PersistentVolumeClaim")
    assert claim["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert claim["spec"]["resources"] == {"requests": {"storage": "2Gi"}}
    assert claim["spec"]["storageClassName"] == "fast"
    (volume,) = (one for one in shown.pod["spec"]["volumes"] if "persistentVolumeClaim" in one)
    assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    (mount,) = (one for one in shown.container["volumeMounts"] if one["name"] == volume["name"])
    assert mount == {"name": "state", "mountPath": str(Path(STATE_FILE.removeprefix("sqlite://")).parent)}
    spec = shown.one("Deployment")["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


def test_a_claim_that_is_there_is_used() -> None:
    shown = rendered(case("state-file"), "--set=store.existingClaim=mine")
    assert shown.of("PersistentVolumeClaim") == []
    claims = [one["persistentVolumeClaim"] for one in shown.pod["spec"]["volumes"] if "persistentVolumeClaim" in one]
    assert claims == [{"claimName": "mine"}]


def test_a_state_file_of_the_configuration_has_one_process_at_a_time_too() -> None:
    shown = rendered(case("two-sources"), f"--set=replicas=1,config.store={STATE_FILE}")
    assert shown.one("Deployment")["spec"]["strategy"] == {"type": "Recreate"}
    assert shown.of("PersistentVolumeClaim") == []
    assert yaml.safe_load(shown.config)["store"] == STATE_FILE


def test_prometheus_takes_every_rule(tmp_path: Path) -> None:
    rules = [rule for values in CASES for rule in rendered(values).of("PrometheusRule")]
    assert len(rules) > 1
    for number, rule in enumerate(rules):
        file = tmp_path / f"{number}.yaml"
        file.write_text(yaml.safe_dump(rule["spec"]))
        ended = subprocess.run([tool("promtool"), "check", "rules", file], capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stdout + ended.stderr


def rules_of(spec: Any) -> list[Any]:
    return [rule for group in spec["groups"] for rule in group["rules"]]


def rules_of_the_project() -> dict[str, Any]:
    files = [yaml.safe_load((CHART / "files" / name).read_text()) for name in ("rules.yaml", "alerts.yaml")]
    return {"groups": [group for file in files for group in file["groups"]]}


def test_the_rules_are_those_of_the_project_word_for_word() -> None:
    assert rendered(case("demo")).one("PrometheusRule")["spec"] == rules_of_the_project()


def test_alerts_can_be_left_out_labelled_and_added_to() -> None:
    mine = rules_of(rendered(case("everything")).one("PrometheusRule")["spec"])
    own = [rule for rule in rules_of(rules_of_the_project()) if rule.get("alert") != "CIBuildDefaultBranchBroken"]
    assert [rule.get("alert") for rule in mine] == [rule.get("alert") for rule in own] + ["CheckoutBroken"]
    assert mine[-1]["annotations"]["summary"] == "{{ $labels.target }} is broken"
    for rule, of_project in zip(mine[:-1], own, strict=True):
        if "alert" not in rule:
            assert rule == of_project
            continue
        annotations = {
            key: text.replace("http://localhost:10065/", "https://ci.example.com/builds/")
            .replace("http://localhost:3000/", "https://grafana.example.com/")
            .replace("https://github.com/ci-build-exporter/", "https://git.example.com/")
            for key, text in of_project["annotations"].items()
        }
        stuck = rule["alert"] == "CIBuildStuck"
        severity = {"severity": "critical"} if stuck else {}
        assert rule["labels"] == of_project["labels"] | severity | {"team": "platform"}
        assert rule["for"] == ("20m" if stuck else of_project["for"])
        assert rule["annotations"] == annotations | {"team_page": "https://wiki.example.com"}
        if rule["alert"] not in {"CIBuildStuck", "CIBuildLatencyDoubled"}:
            assert rule["expr"] == of_project["expr"]


def test_a_threshold_of_the_values_is_in_its_alert() -> None:
    found = {
        rule["alert"]: rule
        for rule in rules_of(rendered(case("everything")).one("PrometheusRule")["spec"])
        if "alert" in rule
    }
    slower = found["CIBuildLatencyDoubled"]["expr"]
    assert "p90_of_many > 60 * branch:" in slower
    assert slower.rstrip().endswith("p90_week > 2")
    assert "max > 7200.5 unless" in found["CIBuildStuck"]["expr"]


def test_the_sidecar_of_grafana_finds_every_dashboard_as_it_is() -> None:
    found = rendered(case("everything"))
    boards = [one for one in found.of("ConfigMap") if one["metadata"].get("labels", {}).get("grafana_dashboard")]
    texts = {name: text for board in boards for name, text in board["data"].items()}
    of_project = {path.name: path.read_text() for path in (CHART / "files" / "dashboards").glob("*.json")}
    assert {name: json.loads(text) for name, text in texts.items()} == {
        name: json.loads(text) for name, text in of_project.items()
    }
    assert {board["metadata"]["annotations"]["grafana_folder"] for board in boards} == {"CI"}
    assert {board["metadata"]["namespace"] for board in boards} == {"monitoring"}
    sizes = [len(json.dumps(board)) for board in boards]
    assert max(sizes) < 256 * 1024, "kubectl apply keeps a copy of it in an annotation, which may have that size"


def test_a_change_of_the_configuration_rolls_the_pods_and_nothing_else_does() -> None:
    def checksum(*options: str) -> str:
        return str(rendered(case("two-sources"), *options).pod["metadata"]["annotations"]["checksum/config"])

    assert checksum() == checksum("--set=replicas=3,secrets.more=token")
    assert checksum() != checksum("--set=config.window.age=3d")


@ALL
def test_a_token_is_nowhere_but_in_the_secret(values: Path) -> None:
    secrets = yaml.safe_load(values.read_text()).get("secrets", {})
    found = rendered(values)
    web = yaml.safe_load(values.read_text()).get("webConfig", {})
    kept = {name: base64.b64decode(value).decode() for one in found.of("Secret") for name, value in one["data"].items()}
    assert yaml.safe_load(kept.pop("web.yaml", "{}")) == web
    assert kept == secrets
    others = json.dumps([one for one in found.manifests if one["kind"] != "Secret"])
    for token in (*secrets.values(), *web.get("basic_auth_users", {}).values()):
        assert token not in others
        assert base64.b64encode(token.encode()).decode() not in others


def test_tokens_of_both_kinds_are_files_in_one_folder_that_the_pods_group_alone_reads() -> None:
    found = rendered(case("everything"))
    (volume,) = (one for one in found.pod["spec"]["volumes"] if one["name"] == "secrets")
    assert volume["projected"] == {
        "defaultMode": 0o440,
        "sources": [
            {"secret": {"name": "gitlab-token", "items": [{"key": "token", "path": "gitlab"}]}},
            {"secret": {"name": "builds"}},
        ],
    }
    (mount,) = (one for one in found.container["volumeMounts"] if one["name"] == "secrets")
    assert mount == {"name": "secrets", "mountPath": "/run/secrets/ci-build-exporter", "readOnly": True}


@ALL
def test_the_pods_satisfy_the_restricted_pod_security_standard(values: Path) -> None:
    pod, container = rendered(values).pod["spec"], rendered(values).container
    assert not pod.keys() & {"hostNetwork", "hostPID", "hostIPC"}
    assert "hostPort" not in json.dumps(container["ports"])
    kinds = {kind for volume in pod.get("volumes", ()) for kind in volume if kind != "name"}
    assert kinds <= {"configMap", "projected", "secret", "emptyDir", "persistentVolumeClaim"}
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "privileged": False,
        "readOnlyRootFilesystem": True,
    }
    assert pod["automountServiceAccountToken"] is False


def test_the_pods_run_as_the_user_of_the_image_and_read_the_file_that_is_mounted() -> None:
    found = rendered(case("two-sources"))
    context = found.pod["spec"]["securityContext"]
    assert f"USER {context['runAsUser']}:{context['runAsGroup']}\n" in (ROOT / "Dockerfile").read_text()
    (mount,) = (one for one in found.container["volumeMounts"] if one["name"] == "config")
    assert f"--config.file={mount['mountPath']}/config.yaml" in found.container["args"]


@ALL
def test_the_exporter_knows_the_command_and_its_options(values: Path) -> None:
    command, *options = rendered(values).container["args"]
    known = {option for parameter in getattr(commands, command).params for option in parameter.opts}
    assert {option.partition("=")[0] for option in options} <= known


def test_the_exporter_answers_the_probes() -> None:
    container = rendered(case("two-sources")).container
    paths = {container[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")}
    with simulating(demo_world()) as simulator, serving(settings(northflank(simulator))) as exporter:
        exporter.scrape()
        assert {path: exporter.ask(path).status for path in paths} == {"/-/healthy": 200, "/-/ready": 200}


PROBES = ("startupProbe", "livenessProbe", "readinessProbe")


def test_over_tls_the_probes_and_prometheus_go_by_https_and_need_no_password(tmp_path: Path) -> None:
    found = rendered(case("web-config"), "--set=webConfig.tls_server_config.client_auth_type=NoClientCert")
    assert {found.container[probe]["httpGet"]["scheme"] for probe in PROBES} == {"HTTPS"}
    assert found.one("ServiceMonitor")["spec"]["endpoints"][0]["scheme"] == "https"
    plain = rendered(case("two-sources"))
    assert all("scheme" not in plain.container[probe]["httpGet"] for probe in PROBES)
    assert "scheme" not in plain.one("ServiceMonitor")["spec"]["endpoints"][0]
    authority = Authority()
    authority.issue(tmp_path, "127.0.0.1")
    web = yaml.safe_load(found.web_config)
    web["tls_server_config"] = {"cert_file": "tls.crt", "key_file": "tls.key"}  # those of the pod are not here
    (tmp_path / "web.yaml").write_text(yaml.safe_dump(web))
    with (
        simulating(demo_world()) as simulator,
        serving(settings(northflank(simulator)), web=WebFile(tmp_path / "web.yaml")) as exporter,
    ):
        eventually(lambda: exporter.ask("/-/ready", context=authority.client()).status == 200)
        assert exporter.ask("/-/healthy", context=authority.client()).status == 200
        assert exporter.ask("/metrics", context=authority.client()).status == 401


def test_a_kubelet_that_has_no_certificate_only_connects() -> None:
    container = rendered(case("web-config")).container
    assert {json.dumps(container[probe]["tcpSocket"]) for probe in PROBES} == {'{"port": "http"}'}
    assert not any("httpGet" in container[probe] for probe in PROBES)
    assert container["readinessProbe"]["timeoutSeconds"] == 5
    own = rendered(case("web-config"), "--set=livenessProbe.httpGet=null,livenessProbe.exec.command={ls}").container
    assert own["livenessProbe"]["exec"] == {"command": ["ls"]}
    assert "tcpSocket" not in own["livenessProbe"]


def test_the_exporter_finds_nothing_wrong_with_the_web_configuration() -> None:
    found = rendered(case("web-config"))
    web = read(found.web_config, "web.yaml", Path(), lambda _tls: iter(()))
    assert web.tls
    files = {web.tls.cert_file, web.tls.key_file, web.tls.client_ca_file}
    mounts = {mount["name"]: Path(mount["mountPath"]) for mount in found.container["volumeMounts"]}
    assert {path.parent for path in files if path} == {mounts["secrets"]}
    assert f"--web.config.file={mounts['web-config']}/web.yaml" in found.container["args"]


def test_the_web_configuration_may_be_in_a_secret_that_is_there() -> None:
    options = "webConfigSecret.name=mine,webConfigSecret.key=web.yml,webConfigSecret.tls=true"
    found = rendered(case("web-config"), f"--set={options}")
    (volume,) = (one for one in found.pod["spec"]["volumes"] if one["name"] == "web-config")
    assert volume["secret"] == {
        "secretName": "mine",
        "defaultMode": 0o440,
        "items": [{"key": "web.yml", "path": "web.yaml"}],
    }
    assert not found.of("Secret")
    assert "checksum/web-config" not in found.pod["metadata"]["annotations"]
    assert found.container["livenessProbe"]["httpGet"]["scheme"] == "HTTPS"
    wary = rendered(case("web-config"), f"--set={options},webConfigSecret.clientCertificates=true")
    assert "tcpSocket" in wary.container["livenessProbe"]


def test_a_change_of_the_web_configuration_rolls_the_pods() -> None:
    def checksum(*options: str) -> str:
        annotations = rendered(case("web-config"), *options).pod["metadata"]["annotations"]
        return str(annotations["checksum/web-config"])

    assert checksum() == checksum("--set=replicas=3,config.window.age=3d")
    assert checksum() != checksum("--set=webConfig.http_server_config.http2=false")


@ALL
def test_whatever_selects_the_pods_or_the_service_selects_them(values: Path) -> None:
    found = rendered(values)
    service = found.one("Service")
    selectors = [found.one("Deployment")["spec"]["selector"]["matchLabels"], service["spec"]["selector"]]
    selectors += [one["spec"]["selector"]["matchLabels"] for one in found.of("PodDisruptionBudget")]
    selectors += [one["spec"]["podSelector"]["matchLabels"] for one in found.of("NetworkPolicy")]
    assert all(selector.items() <= found.pod["metadata"]["labels"].items() for selector in selectors)
    for monitor in found.of("ServiceMonitor"):
        assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
        assert monitor["spec"]["namespaceSelector"]["matchNames"] == [service["metadata"]["namespace"]]
        assert monitor["spec"]["endpoints"][0]["port"] == service["spec"]["ports"][0]["name"]
    for monitor in found.of("PodMonitor"):
        assert monitor["spec"]["selector"]["matchLabels"].items() <= found.pod["metadata"]["labels"].items()
        assert monitor["spec"]["podMetricsEndpoints"][0]["port"] == found.container["ports"][0]["name"]
    test = found.one("Pod")
    assert not any(selector.items() <= test["metadata"]["labels"].items() for selector in selectors)


def test_an_ingress_lets_deliveries_in_and_nothing_else() -> None:
    rules = rendered(case("everything")).one("Ingress")["spec"]["rules"]
    paths = [path for rule in rules for path in rule["http"]["paths"]]
    assert {(path["path"], path["pathType"]) for path in paths} == {("/webhooks/", "Prefix")}
    assert [rule["host"] for rule in rules] == ["builds.example.com", "builds.example.org"]


def test_an_http_route_lets_deliveries_in_and_nothing_else() -> None:
    found = rendered(case("everything"))
    spec = found.one("HTTPRoute")["spec"]
    (rule,) = spec["rules"]
    assert rule["matches"] == [{"path": {"type": "PathPrefix", "value": "/webhooks/"}}]
    service = found.one("Service")
    expected = {"name": service["metadata"]["name"], "port": service["spec"]["ports"][0]["port"]}
    assert rule["backendRefs"] == [expected]


def test_a_pod_monitor_scrapes_as_the_service_monitor_does() -> None:
    found = rendered(case("everything"))
    service, pod = (found.one(kind)["spec"] for kind in ("ServiceMonitor", "PodMonitor"))
    assert service.pop("targetLabels") == ["scrape"]
    assert pod.pop("podMetricsEndpoints") == service.pop("endpoints")
    assert pod == service
    limits = {key for key in service if key.endswith("Limit")}
    assert limits == {
        "bodySizeLimit",
        "sampleLimit",
        "targetLimit",
        "labelLimit",
        "labelNameLengthLimit",
        "labelValueLengthLimit",
    }


def test_one_registry_of_a_parent_chart_is_that_of_every_image() -> None:
    found = rendered(case("everything"))
    images = {found.container["image"], found.one("Pod")["spec"]["containers"][0]["image"]}
    assert images == {"mirror.example.com/ci-build-exporter/ci-build-exporter:0.1.0-1"}


def asked_by_helm_test(values: Path, address: str, *options: str) -> subprocess.CompletedProcess[str]:
    """What the pod of `helm test` does, at another address."""
    pod = rendered(values, *options).one("Pod")
    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
    (container,) = pod["spec"]["containers"]
    (program,) = container["args"]
    changed, count = re.subn(r"(https?://)[^/]+/", rf"\g<1>{address}/", program)
    assert count == 1
    command = [sys.executable, "-c", changed.replace("range(30)", "range(1)")]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_helm_test_passes_once_the_exporter_is_ready(tmp_path: Path) -> None:
    options = "--set=webConfig.tls_server_config.client_auth_type=NoClientCert"
    Authority().issue(tmp_path, "127.0.0.1")
    (tmp_path / "web.yaml").write_text("tls_server_config: {cert_file: tls.crt, key_file: tls.key}\n")
    with simulating(demo_world()) as simulator:
        with serving(settings(northflank(simulator))) as exporter:
            eventually(lambda: exporter.ask("/-/ready").status == 200)
            address = exporter.url.partition("://")[2]
            assert asked_by_helm_test(case("two-sources"), address).returncode == 0
            assert asked_by_helm_test(case("web-config"), address, options).returncode != 0, "that is no TLS"
        with serving(settings(northflank(simulator)), web=WebFile(tmp_path / "web.yaml")) as exporter:
            address = exporter.url.partition("://")[2]
            eventually(lambda: asked_by_helm_test(case("web-config"), address, options).returncode == 0)


def test_nobody_is_let_in_or_out_but_those_who_are_named() -> None:
    policy = rendered(case("everything")).one("NetworkPolicy")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert [len(rule["from"]) for rule in policy["ingress"]] == [2]
    assert [port["port"] for rule in policy["egress"] for port in rule["ports"]] == [53, 53, 443, 3128]
    open_one = rendered(case("inline-secrets")).one("NetworkPolicy")["spec"]
    assert open_one["policyTypes"] == ["Ingress"]
    assert "from" not in open_one["ingress"][0]


def test_large_numbers_stay_whole() -> None:
    assert "max_series: 3000000\n" in rendered(case("inline-secrets")).config
    assert re.search(r"^ +- 41000000$", rendered(case("inline-secrets")).config, re.MULTILINE)


def test_the_demo_needs_no_configuration() -> None:
    found = rendered(case("demo"))
    assert found.container["args"][0] == "demo"
    assert "volumes" not in found.pod["spec"]
    assert "checksum/config" not in found.pod["metadata"]["annotations"]
