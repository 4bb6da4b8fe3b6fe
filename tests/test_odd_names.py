"""Whatever a provider calls its targets, each has a page and an address in the API."""

from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import quote

import orjson
import pytest
from serving import TOKEN, Exporter, northflank, serving, settings, simulating

from exporter.simulator.server import SIMULATOR_TOKEN
from exporter.simulator.world import world

NAMES = ("two\nlines", "end\n", "a b", "a?b#c", "ä/ö", "a%2Fb", "a;b=c", "..a", "a//b", "\u2028", "a\rb", "😀")


@pytest.fixture(scope="module")
def exporter() -> Iterator[Exporter]:
    made = world(1, len(NAMES), 0, 0)
    (project,) = made.northflank
    services = tuple(replace(service, id=name) for service, name in zip(project.services, NAMES, strict=False))
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv(TOKEN, SIMULATOR_TOKEN)
        with (
            simulating(replace(made, northflank=(replace(project, services=services),))) as simulator,
            serving(settings(northflank(simulator))) as running,
        ):
            running.scrape()
            yield running


@pytest.mark.parametrize("name", NAMES)
def test_a_target_of_any_name_has_a_page_and_builds_in_the_api(exporter: Exporter, name: str) -> None:
    targets = orjson.loads(exporter.ask("/api/v1/targets?per_page=200").body)["targets"]
    (target,) = [target for target in targets if target["target"] == name]
    page = exporter.ask(target["page"])
    assert page.status == 200
    assert f'href="{target["page"]}"' in exporter.ask("/").text
    builds = exporter.ask(f"/api/v1/targets/{quote(target['address'], safe='')}/builds")
    assert builds.status == 200
    assert orjson.loads(builds.body)["target"]["target"] == name
    probe = exporter.ask(f"/probe?target={quote(target['address'], safe='')}")
    assert probe.status == 200
