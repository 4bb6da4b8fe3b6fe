"""What may be written for a target: its address, or the URL of a page that shows it."""

import pytest
from operating import GITLAB, NORTHFLANK, OLD_GITLAB, TOKEN

from exporter.build import Target
from exporter.errors import Refused
from exporter.operate import reference_of
from exporter.providers.gitlab import GitLabSource
from exporter.providers.operations import Reference
from exporter.settings.settings import Settings

SHOP = GitLabSource(
    name="below",
    provider="gitlab",
    url="https://example.com/git",
    token=TOKEN,
    groups=("shop",),
)
SETTINGS = Settings(sources=(NORTHFLANK, GITLAB, OLD_GITLAB, SHOP))
STOREFRONT = Target("gitlab", "project", "harbour/storefront", "harbour/storefront")
DEEP = Target("gitlab", "project", "harbour/infra/terraform", "harbour/infra/terraform")
HERE = "https://gitlab.example.com/harbour/storefront"
SHA = "d40b56020637e9c1927c57b9f47f23447762bda0"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("gitlab/project/harbour/storefront", Reference(STOREFRONT)),
        ("  gitlab/project/harbour/storefront ", Reference(STOREFRONT)),
        ("northflank/service/shop/web", Reference(Target("northflank", "service", "shop", "web"))),
        (HERE, Reference(STOREFRONT)),
        (f"{HERE}/", Reference(STOREFRONT)),
        (f"{HERE}.git", Reference(STOREFRONT)),
        (f"{HERE}/-/tree/main", Reference(STOREFRONT)),
        (f"{HERE}/-/pipelines", Reference(STOREFRONT)),
        (f"{HERE}/-/pipelines?scope=branches&page=2", Reference(STOREFRONT)),
        (f"{HERE}/-/jobs/253491582108", Reference(STOREFRONT, build_id="253491582108")),
        (f"{HERE}/-/jobs/253491582108#L112", Reference(STOREFRONT, build_id="253491582108")),
        (f"{HERE}/-/jobs/253491582108/raw", Reference(STOREFRONT, build_id="253491582108")),
        (f"{HERE}/-/pipelines/52416303312", Reference(STOREFRONT, run="52416303312")),
        (f"{HERE}/-/pipelines/52416303312/builds", Reference(STOREFRONT, run="52416303312")),
        (f"{HERE}/-/commit/{SHA}", Reference(STOREFRONT, commit=SHA)),
        (f"{HERE}/-/commit/{SHA}/pipelines?ref=main", Reference(STOREFRONT, commit=SHA)),
        (f"{HERE}/builds/7", Reference(STOREFRONT, build_id="7")),
        (f"{HERE}/commit/{SHA}", Reference(STOREFRONT, commit=SHA)),
        ("http://GitLab.Example.com/harbour/infra/terraform/-/jobs/8", Reference(DEEP, build_id="8")),
        ("gitlab.example.com/harbour/infra/terraform", Reference(DEEP)),
        (
            "https://example.com/git/shop/web/-/jobs/9",
            Reference(Target("below", "project", "shop/web", "shop/web"), build_id="9"),
        ),
        (
            "http://ci.example.com:10065/targets/northflank/service/shop/web?theme=dark",
            Reference(Target("northflank", "service", "shop", "web")),
        ),
        ("https://ci.example.com/x/targets/gitlab/project/harbour/storefront", Reference(STOREFRONT)),
        ("http://localhost:10065/targets/gitlab/harbour%2Fstorefront", Reference(STOREFRONT)),
        (
            "http://localhost:10065/targets/northflank/shop/report?kind=job",
            Reference(Target("northflank", "job", "shop", "report")),
        ),
    ],
)
def test_an_address_or_the_url_of_a_page_names_a_target(text: str, expected: Reference) -> None:
    _, found = reference_of(SETTINGS, text)
    assert found == expected


@pytest.mark.parametrize(
    "url",
    [
        "https://gitlab.com/harbour/storefront",
        "https://gitlab.example.com",
        "https://gitlab.example.com/harbour",
        "https://gitlab.example.com/groups/harbour/-/issues",
        "https://gitlab.example.com/-/profile/keys",
        "https://gitlab.example.com.evil.example/harbour/storefront",
        "https://example.com/gitter/shop/web",
        "https://example.com/shop/web",
        "http://localhost:10065/targets/nowhere/project/a/b",
        "http://localhost:10065/targets/northflank/shop/report",
        "http://localhost:10065/",
        "https://app.northflank.com/t/team/project/shop/services/web",
        "https://[::1/harbour/storefront",
    ],
)
def test_another_url_is_refused_with_what_to_write(url: str) -> None:
    with pytest.raises(Refused, match="is not a page of a target in a configured source; write an address"):
        reference_of(SETTINGS, url)


def test_of_two_sources_of_one_server_the_one_that_names_the_project_is_meant() -> None:
    first = GITLAB.model_copy(update={"name": "first"})
    second = GITLAB.model_copy(update={"name": "second", "groups": ("shop/inner", 7)})
    third = GITLAB.model_copy(update={"name": "third", "groups": (), "projects": ("Shop/web",)})
    settings = Settings(sources=(first, second, third))

    def source_of(path: str) -> str:
        return reference_of(settings, f"https://gitlab.example.com/{path}")[0].name

    assert source_of("harbour/storefront") == "first"
    assert source_of("shop/inner/api") == "second"
    assert source_of("shop/web/-/jobs/1") == "third"
    assert source_of("shop/innermost/api") == "first"
