"""The status page in a real browser: what a person sees of the demo, types, clicks and waits for.

With `PICTURES=1` the pictures of the README are taken anew.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright
from real import node_package, tool
from serving import PATIENCE, TOKEN, Clock, Exporter, northflank, refused_url, serving, simulating
from serving import settings as configured

from exporter.cli.demo import simulated_settings
from exporter.simulator import demo_world
from exporter.simulator.demo import DEMO_LIMIT
from exporter.simulator.server import SIMULATOR_TOKEN

DOCS = Path(__file__).parent.parent / "docs"
PICTURE_LIMIT = 150_000
OPTIONS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
MOST = 1000 * PATIENCE
"""Milliseconds: on a busy machine a page takes its time."""
expect.set_options(timeout=MOST)
DESK = ViewportSize(width=1280, height=780)
PHONE = ViewportSize(width=375, height=812)
EVERY = 10_000
"""Milliseconds between two refreshes."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = tool("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=OPTIONS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def exporter(clock: Clock) -> Iterator[Exporter]:
    """The demo, read once; nothing moves until the clock does."""
    world = demo_world()
    with (
        simulating(world, clock, rate_limit=DEMO_LIMIT) as one,  # type: ignore[arg-type]  # no number
        simulating(world, clock, rate_limit=DEMO_LIMIT) as two,  # type: ignore[arg-type]  # the same
        serving(simulated_settings(one.url, two.url), clock) as exporter,
    ):
        exporter.collector.collect()
        exporter.collector.self_metrics.reload_successful.set(1)
        exporter.collector.self_metrics.reload_success_time.set(clock.now)
        exporter.scrape()
        yield exporter


@pytest.fixture
def page(browser: Browser, exporter: Exporter) -> Iterator[Page]:
    yield from opened(browser, exporter.url)


def opened(browser: Browser, url: str, **conditions: Any) -> Iterator[Page]:
    """A page; in the end nothing may have been said on its console."""
    context = browser.new_context(**{"viewport": DESK, "base_url": url} | conditions)
    page = context.new_page()
    faults: list[str] = []
    page.on("console", lambda message: faults.append(message.text) if message.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.set_default_timeout(MOST)
    yield page
    context.close()
    assert not faults


def stop_timers(page: Page) -> None:
    """From now on the page's timers fire when the test runs its clock, however long a busy machine takes."""
    page.clock.install(time=0)
    page.clock.pause_at(3600)  # seconds: later than a busy machine gets here


def names(page: Page) -> list[str]:
    """The targets that are shown, in their order."""
    return page.locator("#rows > tr > th a").all_inner_texts()


def test_the_broken_target_is_first_and_says_since_when(page: Page) -> None:
    page.goto("/")
    first = page.locator("#rows > tr").first
    expect(first.locator("th a")).to_have_text("checkout")
    expect(first.locator("td.state .badge")).to_have_text("Broken")
    expect(first.locator("td.state .sub").first).to_have_text(re.compile(r"^\s*main for \d h, \d+ runs\s*$"))
    expect(page.locator("h1")).to_contain_text("broken")


def test_search_acts_as_one_types_and_stands_in_the_address(page: Page, exporter: Exporter) -> None:
    page.goto("/")
    page.get_by_role("searchbox").press_sequentially("harbour infra")
    expect(page.locator("#rows > tr")).to_have_count(2)
    expect(page).to_have_url(f"{exporter.url}/?q=harbour+infra")
    expect(page.locator("#announce")).to_contain_text("2 targets")
    assert page.get_by_role("searchbox").evaluate("field => field === document.activeElement")
    page.reload()
    assert all(name.startswith("harbour/infra/") for name in names(page))
    expect(page.get_by_role("searchbox")).to_have_value("harbour infra")


def test_filters_act_at_once_and_back_undoes_what_was_clicked(page: Page) -> None:
    page.goto("/")
    everything = names(page)
    page.get_by_role("combobox", name="Source").select_option("gitlab")
    expect(page.locator("#rows > tr")).to_have_count(4)
    page.get_by_role("link", name="Clear filters").click()
    expect(page.locator("#rows > tr")).to_have_count(len(everything))
    page.locator(".tile.stuck").click()
    expect(page.locator("#rows > tr > th a")).to_have_text(["search"])  # a list waits, one text wants one row at once
    assert page.url.endswith("/?state=stuck")
    page.go_back()
    expect(page.locator("#rows > tr")).to_have_count(len(everything))
    page.get_by_role("combobox", name="Branch").select_option("release/4.4")
    expect(page.locator("#count")).to_contain_text("builds of release/4.4 only")


def test_the_keyboard_reaches_targets_and_sorts(page: Page) -> None:
    page.goto("/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.locator("#head a", has_text="Target").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#head th").first).to_have_attribute("aria-sort", "ascending")
    expect(page.locator("#head a").first).to_be_focused()
    shown = names(page)
    assert shown.index("auth") < shown.index("worker") < shown.index("api")  # by project, then by name


def test_a_refresh_brings_a_new_build_and_moves_neither_scroll_nor_focus(
    page: Page, exporter: Exporter, clock: Clock
) -> None:
    stop_timers(page)
    page.goto("/?sort=name")
    row = page.locator("#rows > tr", has=page.get_by_role("link", name="worker", exact=True))
    row.locator("th a").focus()
    page.evaluate("scrollTo(0, 420)")
    scrolled = page.evaluate("scrollY")
    before = row.locator(".newest .sub").inner_text()
    clock.now += 2 * 3600
    exporter.collector.collect()
    exporter.scrape()
    expect(row.locator(".newest .sub")).to_have_text(before)
    page.clock.run_for(EVERY)
    expect(row.locator(".newest .sub")).not_to_have_text(before)
    assert page.evaluate("scrollY") == scrolled > 300
    expect(row.locator("th a")).to_be_focused()


def test_a_refresh_can_be_paused(page: Page) -> None:
    stop_timers(page)
    page.goto("/")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if request.resource_type == "fetch" else None)
    page.get_by_role("button", name="Pause").click()
    page.clock.run_for(5 * EVERY)
    assert not asked
    with page.expect_response("**/"):
        page.get_by_role("button", name="Pause").click()


def test_the_page_says_when_the_exporter_is_gone(browser: Browser, exporter: Exporter) -> None:
    context = browser.new_context(base_url=exporter.url)  # the browser itself logs what it cannot fetch
    page = context.new_page()
    stop_timers(page)
    page.goto("/")
    page.route(f"{exporter.url}/", lambda route: route.abort())
    page.clock.run_for(EVERY)
    expect(page.locator("#pulse")).to_contain_text("not reached at")
    assert names(page)
    page.unroute(f"{exporter.url}/")
    page.clock.run_for(EVERY)
    expect(page.locator("#pulse")).to_have_text("")
    context.close()


def test_it_works_without_script(browser: Browser, exporter: Exporter) -> None:
    context = browser.new_context(viewport=DESK, base_url=exporter.url, java_script_enabled=False)
    page = context.new_page()
    page.goto("/")
    page.get_by_role("searchbox").fill("checkout")
    page.get_by_role("button", name="Apply").click()
    expect(page.locator("#rows > tr > th a")).to_have_text(["checkout"])
    page.locator("#rows > tr > th a").click()
    expect(page.locator("h1")).to_have_text("checkout")
    expect(page.locator(".live")).to_be_hidden()
    context.close()


def test_a_target_has_its_window_its_branches_and_queries_to_copy(page: Page) -> None:
    page.goto("/targets/northflank/service/shop/checkout")
    expect(page.locator("#branches > tr th").first).to_have_text("main")
    assert page.locator("#builds > tr").count() > 100
    assert page.locator(".chart .p").count() > 100
    page.locator("summary").click()
    expect(page.get_by_role("region", name="Samples as exposed")).to_contain_text("ci_build_last_success{")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    for section, copied in (("commands", "northflank/service/shop/checkout"), ("queries", "ci_build_last_success{")):
        page.locator(f"section[aria-labelledby=of-{section}] .copy").first.click()
        expect(page.locator("#announce")).to_have_text("Copied.")
        assert page.evaluate("navigator.clipboard.readText()").startswith(copied)
        page.evaluate("announce.textContent = ''")


@pytest.mark.parametrize(
    ("path", "scheme", "viewport"),
    [
        ("/", "light", DESK),
        ("/", "dark", PHONE),
        ("/targets/northflank/service/shop/checkout", "dark", DESK),
        ("/targets/northflank/service/shop/checkout", "light", PHONE),
        ("/?q=nothing-like-that", "light", PHONE),
    ],
)
def test_axe_finds_no_fault(
    browser: Browser, exporter: Exporter, path: str, scheme: str, viewport: ViewportSize
) -> None:
    axe = (node_package("axe-core") / "axe.min.js").read_text()
    for page in opened(browser, exporter.url, color_scheme=scheme, viewport=viewport):
        page.goto(path)
        page.evaluate(axe)
        found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        faults = [
            (one["id"], one["impact"], [node["html"][:200] for node in one["nodes"][:3]]) for one in found["violations"]
        ]
        assert not faults
        assert page.evaluate("document.documentElement.scrollWidth") == viewport["width"]
        edges = page.evaluate(
            "[...document.querySelectorAll('main > *')].map(one => one.getBoundingClientRect().right)"
        )
        assert max(edges) <= viewport["width"] - 15


def test_the_pictures_are_small(browser: Browser, exporter: Exporter, tmp_path: Path) -> None:
    folder = DOCS if os.environ.get("PICTURES") else tmp_path
    pictures: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("status-page.png", "/", {}),
        ("status-page-dark.png", "/targets/northflank/service/shop/checkout", {"color_scheme": "dark"}),
        ("status-page-phone.png", "/", {"viewport": PHONE}),
    )
    for name, path, conditions in pictures:
        for page in opened(browser, exporter.url, **conditions):
            page.goto(path)
            page.screenshot(path=folder / name, animations="disabled")
        assert (folder / name).stat().st_size < PICTURE_LIMIT


def test_other_branches_are_behind_a_fold_that_a_refresh_leaves_open(
    page: Page, exporter: Exporter, clock: Clock
) -> None:
    stop_timers(page)
    page.goto("/?q=shop/web")
    row = page.locator("#rows > tr").first
    expect(row.locator(".others li").first).to_be_hidden()
    row.locator(".others summary").click()
    expect(row.locator(".others li").first).to_be_visible()
    before = row.locator("td.builds").inner_html()
    clock.now += 2 * 3600
    exporter.collector.collect()
    exporter.scrape()
    page.clock.run_for(EVERY)
    expect(row.locator("td.builds")).not_to_have_js_property("innerHTML", before)
    expect(row.locator(".others li").first).to_be_visible()


def test_on_a_phone_the_first_target_is_in_the_first_screen_and_the_chart_is_open_at_today(
    browser: Browser, exporter: Exporter
) -> None:
    for page in opened(browser, exporter.url, viewport=PHONE):
        page.goto("/")
        box = page.locator("#rows > tr").first.bounding_box()
        assert box
        assert box["y"] + box["height"] <= PHONE["height"]
        page.goto("/targets/northflank/service/shop/checkout")
        chart = page.get_by_role("region", name="Chart of latencies")
        newest = page.locator(".chart .p").first.bounding_box()
        frame = chart.bounding_box()
        assert frame
        assert newest
        assert frame["x"] <= newest["x"] <= frame["x"] + frame["width"]
        first = page.locator("#builds > tr").first
        for cell in (".status", ".branch", ".commit", ".created", ".took"):
            shown = first.locator(cell).bounding_box()
            assert shown
            assert 0 <= shown["x"] <= shown["x"] + shown["width"] <= PHONE["width"]


@pytest.mark.parametrize("width", [1024, 1152, 1280, 1600])
def test_no_cell_runs_over_the_next(browser: Browser, exporter: Exporter, width: int) -> None:
    """What is in a cell ends where the cell does, also the longest words of a status."""
    for page in opened(browser, exporter.url, viewport=ViewportSize(width=width, height=780)):
        page.goto("/")
        page.locator(".newest .line > :last-child").first.evaluate("one => one.textContent = 'submission failure'")
        over = page.evaluate(
            """[...document.querySelectorAll('#rows td, #rows th')].filter(cell => {
              const edge = cell.getBoundingClientRect().right + 0.5;
              return [...cell.querySelectorAll('*')].some(one =>
                one.getClientRects().length && !one.closest('.sr-only') && getComputedStyle(one).overflow !== 'hidden'
                && one.getBoundingClientRect().right > edge);
            }).map(cell => cell.className + ': ' + cell.textContent.trim().slice(0, 60))"""
        )
        assert not over


def test_a_source_that_cannot_be_read_is_told_with_the_reason(browser: Browser, clock: Clock) -> None:
    os.environ[TOKEN] = SIMULATOR_TOKEN
    with serving(configured(northflank(refused_url())), clock) as exporter:
        exporter.collector.collect()
        for page in opened(browser, exporter.url):
            page.goto("/")
            expect(page.locator("h1")).to_have_text("northflank cannot be read")
            expect(page.locator("#sources .error")).to_contain_text("refused")
