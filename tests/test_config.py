"""The configuration: bad files beside their exact messages, a full good one, and what holds of any text."""

import os
from cProfile import Profile
from dataclasses import asdict
from pathlib import Path

import hypothesis
import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from exporter.config import document
from exporter.config.errors import LARGEST_FILE
from exporter.config.secret import EnvToken, FileToken
from exporter.config.values import Spend, StoreAddress, duration, show_duration
from exporter.errors import ConfigError, Unauthorized
from exporter.providers.gitlab import GitLabSource
from exporter.providers.northflank import NorthflankProject, NorthflankSource
from exporter.providers.settings import Tls, Webhook
from exporter.settings import load
from exporter.settings.settings import Metrics, Refresh, Settings, Window

DATA = Path(__file__).parent / "data" / "config"
FAMILIES = frozenset({"ci_build_last_info", "ci_build_window_builds", "ci_build_target_up"})
PATIENT = hypothesis.settings(deadline=None)
"""A busy machine is no failure."""
BAD = sorted(path.stem for path in DATA.glob("*.txt"))
SMALLEST = "sources: [{name: a, provider: northflank, token: {env: A}}]\n"
FULL = (DATA / "full.yaml").read_text()


def read(text: str) -> Settings:
    return load.read(text, "config.yaml", Path("/etc/exporter"), families=FAMILIES)


def faults(text: str) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        read(text)
    return raised.value.faults


def faults_or_none(text: str) -> list[str] | None:
    try:
        read(text)
    except ConfigError as error:
        return error.faults
    return None


SOURCE = "sources:\n  - {name: a, provider: northflank, token: {env: A}}\n"


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_gives_exactly_its_messages(case: str) -> None:
    text = (DATA / f"{case}.yaml").read_text()
    with pytest.raises(ConfigError) as raised:
        load.read(text, f"{case}.yaml", DATA, families=FAMILIES)
    assert f"{raised.value}\n" == (DATA / f"{case}.txt").read_text()
    assert "hunter2" not in str(raised.value)


def test_every_file_of_the_test_data_has_its_messages_but_the_good_one() -> None:
    assert sorted(path.stem for path in DATA.glob("*.yaml")) == sorted([*BAD, "full"])


def test_a_full_file_gives_the_expected_settings() -> None:
    token = FileToken(file=DATA / "secrets" / "gitlab")
    path = DATA / "full.yaml"
    assert load.load(path, families=FAMILIES) == Settings(
        sources=(
            NorthflankSource(
                name="northflank",
                provider="northflank",
                url="https://api.northflank.com:8443",
                token=EnvToken(env="NORTHFLANK_TOKEN"),
                team="my-team",
                projects=(
                    NorthflankProject(id="shop", jobs=("nightly", "report-*"), exclude=("*-preview",)),
                    NorthflankProject(id="42"),
                ),
                exclude=("*-old",),
                spend=Spend(per_second=500 / 60),
                webhook=Webhook(secret=EnvToken(env="NORTHFLANK_WEBHOOK_SECRET")),
            ),
            GitLabSource(
                name="gitlab_1",
                provider="gitlab",
                url="https://[::1]:8080/gitlab",
                token=token,
                projects=("shop/web", 42, "43"),
                groups=("platform", 7, "2024-01-01", "010"),
                exclude=("platform/archive/*", "1:30"),
                tls=Tls(ca_file=DATA / "ca.pem", insecure_skip_verify=True),
                spend=Spend(share=0.4),
                api_place=f"{path}:19",
            ),
            GitLabSource(
                name="old",
                provider="gitlab",
                url="http://gitlab.example.com.",
                token=token,
                projects=("shop/web",),
                spend=Spend(per_second=1.5),
                api_place=f"{path}:27",
            ),
        ),
        window=Window(builds=16, age=7 * 86400),
        refresh=Refresh(ttl=0.1, idle_ttl=5400.0, timeout=60.0, concurrency=1, discovery=365 * 86400.0),
        metrics=Metrics(
            branches=(),
            histograms=("conclude", "queue", "run"),
            labels=("build_name", "build_stage"),
            drop=("ci_build_target_up",),
            latency_buckets=(10.0, 60.0),
            max_series=1000,
        ),
    )


def test_what_is_left_out_takes_the_documented_defaults() -> None:
    settings = read(SMALLEST)
    assert settings.window == Window(builds=100, runs=100, age=604800.0, remember=30 * 86400.0)
    assert settings.refresh == Refresh(ttl=30.0, idle_ttl=300.0, timeout=10.0, concurrency=16, discovery=600.0)
    assert settings.metrics == Metrics(
        branches=("default", "main", "master", "release/*"),
        histograms=("conclude",),
        labels=(),
        drop=(),
        latency_buckets=(10, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400),
        max_series=500_000,
    )
    source = settings.sources[0]
    assert isinstance(source, NorthflankSource)
    assert (source.url, source.team, source.projects) == ("https://api.northflank.com", None, None)
    assert (source.tls, source.spend) == (Tls(ca_file=None, insecure_skip_verify=False), None)


def test_relative_paths_begin_at_the_files_folder() -> None:
    source = read(FULL).sources[1]
    assert source.tls.ca_file == Path("/etc/exporter/ca.pem")
    assert source.token == FileToken(file=Path("/etc/exporter/secrets/gitlab"))


def test_authorities_that_cannot_be_used_are_told_beside_every_other_fault(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(
        "sources:\n"
        "  - {name: a, provider: northflank, token: {env: A}, tls: {ca_file: missing.pem}}\n"
        "  - {name: b, provider: northflank, token: {env: A}, tls: {ca_file: .}}\n"
        "  - {name: c, provider: northflank, token: {env: A}, tls: {ca_file: config.yaml}}\n"
        "  - {name: d, provider: northflank, token: {env: A}, tls: {ca_file: fifo}, teem: x}\n"
        "  - {name: e, provider: northflank, token: {env: A}, tls: {ca_file: good.pem}}\n"
    )
    (tmp_path / "good.pem").write_bytes("# Wurzel für alle\n".encode() + (DATA / "ca.pem").read_bytes())
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(ConfigError) as raised:
        load.load(path)
    certificate = "holds no certificate in PEM, or one that is damaged"
    assert raised.value.faults == [
        f"{path}:2: sources.0.tls.ca_file: {tmp_path}/missing.pem cannot be read: No such file or directory",
        f"{path}:3: sources.1.tls.ca_file: {tmp_path} cannot be read: Is a directory",
        f"{path}:4: sources.2.tls.ca_file: {path} {certificate}",
        f"{path}:5: sources.3.tls.ca_file: {tmp_path}/fifo {certificate}",
        f'{path}:5: sources.3.teem: unknown key; did you mean "team"?',
    ]


def test_families_that_are_not_known_are_not_judged() -> None:
    text = SMALLEST + "metrics: {drop: [anything]}\n"
    assert load.read(text, "config.yaml", Path()).metrics.drop == ("anything",)
    with pytest.raises(ConfigError, match=r"config.yaml:2: metrics.drop.0: unknown family$"):
        load.read(text, "config.yaml", Path(), families=frozenset())


def test_variables_in_the_file_are_not_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRANCH", "main")
    assert read(SMALLEST + "metrics: {branches: ['${BRANCH}']}\n").metrics.branches == ("${BRANCH}",)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        read(SMALLEST).window.builds = 5  # type: ignore[misc]


def test_no_representation_and_no_dump_shows_where_a_key_stood() -> None:
    source = read(FULL).sources[1]
    assert isinstance(source, GitLabSource)
    assert source.api_place == "config.yaml:19"
    assert "config.yaml" not in repr(source)
    assert "api_place" not in source.model_dump()


def test_no_dump_of_the_settings_shows_a_token_that_was_read(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("hunter2")
    token = FileToken(file=path)
    source = GitLabSource(name="a", provider="gitlab", url="https://a", token=token, projects=(1,))
    assert source.token.read() == "hunter2"
    assert source.model_dump()["token"] == {"file": str(path)}
    assert not any("hunter2" in shown for shown in (repr(source), source.model_dump_json(), repr(asdict(token))))


def test_twice_as_many_projects_take_twice_as_many_calls_to_load() -> None:
    def calls(projects: int) -> int:
        entries = "".join(f"      - id: p{n}\n        services: [web, 'api-*']\n" for n in range(projects))
        text = f"sources:\n  - name: a\n    provider: northflank\n    token: {{env: A}}\n    projects:\n{entries}"
        with Profile() as profile:
            (source,) = read(text).sources
        assert isinstance(source, NorthflankSource)
        assert len(source.projects or ()) == projects
        return sum(entry.callcount for entry in profile.getstats())

    assert calls(1000) < 2.1 * calls(500)


def test_both_loaders_of_yaml_read_the_same() -> None:
    pure, c = (document.parse(FULL, "f", loader) for loader in (yaml.SafeLoader, document.LOADER))
    assert pure.value == c.value
    with pytest.raises(ConfigError, match=r"^f: is not YAML$"):
        document.parse('a: "\\UFFFFFFFF"', "f", yaml.SafeLoader)


def test_a_fault_around_yaml_without_a_place_in_it_names_the_file_alone(tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").touch()
    (tmp_path / "bom.yaml").write_text("\ufeff" + SMALLEST)
    (tmp_path / "latin.yaml").write_bytes(b"sources:\n- \xe4")
    (tmp_path / "large.yaml").write_bytes(b"#" * (LARGEST_FILE + 1))
    assert load.load(tmp_path / "bom.yaml").sources[0].name == "a"
    expected = {
        "empty.yaml": ": is empty; it needs at least sources",
        "latin.yaml": ":2: is not UTF-8",
        "large.yaml": ": is larger than 16 MiB",
        "absent.yaml": ": there is no such file",
        ".": ": is a directory; a file is wanted",
        "empty.yaml/x": ": cannot be read: Not a directory",
    }
    for name, text in expected.items():
        with pytest.raises(ConfigError) as raised:
            load.load(tmp_path / name)
        assert raised.value.faults == [f"{tmp_path / name}{text}"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_without_the_right_to_read_it_is_told(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.touch(mode=0)
    with pytest.raises(ConfigError, match="cannot be read: Permission denied"):
        load.load(path)


def test_an_unknown_key_of_an_absurd_length_is_cut() -> None:
    assert faults(SMALLEST + "k" * 200 + ": 1\n")[0].startswith("config.yaml:2: …: unknown key")


@PATIENT
@given(st.text())
@example("\ud800")
@example("\x00")
@example("%YAML 9.9\n---\na")
@example("!<tag:yaml.org,2002:int> x")
@example("!!bool x")
@example("? [a]\n: b")
@example("sources: " + "9" * 5000)
@example("a: &a\n  b: *a")
@example("sources: [{provider: gitlab, gitlab: {token: 1}}]")
def test_any_text_gives_settings_or_a_configuration_error(text: str) -> None:
    found = faults_or_none(text)
    assert found is None or found
    assert all(line.startswith("config.yaml:") and "\n" not in line for line in found or ())


WORDS = st.sampled_from(["a", "b", 1, 1.5, True, None, "30s", "*", "gitlab", "northflank", "https://a", "v3", "40%"])
KEYS = st.sampled_from(
    sorted(
        {key for model in (Settings, Window, Refresh, Metrics, Tls, NorthflankSource) for key in model.model_fields}
        | {"id", "services", "groups", "env", "file", "gitlab", "api_place", "unknown"}
    )
)
VALUES = st.recursive(WORDS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=6))
SOURCES = st.fixed_dictionaries(
    {"provider": st.sampled_from(["gitlab", "northflank"]) | VALUES}, optional=dict.fromkeys(["name", "token"], VALUES)
)


@PATIENT
@given(st.dictionaries(KEYS, VALUES), st.lists(st.tuples(SOURCES, st.dictionaries(KEYS, VALUES))))
def test_any_file_of_known_keys_gives_settings_or_faults_in_plain_words(
    rest: dict[str, object], sources: list[tuple[dict[str, object], dict[str, object]]]
) -> None:
    entries = [{**more, **source} for source, more in sources]
    found = faults_or_none(yaml.safe_dump({**rest, "sources": entries}))
    assert found is None or found
    assert not any(jargon in line for jargon in ("Input", "valid", "instance") for line in found or ())


@PATIENT
@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz0123456789-_.@", min_size=8))
def test_a_token_put_literally_is_never_shown(secret: str) -> None:
    secret = f"zq{secret}"  # not a word of any message
    for token in (secret, f"{{env: {secret}}}", f"{{{secret}: 1}}", f"[{secret}]", f"{{env: {{{secret}: 1}}}}"):
        text = f"sources: [{{name: a, provider: northflank, token: {token}}}]"
        assert secret not in "\n".join(faults(text))
        webhook = f"{{secret: {token}}}"
        for value in (webhook, token if token.startswith(("[", "zq")) else f"{{{secret}: 1}}"):
            text = f"sources: [{{name: a, provider: northflank, token: {{env: A}}, webhook: {value}}}]"
            assert secret not in "\n".join(faults(text))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1h30m", 5400), ("7d", 604800), ("100ms", 0.1), ("1w", 604800), ("1y", 31536000), ("0", 0), ("1m500ms", 60.5)],
)
def test_durations_are_those_of_prometheus(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "1.5h", "1m1h", "1h ", "-1s", "1S", "٣s", "s", "300y"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"), [(5400, "1h30m"), (8 * 86400, "8d"), (90 * 3600, "90h"), (0.1, "100ms"), (0, "0s")]
)
def test_durations_are_shown_as_prometheus_shows_them(seconds: float, text: str) -> None:
    assert show_duration(seconds) == text


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("memory", StoreAddress()),
        ("sqlite:///var/lib/state.db", StoreAddress("sqlite", Path("/var/lib/state.db"))),
        ("sqlite:///var/lib/a%20b?c.db", StoreAddress("sqlite", Path("/var/lib/a%20b?c.db"))),
    ],
)
def test_the_address_of_a_store_is_read_and_shown_as_it_is_written(text: str, address: StoreAddress) -> None:
    settings = load.read(f"{SOURCE}store: {text}\n", "config.yaml", DATA)
    assert settings.store == address
    assert str(settings.store) == settings.model_dump(mode="json")["store"] == text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("sqlite:state.db", "three slashes"),
        ("sqlite://state.db", "three slashes"),
        ("sqlite:///var/lib/", "the path of a file"),
        ("sqlite:////", "the path of a file"),
        ("7", "must be memory"),
        ("{path: hunter2}", "must be memory"),
        ("Memory", "must be memory"),
    ],
)
def test_what_is_no_address_of_a_store_is_refused(text: str, why: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load.read(f"{SOURCE}store: {text}\n", "config.yaml", DATA)
    (line,) = raised.value.faults
    assert line.startswith("config.yaml:3: store: ")
    assert why in line
    assert "hunter2" not in line


@PATIENT
@given(st.integers(min_value=0, max_value=292 * 365 * 86400 * 1000))
def test_a_shown_duration_is_read_back(milliseconds: int) -> None:
    assert duration(show_duration(milliseconds / 1000)) == milliseconds / 1000


def test_code_may_give_seconds_where_a_file_may_not() -> None:
    assert Refresh(ttl=1, idle_ttl=2.5).idle_ttl == 2.5
    for wrong in (0, -1.0, float("nan"), float("inf"), True):
        with pytest.raises(ValidationError):
            Refresh(ttl=wrong)


def test_code_cannot_give_two_sources_one_name() -> None:
    source = NorthflankSource(name="a", provider="northflank", token=EnvToken(env="A"))
    with pytest.raises(ValidationError, match="two sources have the same name"):
        Settings(sources=(source, source))


def test_code_may_give_a_path_that_is_relative_to_where_it_runs() -> None:
    assert Tls.model_validate({"ca_file": "ca.pem"}).ca_file == Path("ca.pem")


def test_a_spend_is_a_share_or_a_rate() -> None:
    for wrong in ({}, {"share": 0.4, "per_second": 1.0}, {"share": 0.9}, {"per_second": 0}):
        with pytest.raises(ValidationError):
            Spend.model_validate(wrong)


def test_a_host_of_any_length_is_judged_at_once() -> None:
    # A pattern that tries again from each letter would take longer than any test may.
    assert "needs a host" in faults(SMALLEST.replace("token", f"url: 'https://{'a' * 1_000_000}!', token"))[0]


def test_a_token_is_read_from_its_variable_without_the_space_around_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_TOKEN", " hunter2\n")
    assert EnvToken(env="A_TOKEN").read() == "hunter2"


@pytest.mark.parametrize("text", ["", " \n", "hunter2\nX: y", "hunter2\x01", "hunter2\u2028x", "hunter2Ā"])
def test_what_cannot_be_a_token_is_refused_without_showing_it(text: str, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(text)
    with pytest.raises(Unauthorized) as raised:
        FileToken(file=path).read()
    assert str(raised.value).startswith(f"the token file {path} ")
    assert "hunter2" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_token_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("first")
    token = FileToken(file=path)
    assert [token.read(), token.read()] == ["first", "first"]
    (tmp_path / "new").write_text("other")
    (tmp_path / "new").replace(path)
    assert token.read() == "other"
    assert "other" not in repr(token)
    path.unlink()
    with pytest.raises(Unauthorized, match="cannot be read: No such file or directory"):
        token.read()


def test_a_token_file_must_be_a_file_of_a_tokens_size(tmp_path: Path) -> None:
    with pytest.raises(Unauthorized, match="is not a regular file"):
        FileToken(file=tmp_path).read()
    with pytest.raises(Unauthorized, match="cannot be a path"):
        FileToken(file=Path("a\0b")).read()
    (tmp_path / "large").write_bytes(b"x" * 70_000)
    with pytest.raises(Unauthorized, match="too large"):
        FileToken(file=tmp_path / "large").read()


def test_the_missing_secrets_are_told_with_their_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NORTHFLANK_TOKEN", "NORTHFLANK_WEBHOOK_SECRET"):
        monkeypatch.delenv(name, raising=False)
    settings = read(FULL)
    file = "the token file /etc/exporter/secrets/gitlab cannot be read: No such file or directory"
    secret = "the environment variable NORTHFLANK_WEBHOOK_SECRET is not set, or empty"
    assert load.secrets(settings) == [
        "config.yaml:5: sources.0.token: the environment variable NORTHFLANK_TOKEN is not set, or empty",
        f"config.yaml:15: sources.0.webhook.secret: {secret}",
        f"config.yaml:21: sources.1.token: {file}",
        f"config.yaml:21: sources.2.token: {file}",
    ]
    for name in ("NORTHFLANK_TOKEN", "NORTHFLANK_WEBHOOK_SECRET"):
        monkeypatch.setenv(name, "x")
    assert load.secrets(settings.model_copy(update={"sources": settings.sources[:1]})) == []
