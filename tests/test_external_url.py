"""`--web.external-url`: what it may be, and that links, API and requests use it."""

import re
from collections.abc import Iterator

import orjson
import pytest
from here import run
from serving import TOKEN, Clock, Exporter, gitlab, northflank, serving, settings, simulating

from exporter.simulator import demo_world
from exporter.simulator.server import SIMULATOR_TOKEN
from exporter.web.external_url import ExternalUrl, external_url

CLOCK = Clock()


@pytest.fixture(scope="module")
def exporter() -> Iterator[Exporter]:
    """The demo behind a proxy with a path, read once."""
    with pytest.MonkeyPatch.context() as patch, simulating(demo_world(), CLOCK) as simulator:
        patch.setenv(TOKEN, SIMULATOR_TOKEN)
        sources = northflank(simulator), gitlab(simulator, more="groups: [harbour]")
        with serving(settings(*sources), CLOCK, external="https://example.com/my builds/".replace(" ", "%20")) as made:
            made.collector.collect()
            yield made


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ExternalUrl()),
        ("https://ci.example.com", ExternalUrl("https://ci.example.com")),
        ("https://ci.example.com/", ExternalUrl("https://ci.example.com")),
        ("http://[::1]:10065/a/b/", ExternalUrl("http://[::1]:10065", "/a/b")),
    ],
)
def test_it_is_an_origin_and_a_path(text: str, expected: ExternalUrl) -> None:
    assert external_url(text) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ci.example.com", "is no URL of a website; write the address that people open"),
        ("ftp://ci.example.com", "is no URL of a website"),
        ("https:///builds", "is no URL of a website"),
        ("https://ci.example.com:port/", "is no URL;"),
        ("https://ci.example.com/a b", "is no URL of a website"),
        ("https://ci.example.com/?a=b", "has something behind its path"),
        ("https://me:secret@ci.example.com/", "must contain no user and no password"),
    ],
)
def test_anything_else_is_refused_with_what_to_write(text: str, said: str) -> None:
    ended = run("demo", f"--web.external-url={text}")
    assert ended.status == 2
    assert said in " ".join(ended.err.split())
    assert "secret" not in ended.err


@pytest.mark.parametrize("path", ["/", "/targets/gitlab/project/harbour/storefront", "/targets/gitlab/project/none"])
def test_every_link_has_its_path_and_is_answered(exporter: Exporter, path: str) -> None:
    text = exporter.ask(path).text
    links = set(re.findall(r'(?:href|src|action)="(/[^"]*)"', text))
    assert links
    for link in links:
        assert link.startswith("/my%20builds/"), link
        assert exporter.ask(link.replace("&amp;", "&")).status == 200, link


def test_requests_are_answered_with_its_path_and_without(exporter: Exporter) -> None:
    for path in ("/-/healthy", "/metrics", "/api/v1/targets"):
        assert exporter.ask(path).status == exporter.ask(f"/my%20builds{path}").status == 200
    assert exporter.ask("/my%20builds").status == 200
    assert exporter.ask("/my%20buildings/metrics").status == 404


def test_the_api_has_whole_addresses_where_it_is_known(exporter: Exporter) -> None:
    targets = orjson.loads(exporter.ask("/api/v1/targets?q=storefront").body)["targets"]
    assert [target["page"] for target in targets] == [
        "https://example.com/my%20builds/targets/gitlab/project/harbour/storefront"
    ]


@pytest.mark.parametrize(
    ("earlier", "address"),
    [
        ("northflank/shop/checkout", "northflank/service/shop/checkout"),
        ("northflank/shop/nightly-report?kind=job", "northflank/job/shop/nightly-report"),
        ("gitlab/harbour/storefront/harbour/storefront", "gitlab/project/harbour/storefront"),
        ("gitlab/harbour%2Fstorefront", "gitlab/project/harbour/storefront"),
    ],
)
def test_an_address_in_an_older_form_leads_to_the_one_there_is(exporter: Exporter, earlier: str, address: str) -> None:
    reply = exporter.ask(f"/targets/{earlier}")
    assert (reply.status, reply.headers["location"]) == (308, f"/my%20builds/targets/{address}")
    path, _, kind = earlier.partition("?")
    builds = exporter.ask(f"/api/v1/targets/{path}/builds?{kind}")
    assert orjson.loads(builds.body)["target"]["address"] == address


@pytest.mark.parametrize(
    "query",
    [
        "target=gitlab/project/harbour/storefront",
        "target=gitlab%2Fproject%2Fharbour%2Fstorefront",
        "source=gitlab&target=gitlab/project/harbour/storefront",
        "source=gitlab&target=project/harbour/storefront",
    ],
)
def test_a_probe_takes_the_same_address(exporter: Exporter, query: str) -> None:
    reply = exporter.ask(f"/probe?{query}")
    assert reply.targets("gitlab") == {"harbour/storefront"}
