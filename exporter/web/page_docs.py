"""The documentation as a page: the README of the installed version, rendered."""

import re
from collections.abc import Sequence
from html import escape
from importlib import metadata
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token


class _Renderer(RendererHTML):
    """HTML without anything that a page may not load: no markup of the text's own, and pictures as their words."""

    def html_block(self, _tokens: Sequence[Token], _index: int, _options: Any, _env: Any) -> str:
        """Nothing."""
        return ""

    def html_inline(self, _tokens: Sequence[Token], _index: int, _options: Any, _env: Any) -> str:
        """Nothing."""
        return ""

    def image(self, tokens: Sequence[Token], index: int, _options: Any, _env: Any) -> str:
        """The words that stand for the picture."""
        return escape(tokens[index].content)


def documentation() -> str:
    """The README of the installed version as HTML; empty where it is not installed."""
    return rendered(_readme())


def rendered(markdown: str) -> str:
    """Markdown as HTML; headings can be linked to, as GitHub names them."""
    parser = MarkdownIt("commonmark", renderer_cls=_Renderer).enable("table")
    tokens = parser.parse(markdown)
    for place, token in enumerate(tokens):
        if token.type == "heading_open":
            words = re.sub(r"[^\w -]", "", tokens[place + 1].content.lower())
            token.attrSet("id", words.replace(" ", "-"))
    return str(parser.renderer.render(tokens, parser.options, {}))


def _readme() -> str:
    try:
        payload = metadata.metadata("ci-build-exporter").get_payload()  # type: ignore[attr-defined]  # it is a message
    except metadata.PackageNotFoundError:
        return ""
    return payload if isinstance(payload, str) else ""
