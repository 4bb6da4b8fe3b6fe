"""The API answers as its OpenAPI file says: schemathesis asks what the file allows, and what it does not."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import schemathesis
import yaml
from hypothesis import HealthCheck, Phase, settings
from serving import TOKEN, Clock, Exporter, gitlab, northflank, refused_url, serving, simulating
from serving import settings as configured

from exporter.build import Outcome
from exporter.simulator import demo_world
from exporter.simulator.server import SIMULATOR_TOKEN

CONTRACT = Path(__file__).parent.parent / "exporter" / "web" / "openapi.yaml"
CLOCK = Clock()

schema = schemathesis.openapi.from_path(str(CONTRACT))


@pytest.fixture(scope="module")
def exporter() -> Iterator[Exporter]:
    """The demo, read once."""
    os.environ[TOKEN] = SIMULATOR_TOKEN
    with simulating(demo_world(), CLOCK) as simulator:
        sources = (
            northflank(simulator),
            gitlab(simulator, more="groups: [harbour]"),
            gitlab(refused_url(), name="gone", more="projects: [shop/web]"),
        )
        with serving(configured(*sources), CLOCK) as exporter:
            exporter.collector.collect()
            yield exporter


def answer(exporter: Exporter, path: str, status: int = 200) -> Any:
    reply = exporter.ask(f"/api/v1{path}")
    assert reply.status == status, reply.text
    assert reply.headers["content-type"] == "application/json"
    return orjson.loads(reply.body)


@schema.parametrize()
@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_as_the_file_says(case: "schemathesis.Case[Any]", exporter: Exporter) -> None:
    case.call_and_validate(base_url=exporter.url)


def test_the_builds_of_every_target_are_as_the_file_says(exporter: Exporter) -> None:
    operation = schema["/api/v1/targets/{address}/builds"]["GET"]
    for target in answer(exporter, "/targets")["targets"]:
        case = operation.Case(path_parameters={"address": target["address"]})
        response = case.call(base_url=exporter.url)
        case.validate_response(response)
        assert response.status_code == 200
        assert response.json()["target"]["address"] == target["address"]


def test_the_file_is_served(exporter: Exporter) -> None:
    reply = exporter.ask("/api/v1/openapi.yaml")
    assert (reply.status, reply.headers["content-type"]) == (200, "application/yaml")
    assert reply.body == CONTRACT.read_bytes()


def test_the_file_names_the_outcomes_of_the_code() -> None:
    schemas = yaml.safe_load(CONTRACT.read_text())["components"]["schemas"]
    assert set(schemas["Outcome"]["enum"]) == {outcome.value for outcome in Outcome}
    assert schemas["ChosenOutcome"]["enum"] == ["", *schemas["Outcome"]["enum"]]


def test_the_broken_target_comes_first_with_what_there_is_to_know_of_it(exporter: Exporter) -> None:
    found = answer(exporter, "/targets")
    first = found["targets"][0]
    assert (first["address"], first["state"]) == ("northflank/service/shop/checkout", "broken")
    assert first["broken_branch"] == "main"
    assert first["consecutive_failures"] > 5
    assert first["broken_since"] < found["at"] - 3 * 3600
    assert len(first["builds"]) == 30
    assert found["counts"]["targets"] == found["total"] == len(found["targets"])


def test_a_build_of_gitlab_has_the_address_of_its_page(exporter: Exporter) -> None:
    (target,) = answer(exporter, "/targets?q=storefront&source=gitlab")["targets"]
    source = next(source for source in answer(exporter, "/targets")["sources"] if source["name"] == "gitlab")
    assert target["url"] == f"{source['url']}/harbour/storefront"
    for build in target["builds"]:
        assert build["url"] == f"{source['url']}/harbour/storefront/-/jobs/{build['id']}"


def test_builds_are_chosen_by_branch_and_outcome(exporter: Exporter) -> None:
    path = "/targets/northflank/service/shop/checkout/builds"
    everything = answer(exporter, path)["builds"]
    chosen = answer(exporter, f"{path}?branch=main&outcome=failure")["builds"]
    wanted = [build for build in everything if (build["branch"], build["outcome"]) == ("main", "failure")]
    assert chosen == wanted
    assert wanted


@pytest.mark.parametrize(
    ("parameter", "said"),
    [
        ("page=0", "page: Input should be greater than or equal to 1"),
        ("page=two", "page: must be a whole number"),
        ("per_page=1000", "per_page: Input should be less than or equal to 200"),
        ("state=fine", "state: Input should be '', 'broken', 'running', 'stuck', 'flaky' or 'unread'"),
    ],
)
def test_a_parameter_that_makes_no_sense_is_refused(exporter: Exporter, parameter: str, said: str) -> None:
    assert answer(exporter, f"/targets?{parameter}", 400) == {"error": said}


def test_a_target_that_is_not_read_is_not_found(exporter: Exporter) -> None:
    assert answer(exporter, "/targets/northflank/shop/none/builds", 404) == {"error": "no such target"}


def test_head_is_answered_without_a_body(exporter: Exporter) -> None:
    reply = exporter.ask("/api/v1/targets", method="HEAD")
    assert (reply.status, reply.body) == (200, b"")
