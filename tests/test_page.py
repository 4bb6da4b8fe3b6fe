"""The status page as it is served, and the wording and geometry of it."""

import re
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from math import pi

import pytest
import yaml
from builds import NOW, build
from promql_parser import parse
from serving import TOKEN, Clock, Exporter, gitlab, northflank, refused_url, serving, settings, simulating

from exporter.build import Outcome, Target
from exporter.errors import ListenError
from exporter.exposition.render import Format
from exporter.simulator import demo_world
from exporter.simulator.server import SIMULATOR_TOKEN
from exporter.simulator.world import Entity, Habits, NorthflankProject, World
from exporter.web import page_docs, page_marks, page_render, page_state, page_words
from exporter.web.application import usable_path
from exporter.web.overview import View, overview

SCRIPT = "<script>alert(1)</script>"
QUOTES = "\"' onload=x()"
CLOCK = Clock()


def hostile() -> World:
    """A service whose default branch, and another whose id, is markup."""
    of = [
        Entity("web", "shop", "service", "combined", Habits(6.0, 60.0, failure=0.2, default=SCRIPT)),
        Entity("api", "shop", "service", "combined", Habits(6.0, 60.0, failure=0.2, default=QUOTES)),
    ]
    return World((NorthflankProject("shop", "Shop", tuple(of), (), ""),), ())


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, SIMULATOR_TOKEN)


@pytest.fixture(scope="module")
def exporter() -> Iterator[Exporter]:
    """The demo, and a source that nobody can reach, read once."""
    with pytest.MonkeyPatch.context() as patch, simulating(demo_world(), CLOCK) as simulator:
        patch.setenv(TOKEN, SIMULATOR_TOKEN)
        sources = (
            northflank(simulator),
            gitlab(simulator, more="groups: [harbour]"),
            gitlab(refused_url(), name="gone", more="projects: [shop/web]"),
        )
        with serving(settings(*sources), CLOCK) as exporter:
            exporter.collector.collect()
            yield exporter


class Tags(HTMLParser):
    """The elements of a page, each with its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))

    def all(self, tag: str, attribute: str) -> list[str]:
        return [attributes[attribute] for name, attributes in self.found if name == tag and attribute in attributes]


def shown(text: str) -> list[str]:
    """The paths of the targets in the list."""
    return [link.removeprefix("/targets/") for link in re.findall(r'<th scope="row"[^>]*><a href="([^"]+)"', text)]


# Served


def test_the_broken_target_is_first(exporter: Exporter) -> None:
    assert shown(exporter.ask("/").text)[0] == "northflank/service/shop/checkout"


@pytest.mark.parametrize(
    ("query", "paths"),
    [
        ("q=CHECK+shop", ["northflank/service/shop/checkout"]),
        ("project=harbour/infra&q=terra", ["gitlab/project/harbour/infra/terraform"]),
        ("project=shop&state=stuck", ["northflank/service/shop/search"]),
        ("q=nightly", ["northflank/job/shop/nightly-report"]),
        ("source=northflank&sort=name&per_page=1&page=2", ["northflank/job/platform/backup"]),
        ("q=none-is-called-so", []),
    ],
)
def test_filters_sorting_and_pages_work_on_the_server(exporter: Exporter, query: str, paths: list[str]) -> None:
    assert shown(exporter.ask(f"/?{query}").text) == paths


def test_what_makes_no_sense_in_the_address_is_left_out(exporter: Exporter) -> None:
    assert shown(exporter.ask("/?page=-3&sort=best&state=&per_page=1000000").text) == shown(exporter.ask("/").text)


def test_pages_lead_on_with_the_view_kept(exporter: Exporter) -> None:
    text = exporter.ask("/?per_page=5&q=shop").text
    assert 'rel="next" href="/?q=shop&amp;page=2&amp;per_page=5"' in text
    assert len(shown(text)) == 5


@pytest.mark.parametrize("path", ["/", "/targets/northflank/service/shop/checkout", "/targets/nowhere", "/docs"])
def test_a_page_may_load_nothing_but_our_own(exporter: Exporter, path: str) -> None:
    reply = exporter.ask(path)
    policy = reply.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'self'; script-src 'self'")
    assert "unsafe" not in policy
    assert reply.headers["x-content-type-options"] == "nosniff"
    tags = Tags(reply.text)
    assert all(source.startswith("/static/") for source in tags.all("script", "src") + tags.all("link", "href"))
    assert not [name for name, attributes in tags.found for one in attributes if one == "style" or one.startswith("on")]


def test_what_a_page_loads_is_there_and_kept(exporter: Exporter) -> None:
    tags = Tags(exporter.ask("/").text)
    for path in tags.all("script", "src") + tags.all("link", "href"):
        reply = exporter.ask(path)
        assert (reply.status, "immutable" in reply.headers["cache-control"]) == (200, True)
    assert exporter.ask("/static/page.py").status == 404


def test_links_lead_here_or_to_a_page_of_a_provider(exporter: Exporter) -> None:
    for path in ("/", "/targets/gitlab/project/harbour/storefront"):
        for link in Tags(exporter.ask(path).text).all("a", "href"):
            assert re.match(r"(/|#|http://127\.0\.0\.1:\d+/harbour/)", link), link


def test_opening_a_page_asks_no_provider(exporter: Exporter) -> None:
    sources = exporter.collector.sources()
    before = [exporter.collector.self_metrics.requests(source) for source in sources]
    moved = CLOCK.now
    CLOCK.now += 3 * 3600  # all is due
    for path in ("/", "/?q=shop", "/targets/northflank/service/shop/checkout", "/api/v1/targets"):
        assert exporter.ask(path).status == 200
    CLOCK.now = moved
    assert [exporter.collector.self_metrics.requests(source) for source in sources] == before


def test_what_could_not_be_read_is_told_with_the_reason(exporter: Exporter) -> None:
    text = exporter.ask("/").text
    assert "gone cannot be read" in text
    assert "connection refused" in text.lower()


def test_a_targets_page_has_its_samples_as_exposed(exporter: Exporter) -> None:
    text = exporter.ask("/targets/northflank/service/shop/checkout").text
    (samples,) = re.findall(r"<pre[^>]*>(.*?)</pre>", text, re.DOTALL)
    target = Target("northflank", "service", "shop", "checkout")
    assert unescape(samples) == exporter.collector.expose_target(target, Format.TEXT).decode()


def test_a_target_that_is_not_read_is_not_found(exporter: Exporter) -> None:
    reply = exporter.ask("/targets/northflank/%3Cscript%3E/x")
    assert reply.status == 404
    assert "&lt;script&gt;" in reply.text


def test_a_configuration_with_a_fault_is_told(exporter: Exporter) -> None:
    self_metrics = exporter.collector.self_metrics
    self_metrics.reload_success_time.set(CLOCK.now - 7200)
    self_metrics.reload_successful.set(1)
    assert "configuration read 2 h ago" in exporter.ask("/").text
    self_metrics.reload_successful.set(0)
    assert "the configuration has a fault: that of 2 h ago is in use" in exporter.ask("/").text


def test_markup_in_the_name_of_a_branch_is_text() -> None:
    with simulating(hostile(), CLOCK) as simulator:
        more = f"metrics: {{branches: ['{SCRIPT}', '\"*']}}"
        with serving(settings(northflank(simulator), more=more), CLOCK) as exporter:
            exporter.collector.collect()
            pages = ("/targets/northflank/service/shop/web", "/targets/northflank/service/shop/api")
            for path in ("/", *pages, "/?branch=%3Cscript%3E"):
                text = exporter.ask(path).text
                tags = Tags(text)
                assert len(tags.all("script", "src")) == sum(name == "script" for name, _ in tags.found) == 1
                assert not any("onload" in attributes for _name, attributes in tags.found)
            assert "&lt;script&gt;alert(1)&lt;/script&gt;" in exporter.ask("/").text


def test_pages_are_compressed_where_that_is_wanted_and_head_has_no_body(exporter: Exporter) -> None:
    plain, packed = exporter.ask("/"), exporter.ask("/", {"Accept-Encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert len(packed.body) < len(plain.body) / 4
    assert shown(packed.text) == shown(plain.text)
    for path in ("/", "/targets/northflank/service/shop/checkout", "/docs"):
        reply = exporter.ask(path, method="HEAD")
        assert (reply.status, reply.body) == (200, b"")


def test_the_documentation_is_that_of_the_version() -> None:
    with simulating(World((), ())) as simulator, serving(settings(northflank(simulator))) as exporter:
        reply = exporter.ask("/docs")
        assert reply.headers["content-type"] == "text/html; charset=utf-8"
        assert '<h1 id="ci-build-exporter">ci-build-exporter</h1>' in reply.text
        tags = Tags(reply.text)
        assert not tags.all("img", "src")
        ids = {attributes["id"] for _name, attributes in tags.found if "id" in attributes}
        for link in tags.all("a", "href"):
            assert link.startswith(("http", "/", "#")), link
            assert not link.startswith("#") or link[1:] in ids, link
        page = exporter.ask("/").text
        assert "nothing that builds" in page or "for the first time" in page


def test_markup_in_a_text_is_not_rendered() -> None:
    made = page_docs.rendered(
        '# A *b*\n\n<script>x</script>\n\n![the <b>](x.png) <i onclick="x()">c</i> [d](javascript:x)'
    )
    assert made == ('<h1 id="a-b">A <em>b</em></h1>\n<p>the &lt;b&gt; c [d](javascript:x)</p>\n')


def test_an_unknown_address_has_a_page_with_a_way_back_for_a_browser(exporter: Exporter) -> None:
    reply = exporter.ask("/nowhere/%3Cb%3E", {"Accept": "text/html,*/*;q=0.8"})
    assert reply.status == 404
    assert "There is nothing at <code>/nowhere/&lt;b&gt;</code>" in reply.text
    assert '<a href="/">All targets</a>' in reply.text
    assert exporter.ask("/nowhere").text == "Not Found"
    assert exporter.ask("/-/reload").status == 405


def test_an_unknown_target_leads_to_similar_ones(exporter: Exporter) -> None:
    reply = exporter.ask("/targets/northflank/service/shop/chekout")
    assert reply.status == 404
    assert 'href="/targets/northflank/service/shop/checkout"' in reply.text


def test_a_page_says_when_data_was_read_and_that_nothing_scrapes(exporter: Exporter) -> None:
    exporter.scrape()
    text = exporter.ask("/").text
    assert "Nothing scrapes this exporter" not in text
    assert re.search(r'id="fresh" data-live>data read\s+<time [^>]*>now</time>', text)
    CLOCK.now += 600
    text = exporter.ask("/").text
    CLOCK.now -= 600
    assert "Nothing scrapes this exporter" in text
    assert re.search(r"The last scrape was\s+<time", text)
    assert f"- targets: [&#34;{exporter.url.removeprefix('http://')}&#34;]" in text


@pytest.mark.parametrize(
    ("origin", "path", "lines"),
    [
        ("http://localhost:10065", "/metrics", ['targets: ["localhost:10065"]']),
        (
            "https://ci.example.com",
            "/b/metrics",
            ["scheme: https", "metrics_path: /b/metrics", '["ci.example.com:443"]'],
        ),
        ("http://[::1]", "/metrics", ['targets: ["[::1]:80"]']),
    ],
)
def test_the_configuration_for_prometheus_is_that_of_the_address(origin: str, path: str, lines: list[str]) -> None:
    text = page_words.scrape_config(origin, path)
    (job,) = yaml.safe_load(text)["scrape_configs"]
    assert job["scrape_timeout"] == "12s"
    for line in lines:
        assert line in text


def test_a_source_that_names_its_targets_shows_on_its_card_why_it_cannot_be_read(exporter: Exporter) -> None:
    card = exporter.ask("/").text.split('class="down"')[1].split("</li>")[0]
    assert ">gone</a>" in card
    assert "connection refused" in card.lower()


def test_where_no_source_can_be_read_the_configuration_is_not_blamed() -> None:
    with serving(settings(northflank(refused_url())), CLOCK) as exporter:
        exporter.collector.collect()
        text = exporter.ask("/").text
    assert "No targets are known, because a source cannot be read." in text
    assert "or the configuration leaves it out" not in text


def test_the_first_read_says_how_far_it_is(exporter: Exporter) -> None:
    known = exporter.collector.snapshot()
    sources = [replace(source, up=None, unread=3) for source in known.sources]
    assert page_state.first_read(replace(known, sources=tuple(sources[:1]))) == "15 of 18 targets read so far"
    looking = replace(sources[1], unread=0, discovered=False)
    assert page_state.first_read(replace(known, sources=(looking,))) == "gitlab: looking for targets"
    fine = replace(known, targets=known.targets[-1:], sources=(sources[0],))
    view = View(source="gone")
    assert page_state.headline(fine, view, overview(replace(fine, targets=()), view))["headline"] == (
        "Reading for the first time"
    )


def test_a_broken_target_has_the_commands_that_lead_to_its_repair(exporter: Exporter) -> None:
    text = unescape(exporter.ask("/targets/northflank/service/shop/checkout").text)
    address = "northflank/service/shop/checkout"
    assert f">ci-build-exporter builds list {address} --failed-last<" in text
    assert re.search(rf">ci-build-exporter builds show {address} [\w-]+<", text)
    assert re.search(rf">ci-build-exporter builds retry {address} [\w-]+ --wait<", text)
    assert "builds logs" not in text
    assert (
        "builds logs gitlab/project/harbour/storefront"
        in exporter.ask("/targets/gitlab/project/harbour/storefront").text
    )


@pytest.mark.parametrize(
    ("page", "pages", "numbers"),
    [
        (1, 1, [1]),
        (1, 4, [1, 2, 3, 4]),
        (1, 40, [1, 2, 3, None, 40]),
        (5, 40, [1, 2, 3, 4, 5, 6, 7, None, 40]),
        (20, 40, [1, None, 18, 19, 20, 21, 22, None, 40]),
        (40, 40, [1, None, 38, 39, 40]),
    ],
)
def test_pages_have_numbers(page: int, pages: int, numbers: list[int | None]) -> None:
    assert page_render.page_numbers(page, pages) == numbers


def test_filters_are_cleared_where_there_are_any(exporter: Exporter) -> None:
    assert "Clear filters" not in exporter.ask("/").text
    assert "Clear filters" not in exporter.ask("/?sort=name").text
    assert 'href="/?sort=name">Clear filters</a>' in exporter.ask("/?q=web&sort=name&state=broken").text


def test_where_the_metrics_are_at_the_root_there_is_no_page() -> None:
    with simulating(World((), ())) as simulator, serving(settings(northflank(simulator)), path="/") as exporter:
        assert exporter.ask("/").headers["content-type"].startswith("text/plain; version=0.0.4")
        assert exporter.ask("/targets/a/b/c").status == 404
        assert exporter.ask("/api/v1/targets").status == 200


@pytest.mark.parametrize("path", ["/docs", "/api/v1/targets", "/static/page.css", "/targets/a"])
def test_the_metrics_take_no_path_of_the_page(path: str) -> None:
    with pytest.raises(ListenError, match="is taken by another endpoint"):
        usable_path(path)


# Words


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, page_words.NONE),
        (0, "0s"),
        (59.4, "59s"),
        (59.6, "1m"),
        (192, "3m 12s"),
        (7500, "2h 5m"),
        (90000, "1d 1h"),
        (-5, "0s"),
    ],
)
def test_durations_in_their_two_greatest_units(seconds: float | None, said: str) -> None:
    assert page_words.span(seconds) == said


@pytest.mark.parametrize(
    ("before", "said"),
    [(0.5, "now"), (12, "12 s ago"), (150, "2 min ago"), (90000, "25 h ago"), (200000, "2 d ago"), (-9, "now")],
)
def test_times_as_how_long_ago(before: float, said: str) -> None:
    assert page_words.ago(NOW - before, NOW) == said


@pytest.mark.parametrize(("share", "said"), [(1.0, "100"), (0.9999, "99.9"), (0.818, "81.8"), (0.0, "0"), (0.5, "50")])
def test_a_ratio_is_only_100_percent_where_it_is(share: float, said: str) -> None:
    assert page_words.percent(share) == f"{said}\N{NO-BREAK SPACE}%"


def test_a_build_in_one_line() -> None:
    one = build("b", Outcome.FAILURE, took=192, sha="1a2b3c4d5e6f")
    assert page_words.about(one) == "failed · main · 1a2b3c4d · 2023-11-14 22:13:20 UTC · took 3m 12s"


def test_queries_are_good_whatever_a_name_holds() -> None:
    for branch in ("main", 'say "hello"', "back\\slash", "new\nline"):
        queries = list(page_words.promql(Target("nf", "service", "shop", "web"), branch))
        assert len(queries) == 6
        for _purpose, query in queries:
            assert parse(query)


# Geometry


def test_a_sparkline_goes_from_edge_to_edge() -> None:
    assert page_marks.sparkline([1.0, 3.0, 2.0]) == "2.0,20.0 36.0,2.0 70.0,11.0"
    assert page_marks.sparkline([5.0, 5.0]) == "2.0,11.0 70.0,11.0"
    assert page_marks.sparkline([5.0]) == ""


def test_a_chart_has_every_build_that_ended_inside_its_axes() -> None:
    builds = [build(f"b{place}", at=place * 7200, took=60.0 * place) for place in range(20)]
    chart = page_marks.chart([*builds, build("c", Outcome.EXECUTING)], 300.0, 900.0)
    assert chart is not None
    assert len(chart.points) == 20
    assert all(56 <= point.x <= 832 and 14 <= point.y <= 212 for point in chart.points)
    assert [tick.label for tick in chart.up] == ["0s", "5m", "10m", "15m", "20m"]
    assert chart.p50 is not None
    assert chart.p90 is not None
    assert chart.p50 > chart.p90
    assert 2 <= len(chart.across) <= 7


def test_a_chart_of_nothing_is_none_and_of_one_build_is_one() -> None:
    assert page_marks.chart([], None, None) is None
    assert page_marks.chart([build("a", Outcome.PENDING)], None, None) is None
    for took in (0.0, pi, 86400.0 * 365):
        chart = page_marks.chart([build("a", took=took)], took, took)
        assert chart is not None
        assert len(chart.points) == 1


@pytest.mark.parametrize(("whole", "step"), [(4, 1), (600, 120), (86400 * 6, 86400 * 2), (86400 * 365, 86400 * 74)])
def test_steps_of_an_axis_are_usual_ones(whole: float, step: float) -> None:
    assert page_marks.step(whole, 5) == step
