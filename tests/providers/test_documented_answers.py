"""The example answers of the vendors' own documentation, byte for byte, read as what they say."""

import pytest
from driving import DATA, case, cases, expected, gitlab, northflank, once, shown

from exporter.build import Target
from exporter.providers.gitlab.api import GitLab
from exporter.providers.northflank.api import Northflank


def documented(name: str) -> bool:
    return name.startswith("documented_")


@pytest.mark.parametrize("name", cases("northflank", documented))
def test_northflanks_documented_answer_is_read(name: str) -> None:
    target = Target("nf", "job" if "job" in name else "service", "shop", "web")
    page = once(case("northflank", name), Northflank(northflank()).builds(target, 20))
    assert shown(page) == expected("northflank", name)


@pytest.mark.parametrize("name", cases("gitlab", documented))
def test_gitlabs_documented_answer_is_read(name: str) -> None:
    provider, target = GitLab(gitlab("1", v3=True)), Target("gl", "project", "1", "1")
    reading = provider.builds(target, 20) if name.endswith("_builds") else provider.build(target, "8")
    assert shown(once(case("gitlab", name), reading)) == expected("gitlab", name)


def test_every_documented_answer_is_among_the_cases() -> None:
    assert len([*DATA.glob("*/documented_*.json")]) == 2 * (4 + 5)
