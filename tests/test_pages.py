"""The pages of the documentation: short enough, linked, and without a trace of where they were written."""

import re
import subprocess
from pathlib import Path

import pytest
from pages import ALL, DOCS, PAGES, ROOT, anchors, links, pictures, without_fences
from real import tool

README_WORDS = 1300
PICTURE_LIMIT = 150_000


def test_the_readme_is_short() -> None:
    assert len(PAGES["README.md"].split()) <= README_WORDS


def test_every_page_is_linked_from_the_readme() -> None:
    linked = {link.partition("#")[0] for link in links("README.md")}
    assert PAGES.keys() - {"README.md"} <= linked


@pytest.mark.parametrize("page", ALL)
def test_links_lead_to_what_is_there(page: str) -> None:
    here = ROOT / page
    for link in links(page):
        if link.startswith(("https://", "http://")):
            continue
        path, _, fragment = link.partition("#")
        there = here.parent / path if path else here
        assert there.exists(), link
        assert there.resolve().is_relative_to(ROOT.resolve()), link
        if fragment:
            assert fragment in anchors(there.read_text()), link


@pytest.mark.parametrize("page", PAGES)
def test_a_page_begins_with_its_title_and_has_no_heading_twice(page: str) -> None:
    assert PAGES[page].startswith("# ")
    headings = re.findall(r"^#+ (.*)$", without_fences(PAGES[page]), re.MULTILINE)
    assert len(headings) == len(set(headings)) == len(anchors(PAGES[page]))


def test_a_broken_anchor_is_found() -> None:
    assert "second-heading" in anchors("# First\n## Second heading\n")
    assert "not-a-heading" not in anchors("# First\n```sh\n# Not a heading\n```\n")


def test_pictures_are_small_and_each_is_shown() -> None:
    shown = pictures()
    assert {path.resolve() for path in shown} == {path.resolve() for path in DOCS.glob("*.png")}
    assert all(picture.stat().st_size < PICTURE_LIMIT for picture in shown)


def tracked() -> list[Path]:
    """The files that are under version control, which a source archive cannot tell."""
    if not (ROOT / ".git").exists():
        pytest.skip("needs a git checkout")
    listed = subprocess.run([tool("git"), "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    return [path for name in listed.stdout.decode().split("\0") if name and (path := ROOT / name).is_file()]


FORBIDDEN = re.compile(r"[/]work[/]|[.][.]/shared|/tmp[/]bash_jobs")
"""Paths of whoever wrote a file; spelled so that this one does not hold them."""
REGISTRY = re.compile(
    r"(?:index-url|goproxy|registry)[\"']?\s*[=:]\s*[\"']?https?://|\"resolved\": \"(?!https://registry\.npmjs\.org/)",
    re.IGNORECASE,
)
"""A place to install from that is not the public one."""


def test_no_file_tells_where_it_was_written() -> None:
    for path in tracked():
        text = path.read_bytes().decode("utf-8", "replace")
        assert not FORBIDDEN.search(text), path
        assert not REGISTRY.search(text), path


def test_what_tells_where_a_file_was_written_is_found() -> None:
    folder, registry = "work", "registry"
    assert FORBIDDEN.search(f"see /{folder}/main/README.md")
    assert FORBIDDEN.search(f"see ../{'shared'}/page.md")
    assert REGISTRY.search(f"npm_config_{registry}=http://mirror.example/npm/")
    assert REGISTRY.search(f'"{"resolved"}": "https://mirror.example/a.tgz"')
    assert not REGISTRY.search(f'"{"resolved"}": "https://registry.npmjs.org/a.tgz"')
