"""Markdown from a model, made harmless: model output is untrusted.

`display(Markdown(answer))` would run scripts out of the answer in JupyterLab and in exported HTML.
"""

import re
from functools import cache
from typing import Any
from urllib.parse import quote

import comrak
import nh3

_TAGS = {
    *("p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "blockquote"),
    *("strong", "em", "del", "code", "pre", "a"),
    *("table", "thead", "tbody", "tr", "th", "td"),
}
_ATTRIBUTES = {"a": {"href"}, "ol": {"start"}, "th": {"align"}, "td": {"align"}}
_IMAGE = re.compile(r'<img [^>]*?alt="([^"]*)"[^>]*>')
# A pair of dollars is mathematics by pandoc's rule (no space just inside, no digit just after) if
# it holds a sign of TeX between: "$3 and ¥7, 人民币$" holds none. `$$` always is.
_TEX_OR_MONEY = re.compile(
    r"((?<![\\$])(?:\$\$[^$]+\$\$"
    r"|\$(?=[^\s$])[^$`\n]*[\\^_{][^$`\n]*(?<=[^\s\\])\$)(?![\d$]))|(?<!\\)\$"
)
_DOLLAR = "\ufdd0"
"""Stands for a dollar that is money while Markdown is parsed; Unicode keeps it for such uses."""
_MATH = re.compile(r'<span data-math-style="(inline|display)"[^>]*>([^<]*)</span>')
_TABLE_CELL = re.compile(r'<(t[hd])(?: align="(\w+)")?>')
_TAG = re.compile(r"<(/?)(?!br|hr|img)\w[^>]*>")
_DEEPEST = 100
_MOST_LATEX = 1000
_PLACE = re.compile(r'data-sourcepos="(\d+):\d+-(\d+):')


def to_html(text: str) -> str:
    """Markdown as sanitised HTML: no raw HTML, no images, links only to http(s) and mail.

    CommonMark with tables and strikethrough; mathematics stays text; emphasis also closes next to
    Chinese punctuation.
    """
    return _clean(_parsed(text))


class GrowingMarkdown:
    """Markdown that is still being written: finished blocks are rendered once and then frozen.

    A block is finished once another has begun on a complete line: no later text can change it.
    """

    def __init__(self) -> None:
        self.finished: list[str] = []
        """Sanitised HTML of the finished blocks."""
        self.open = ""
        """Sanitised HTML of the block that is being written."""
        self._source = ""

    def add(self, text: str) -> None:
        """Append text, and bring `finished` and `open` up to date."""
        self._source += text
        parsed = _parsed(self._source)
        line = _last_block(parsed, complete=self._source.count("\n"))
        if line > 1:
            lines = self._source.split("\n")
            self.finished.append(to_html("\n".join(lines[: line - 1])))
            self._source = "\n".join(lines[line - 1 :])
            parsed = _parsed(self._source)
        self.open = _clean(parsed)


@cache
def _options(latex: bool) -> dict[str, Any]:
    extensions = comrak.ExtensionOptions()
    extensions.table = extensions.strikethrough = extensions.cjk_friendly_emphasis = True
    extensions.math_dollars, extensions.math_latex = True, latex
    rendering = comrak.RenderOptions()
    rendering.escape = rendering.sourcepos = True
    return {"extension_options": extensions, "render_options": rendering}


def _parsed(text: str) -> str:
    """HTML that still tells, in `data-sourcepos`, which lines each element came from."""
    html = _rendered(_encodable(text))
    return _MATH.sub(_as_typed, html) if "<span" in html else html


def _rendered(text: str) -> str:
    # Each `\\(` and `\\[` is searched for to the end of the text each time: quadratic time.
    latex = text.count("\\(") + text.count("\\[") < _MOST_LATEX
    aside = _TEX_OR_MONEY.sub(lambda found: found[1] or _DOLLAR, text)
    html: str = comrak.render_markdown(aside, **_options(latex))
    return html.replace(_DOLLAR, "$").replace(quote(_DOLLAR), "$")


def _encodable(text: str) -> str:
    """A lone surrogate cannot be encoded: the parser would raise, and the view would be lost."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\r", "")


def _as_typed(math: re.Match[str]) -> str:
    fence = "$" if math[1] == "inline" else "$$"
    return f"<code>{fence}{math[2]}{fence}</code>"


def _shallow(html: str) -> str:
    """HTML without the tags nested too deep: the sanitiser's time grows with the depth squared."""
    if html.count("<") < _DEEPEST:
        return html
    depth = 0

    def kept(tag: re.Match[str]) -> str:
        nonlocal depth
        depth -= bool(tag[1])
        deep = depth >= _DEEPEST
        depth += not tag[1]
        return "" if deep else tag[0]

    return _TAG.sub(kept, html)


def _clean(html: str) -> str:
    html = _shallow(html)
    if "<img" in html:
        html = _IMAGE.sub(r"[image: \1]", html)
    html = nh3.clean(
        html,
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        url_schemes={"http", "https", "mailto"},
        url_relative="deny",
        link_rel="noopener noreferrer",
        set_tag_attribute_values={"a": {"target": "_blank"}},
    )
    # JupyterLab sets every cell right unless its style says otherwise.
    return _TABLE_CELL.sub(lambda c: f'<{c[1]} style="text-align: {c[2] or "left"}">', html)


def _last_block(parsed: str, complete: int) -> int:
    """Line, from 1, of the last top-level block that begins among the `complete` first lines."""
    begins, ends = 1, 0
    for place in _PLACE.finditer(parsed):
        first, last = int(place[1]), int(place[2])
        if first > complete:
            break
        if first > ends:
            begins, ends = first, max(first, last)
    return begins
