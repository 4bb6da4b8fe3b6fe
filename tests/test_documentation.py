"""The documentation agrees with the code: families, keys, options, dependencies and examples."""

import gzip
import re
import ssl
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import click
import pytest
import yaml
from certificates import Authority
from click.testing import CliRunner
from pages import PAGES, ROOT, code, examples, keyed, table, typed
from prometheus_client.core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from pydantic import BaseModel, TypeAdapter
from real import tool
from serving import Clock

from exporter.cli.demo import simulated_settings
from exporter.cli.main import commands
from exporter.cli.options import ENVIRONMENT
from exporter.cli.settings_file import KNOWN_FAMILIES
from exporter.collector import Collector
from exporter.config.values import FromFile, Spend
from exporter.exposition.families import TARGET_LABELS, WINDOW
from exporter.exposition.render import Format
from exporter.exposition.self_metrics import FAMILIES
from exporter.providers import PROVIDERS
from exporter.providers.gitlab import GitLabSource
from exporter.providers.northflank import NorthflankSource
from exporter.settings import load
from exporter.settings.settings import Settings
from exporter.simulator import SIMULATOR_TOKEN, Simulator, World, demo_world
from exporter.simulator.demo import DEMO_LIMIT
from exporter.web.web_file import WebFile

NOT_IN_THE_DEMO = {
    "ci_build_target_errors": "no target of the demo fails",
    "ci_build_source_rejected_records": "every record of the demo makes sense",
    "ci_build_source_webhook_events": "the demo's providers deliver nothing",
    "ci_build_store_up": "the demo keeps its state in memory",
}
"""Families without a sample in the demo, and why."""
OF_THE_CLIENT = ("process_", "python_info")
METRICS = "docs/metrics.md"
OF_OTHERS = {"--enable-feature", "--health-cmd", "--no-healthcheck"}
"""Options of other programs that the pages name."""


def labels(cell: str) -> tuple[str, ...]:
    return tuple(re.findall(r"`(\w+)`", cell))


# Metrics


def of_window() -> list[tuple[str, str, tuple[str, ...]]]:
    return [
        (family.name, "gauge histogram" if family.type == "gaugehistogram" else family.type, family.labels)
        for family in WINDOW
    ]


def of_meters(*prefixes: str) -> list[tuple[str, str, tuple[str, ...]]]:
    return [
        (name, type_, tuple(label for label in own if own[:4] != TARGET_LABELS or label not in TARGET_LABELS))
        for name, (type_, _help, own) in FAMILIES.items()
        if name.startswith(prefixes)
    ]


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Recent builds", of_window()),
        ("Targets", of_meters("ci_build_target_")),
        ("Sources", of_meters("ci_build_source_")),
        ("The exporter", of_meters("ci_build_store_", "ci_build_exporter_")),
    ],
)
def test_the_tables_of_metrics_are_the_families_of_the_code(
    title: str, expected: list[tuple[str, str, tuple[str, ...]]]
) -> None:
    rows = table(METRICS, title, "family")
    assert [(code(name), type_, labels(own)) for name, type_, own, _meaning in rows] == expected
    assert all(meaning for *_, meaning in rows)


def test_no_family_of_the_code_is_in_no_table() -> None:
    titles = ("Recent builds", "Targets", "Sources", "The exporter")
    assert {code(row[0]) for title in titles for row in table(METRICS, title, "family")} == KNOWN_FAMILIES


@pytest.mark.parametrize("page", PAGES)
def test_every_family_that_a_page_names_exists(page: str) -> None:
    """Recording rules have a colon before the family's name, and are not meant."""
    named = set(re.findall(r"(?<![:\w])ci_build_\w*[a-z]\b(?!\*)", PAGES[page]))
    parts = {
        family + part
        for family, type_, _labels in of_window()
        if type_ == "gauge histogram"
        for part in ("_bucket", "_gcount", "_gsum")
    }
    assert named <= KNOWN_FAMILIES | parts


@cache
def demo(drop: frozenset[str] = frozenset()) -> str:
    """What the demo exposes, as OpenMetrics."""
    clock = Clock()
    with Simulator(demo_world(), rate_limit=DEMO_LIMIT, clock=clock) as simulator:
        settings = simulated_settings(simulator.url, simulator.url)
        shown = settings.metrics.model_copy(update={"drop": tuple(drop)})
        collector = Collector(settings.model_copy(update={"metrics": shown}), clock=clock)
        collector.collect()
        text = gzip.decompress(collector.expose(Format.OPENMETRICS)).decode()
        collector.close()
    return text


def demo_families() -> list[Metric]:
    return list(text_string_to_metric_families(demo()))  # type: ignore[no-untyped-call]  # it has no types there


def test_the_demo_shows_the_families_of_the_tables_and_no_others() -> None:
    shown = {metric.name: metric for metric in demo_families()}
    ours = {name for name in shown if not name.startswith(OF_THE_CLIENT)}
    known = {name.removesuffix("_total") for name in KNOWN_FAMILIES}
    with_samples = {name for name in ours if shown[name].samples}
    assert ours <= known
    assert with_samples == known - NOT_IN_THE_DEMO.keys()


def test_the_demo_shows_the_labels_and_types_of_the_tables() -> None:
    families = {
        name.removesuffix("_total"): (type_.replace(" ", ""), {*TARGET_LABELS, "branch", *own})
        for name, type_, own in of_window()
    } | {name.removesuffix("_total"): (type_, set(own)) for name, (type_, _help, own) in FAMILIES.items()}
    for metric in demo_families():
        if metric.name.startswith(OF_THE_CLIENT):
            continue
        type_, own = families[metric.name]
        assert metric.type == type_
        for sample in metric.samples:
            assert set(sample.labels) - {"le"} == own, sample.name


def test_any_family_can_be_left_out() -> None:
    text = demo(KNOWN_FAMILIES - {"ci_build_target_up"})
    shown = {re.split(r"[{ ]", line)[0] for line in text.splitlines() if not line.startswith("#")}
    assert {name for name in shown if not name.startswith(OF_THE_CLIENT)} == {"ci_build_target_up"}


def test_the_lines_of_the_readme_are_those_that_the_demo_shows() -> None:
    (lines,) = re.findall(r"^```\n(ci_build_.*?)```$", PAGES["README.md"], re.MULTILINE | re.DOTALL)
    series = {line.rpartition(" # ")[0] if " # " in line else line for line in demo().splitlines()}
    names = {line.rpartition(" ")[0] for line in series}
    written = [line.rpartition(" ")[0] for line in lines.splitlines()]
    assert len(written) == 5
    assert set(written) <= names


# Configuration


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Each key of a section with its type and default (`...`: it must be given), and those of inner sections."""
    for name, field in model.model_fields.items():
        inner = inner_section(field.annotation)
        many = any(get_origin(kind) is tuple for kind in (field.annotation, *get_args(field.annotation)))
        optional = NoneType in get_args(field.annotation)
        if field.exclude:
            continue
        if inner is None or many or optional:
            default = ... if field.is_required() else field.default
            yield prefix + name, Annotated[field.annotation, *field.metadata, None], default
        if inner is not None:
            yield from keys(inner, f"{prefix}{name}[]." if many else f"{prefix}{name}.")


def inner_section(annotation: Any) -> type[BaseModel] | None:
    """The section that a key holds, or a list of; none where it holds a value."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return None if annotation.__module__ == Spend.__module__ else annotation
    if get_origin(annotation) in {tuple, Union, UnionType}:
        found = (inner_section(inner) for inner in get_args(annotation))
        return next((section for section in found if section), None)
    return None


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("A source of Northflank", list(keys(NorthflankSource))),
        ("A source of GitLab", list(keys(GitLabSource))),
        ("Everything else", [key for key in keys(Settings) if not key[0].startswith("sources")]),
    ],
)
def test_the_tables_of_keys_are_the_settings_with_their_defaults(
    title: str, expected: list[tuple[str, Any, Any]]
) -> None:
    rows = table("docs/configuration.md", title, "key")
    keys = [code(row[0]) for row in rows]
    assert sorted(keys) == sorted(name for name, _type, _default in expected)
    for name, type_, default in expected:
        _key, written, meaning = rows[keys.index(name)]
        assert meaning, name
        if default is ... or default is None:
            assert written == ("required" if default is ... else "none"), name
            continue
        value = TypeAdapter(type_).validate_python(yaml.safe_load(code(written)), context=FromFile(ROOT))
        assert value == default, name


def test_every_key_that_a_page_names_exists() -> None:
    """Written as `section.key`; a family's own keys are in the tables, which are compared with the code."""
    models = (Settings, NorthflankSource, GitLabSource)
    known = {name for model in models for name, _type, _default in keys(model)}
    sections = {name.partition(".")[0] for name in known if "." in name}
    for page, text in PAGES.items():
        named = re.findall(rf"`((?:{'|'.join(map(re.escape, sections))})\.[a-z_]+)`", text)
        assert set(named) <= known, page


@pytest.mark.parametrize("example", keyed("sources"))
def test_the_examples_of_configurations_are_good(example: str) -> None:
    assert load.read(example, "config.yaml", ROOT, families=KNOWN_FAMILIES).sources


def test_the_readme_has_a_smallest_configuration_of_each_provider_and_the_page_of_keys_has_a_full_one() -> None:
    smallest = [load.read(example, "config.yaml", ROOT) for example in keyed("sources", "README.md")]
    (full,) = (load.read(example, "config.yaml", ROOT) for example in keyed("sources", "docs/configuration.md"))
    assert [[source.provider for source in settings.sources] for settings in smallest] == [[name] for name in PROVIDERS]
    assert {source.provider for source in full.sources} == PROVIDERS.keys()


# Commands


def options_of(command: click.Command) -> dict[str, str]:
    """Each option of a command with its default as the table writes it."""
    found = {}
    for option in command.params:
        if not isinstance(option, click.Option):
            continue
        default = "none" if option.default is None or not isinstance(option.default, str | int) else str(option.default)
        if option.is_flag:
            default = "off"
        found[option.opts[0]] = "required" if option.required else default
    return found


def every_command(group: click.Group = commands, before: str = "") -> Iterator[tuple[str, click.Command]]:
    """The commands by name, those of a group as `builds list`."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command
        if isinstance(command, click.Group):
            yield from every_command(command, f"{before}{name} ")
        else:
            yield before + name, command


COMMANDS = dict(every_command())
OPTIONS = ("docs/commands.md", "Commands and options")


def test_the_table_of_commands_is_that_of_the_code() -> None:
    assert sorted(code(row[0]) for row in table(*OPTIONS, "command")) == sorted(COMMANDS)


def test_the_table_of_options_is_that_of_the_commands() -> None:
    written: dict[str, dict[str, str]] = {name: {} for name in COMMANDS}
    for option, of, default, meaning in table(*OPTIONS, "option"):
        assert meaning, option
        for name in of.split(", "):
            written[name][code(option)] = code(default)
    assert written == {name: options_of(command) for name, command in COMMANDS.items()}


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_shows_every_option_with_its_variable(name: str) -> None:
    shown = re.sub(r"\s+", " ", CliRunner().invoke(commands, [*name.split(), "--help"]).output)
    for option in options_of(COMMANDS[name]):
        variable = ENVIRONMENT + re.sub(r"[.-]", "_", option.removeprefix("--")).upper()
        assert f" {option} " in shown
        assert variable in shown.replace(" ", "")


@pytest.mark.parametrize("line", list(typed("ci-build-exporter")), ids=" ".join)
def test_the_command_lines_of_the_pages_have_commands_and_options_that_exist(line: list[str]) -> None:
    name = next(name for name in (" ".join(line[:2]), line[0]) if name in COMMANDS)
    command = COMMANDS[name]
    known = {spelling for option in command.params for spelling in option.opts}
    used = {word.partition("=")[0] for word in line[len(name.split()) :] if word.startswith("-")}
    assert used <= known
    required = {option.opts[0] for option in command.params if isinstance(option, click.Option) and option.required}
    assert required <= used or name.startswith("builds "), "the environment names the configuration there"


def test_every_option_that_a_page_names_exists() -> None:
    ours = {option for command in COMMANDS.values() for option in options_of(command)}
    for page, text in PAGES.items():
        named = set(re.findall(r"`(--[a-z][a-z.-]*)", text))
        assert named <= ours | OF_OTHERS, page


# The steps of the README


def test_the_steps_of_the_readme_lead_to_its_configurations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each `init` of the README writes the configuration beside it, and both together can be read."""
    written = [yaml.safe_load(example)["sources"] for example in keyed("sources", "README.md")]
    steps = [line for line in typed("ci-build-exporter", "README.md") if line[0] == "init"]
    assert [line[1] for line in steps] == [f"--provider={name}" for name in PROVIDERS]
    demo = demo_world()
    group = tuple(replace(project, path=f"platform/{project.index}") for project in demo.gitlab)
    monkeypatch.chdir(tmp_path)
    with Simulator(World(demo.northflank, group), clock=Clock()) as simulator:
        for line, (source,) in zip(steps, written, strict=True):
            monkeypatch.setenv(source["token"]["env"], SIMULATOR_TOKEN)
            source["url"] = simulator.url
            here = f"{source['name']}.yaml"
            done = CliRunner().invoke(commands, [*line, f"--url={simulator.url}", f"--config.file={here}"])
            assert done.exit_code == 0, done.output
            made = load.read(Path(here).read_text(), here, tmp_path)
            shown = load.read(yaml.safe_dump({"sources": [source]}), here, tmp_path)
            assert made.model_dump() == shown.model_dump()
        first = Path("northflank.yaml").read_text()
        copied = keyed("sources", "README.md")[1].replace("https://gitlab.example.com", simulator.url)
        Path("config.yaml").write_text(first + copied.removeprefix("sources:\n"))
        (check,) = (line for line in typed("ci-build-exporter", "README.md") if line[0] == "check")
        done = CliRunner().invoke(commands, check)
    assert done.exit_code == 0, done.output
    assert "northflank: up" in done.output
    assert "gitlab: up" in done.output


# Prometheus


def promtool(tmp_path: Path, what: str, text: str) -> str:
    """What `promtool check` says of a text; the test fails where it finds a fault."""
    path = tmp_path / "example.yaml"
    path.write_text(text)
    done = subprocess.run([tool("promtool"), "check", what, path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_table_of_alerts_is_that_of_the_mixin() -> None:
    groups = yaml.safe_load((ROOT / "mixin" / "alerts.yaml").read_text())["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    rows = table("docs/alerts.md", "Alerts", "alert")
    assert [(code(alert), severity, pause) for alert, severity, pause, _meaning in rows] == [
        (rule["alert"], rule["labels"]["severity"], rule["for"]) for rule in rules
    ]
    assert all(meaning for *_, meaning in rows)


def test_prometheus_takes_the_queries(tmp_path: Path) -> None:
    rules = [{"record": f"example:{place}", "expr": query} for place, query in enumerate(examples("promql"))]
    assert rules
    promtool(tmp_path, "rules", yaml.safe_dump({"groups": [{"name": "examples", "rules": rules}]}))


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    """A folder with the certificates, keys and passwords that the examples name."""
    authority = Authority()
    for name in ("tls", "client"):
        authority.issue(tmp_path, f"{name}.example.com", name=name)
    authority.write(tmp_path / "ca.crt")
    (tmp_path / "password").write_text("fakepassword")
    return tmp_path


@pytest.mark.parametrize("scrape", keyed("scrape_configs"))
def test_prometheus_takes_the_scrape_configurations(certificates: Path, scrape: str) -> None:
    promtool(certificates, "config", scrape)


def test_prometheus_and_the_exporter_take_the_web_configuration(certificates: Path) -> None:
    (web,) = keyed("tls_server_config", "docs/tls.md")
    promtool(certificates, "web-config", web)
    in_force = WebFile(certificates / "example.yaml").now()
    assert in_force.summary == "TLS, 1 user, 1 header"
    assert in_force.context
    assert in_force.context.verify_mode is ssl.CERT_REQUIRED


# Dependencies


def test_each_fault_of_the_table_has_a_test_that_makes_it_happen() -> None:
    rows = re.findall(
        r"^\| (?!what happens).* \| `([^`]*)` \|$", (ROOT / "docs" / "reliability.md").read_text(), re.MULTILINE
    )
    assert len(rows) > 20
    for row in rows:
        file, _, name = row.partition("::")
        assert f"def {name}(" in (ROOT / "tests" / file).read_text(), row


def test_the_table_of_dependencies_is_that_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    rows = table("docs/dependencies.md", "Dependencies", "package")
    assert [code(name) for name, _reason in rows] == [
        re.split(r"[^a-z0-9-]", needed)[0] for needed in project["dependencies"]
    ]
    assert all(reason for _name, reason in rows)
