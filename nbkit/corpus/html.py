"""The text of a web page, with its headings and code as Markdown."""

import re
from typing import Any

from bs4 import BeautifulSoup

_HEADINGS = ["h1", "h2", "h3", "h4", "h5", "h6"]
_BLOCKS = [*_HEADINGS, "article", "div", "dd", "dt", "li", "p", "section", "table", "tr"]
_BREAK = "\ufdd0"
_KEPT = {ord(space): chr(0xFDD1 + place) for place, space in enumerate(" \n\t")}
"""Stand-ins for the white space in code, which must stay, unlike all other in HTML."""


def html_text(page: str) -> str:
    """The text of a page, without scripts and styles."""
    soup: Any = BeautifulSoup(page, "html.parser")
    for tag in soup(["script", "style", "template", "title"]):
        tag.decompose()
    for image in soup("img", alt=True):
        image.replace_with(f"[image: {image['alt']}]" if image["alt"] else "")
    for code in soup("pre"):
        code.replace_with(f"{_BREAK}{_fenced(code).translate(_KEPT)}{_BREAK}")
    for heading in soup(_HEADINGS):
        heading.insert(0, "#" * int(heading.name[1]) + " ")
    for cell in soup(["td", "th"]):
        cell.append(" ")
    for block in soup([*_BLOCKS, "br"]):
        block.insert_before(_BREAK)
        block.insert_after(_BREAK)
    text = re.sub(r"\s+", " ", soup.get_text())
    text = re.sub(f" ?(?:{_BREAK} ?)+", "\n\n", text).strip()
    return text.translate({ord(kept): chr(space) for space, kept in _KEPT.items()})


def _fenced(code: Any) -> str:
    """Code between fences that are longer than any fence inside it."""
    for end in code("br"):
        end.replace_with("\n")
    for line in code(_BLOCKS):  # some highlighters write lines like this
        if not line.get_text().endswith("\n"):
            line.append("\n")
    text = code.get_text().strip("\n")
    if not text.strip():
        return ""
    fence = max(["```", *(f"{run}`" for run in re.findall("`{3,}", text))], key=len)
    return f"{fence}\n{text}\n{fence}"
