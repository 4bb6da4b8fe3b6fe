"""The pages of the documentation: their headings, tables and fenced examples."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = {str(path.relative_to(ROOT)): path.read_text() for path in (ROOT / "README.md", *sorted(DOCS.glob("*.md")))}
"""README.md and the pages of docs/, each by its path."""
ALL = PAGES | {
    name: (ROOT / name).read_text() for name in ("CONTRIBUTING.md", "CHANGELOG.md", "helm/ci-build-exporter/README.md")
}
"""Also the pages that are not about the exporter itself."""

Row = list[str]


def section(page: str, title: str) -> str:
    """The text below a heading, subsections included."""
    text = PAGES[page]
    found = re.search(rf"^(#+) {re.escape(title)}$", text, re.MULTILINE)
    assert found, f"{page} has no heading {title}"
    rest = text[found.end() :]
    end = re.search(rf"^#{{1,{len(found[1])}}} ", without_fences(rest), re.MULTILINE)
    return rest[: end.start()] if end else rest


def without_fences(text: str) -> str:
    """The text at its full length with the fenced examples blanked: a comment of a shell is no heading."""
    parts = re.split(r"(?m)^(```.*\n)", text)
    # text, opening fence, example, closing fence
    return "".join(re.sub(r"[^\n]", " ", part) if place % 4 == 2 else part for place, part in enumerate(parts))


def table(page: str, title: str, header: str) -> list[Row]:
    """The rows of the table below a heading whose first column has that header."""
    lines = section(page, title).splitlines()
    start = next(place for place, line in enumerate(lines) if line.startswith(f"| {header} |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def code(cell: str) -> str:
    """What stands between the cell's back quotes; the cell itself if there are none."""
    return cell.removeprefix("`").removesuffix("`")


def examples(language: str, page: str | None = None) -> list[str]:
    """The fenced examples in a language, of one page or of all."""
    texts = PAGES.values() if page is None else [PAGES[page]]
    return [
        example
        for text in texts
        for example in re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    ]


def keyed(key: str, page: str | None = None) -> list[str]:
    """The YAML examples with that key at the top."""
    return [example for example in examples("yaml", page) if key in yaml.safe_load(example)]


def typed(program: str, page: str | None = None) -> Iterator[list[str]]:
    """The words of each command line in a shell example that starts the program, without the program itself."""
    for language, prompt in (("sh", ""), ("console", r"\$ ")):
        for example in examples(language, page):
            for line in re.findall(rf"^{prompt}{program} (.*)$", example, re.MULTILINE):
                yield shlex.split(line, comments=True)


def anchors(text: str) -> set[str]:
    """The fragments by which the headings of a page are linked."""
    headings = re.findall(r"^#+ (.*)$", without_fences(text), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(page: str) -> list[str]:
    """The addresses that a page links to or shows as a picture."""
    return re.findall(r"(?:\]\(|src=\")([^)\s\"]+)", ALL[page])


def pictures() -> list[Path]:
    """The pictures that the pages show."""
    return [
        (ROOT / page).parent / link
        for page, text in PAGES.items()
        for link in re.findall(r"<img src=\"([^\"]+)\"", text)
    ]
