"""Markdown from a model, made harmless: model output is untrusted.

`display(Markdown(answer))` would run scripts out of the answer in JupyterLab and in exported HTML.
"""

import re
from functools import cache

import nh3
from markdown_it import MarkdownIt

_TAGS = {
    *("p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "blockquote"),
    *("strong", "em", "s", "code", "pre", "a"),
    *("table", "thead", "tbody", "tr", "th", "td"),
}
_SCRIPT_SCHEMES = re.compile(r"(?i)\b(javascript|vbscript|data|file)\s*:")


@cache
def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])


def to_html(text: str) -> str:
    """Markdown as sanitised HTML: no raw HTML, no images, links only to http(s) and mail."""
    return nh3.clean(
        _parser().render(text),
        tags=_TAGS,
        attributes={"a": {"href"}, "ol": {"start"}},
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer",
    )


def without_html(text: str) -> str:
    """Markdown in which no front end finds HTML, a script link or a remote image to act on."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace("![", "!\\[")
    return _SCRIPT_SCHEMES.sub(r"\1：", text)
