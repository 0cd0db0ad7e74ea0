"""What is wrong with a translated message: structure, numbers, names, English left, typography.

A problem is a pair: the check, by the word that `# ok: ... - why` in the catalogue names, and what
is wrong.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache

import comrak
from bs4 import BeautifulSoup

from tests.execute_notebooks import FOLDER

Problem = tuple[str, str]
FIXED = {
    "## What you'll do\n": "## 要做什么\n",
    "## What you'll learn\n": "## 会学到什么\n",
    "## What you'll need\n": "## 需要什么\n",
    "## What you learned\n": "## 学到了什么\n",
    "## On your own\n": "## 自己再试试\n",
    "## In practice\n": "## 实际使用时\n",
    "**Predict.**": "**猜一猜**：",
    "**What happened.**": "**发生了什么**：",
    "**Try it.**": "**试一试**：",
    "## Exercise ": "## 练习 ",
    "## Stretch: ": "## 挑战：",
    "← Previous: ": "← 上一篇：",
    "Next: ": "下一篇：",
    "Hint:": "提示：",
    "✗ ": "✗ ",
    "✓ ": "✓ ",
}
"""What is said in the same words in every notebook."""
_SMALL = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
_SMALL += "fifteen sixteen seventeen eighteen nineteen twenty"
_WORDS = {word: str(number) for number, word in enumerate(_SMALL.split())}
_WORDS |= {"once": "1", "first": "1", "twice": "2", "second": "2", "both": "2", "half": "2"}
_WORDS |= {"third": "3", "thirty": "30", "forty": "40", "fifty": "50", "sixty": "60"}
_WORDS |= {"eighty": "80", "hundred": "100", "thousand": "1000", "million": "1000000"}
_HAN = r"\u3400-\u9fff"
_ENGLISH = re.compile(r"(?:[A-Za-z][A-Za-z’'-]*[\s,]+){4,}[A-Za-z]+")
_FIELD = re.compile(r"\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}")
_TYPOGRAPHY = {
    rf"[{_HAN}）”》][,.;:?!](?!\w)": "half-width punctuation after Chinese",
    rf"[{_HAN}][(]|[)][{_HAN}]": "half-width brackets beside Chinese",
    rf'[{_HAN}]"|"[{_HAN}]': "straight quotes beside Chinese",
    rf"[{_HAN}][A-Za-z0-9`]|[A-Za-z0-9`][{_HAN}]": "no space between Chinese and Latin or code",
    rf"[{_HAN}] [{_HAN}]": "a space inside Chinese",
    r"\S +[，。：；？！、）]|[，。：；？！、（] +\S": "a space beside full-width punctuation",
    "您": "你, not 您",
}


def of_markdown(english: str, chinese: str, names: dict[str, str]) -> Iterator[Problem]:
    """Find what is wrong with the translation of a Markdown cell, or block."""
    yield from _chinese_in(english.replace("[中文](", "[]("))
    yield from _fixed(english, chinese)
    ours, theirs = _rendered(english), _rendered(chinese)
    wanted, found = _structure(ours, names), _structure(theirs, {})
    for what in wanted:
        if found[what] != wanted[what]:
            yield "structure", f"{what}: {_difference(wanted[what], found[what])}"
    for comment, translated in zip(_comments(ours), _comments(theirs), strict=False):
        yield from of_code(comment, translated)
    read, said = _text(ours), _text(theirs)
    if "*" in said and "*" not in read:
        yield "structure", "`*` shows: it needs a space, or punctuation outside, as in **词**："
    yield from _numbers(read, said)
    yield from _english_in(read, said)
    yield from _typography(said)


def of_code(english: str, chinese: str) -> Iterator[Problem]:
    """Find what is wrong with the translation of a comment or string."""
    yield from _chinese_in(english)
    yield from _fixed(english, chinese)
    ours, theirs = (_without_code(text) for text in (english, chinese))
    yield from _english_in(ours.replace("0", ""), theirs.replace("0", ""))
    if chinese not in _questions():
        yield from _typography(theirs)


def _without_code(text: str) -> str:
    """Give a string without its fields, escapes and code spans."""
    return re.sub(r"\\.", " ", _FIELD.sub("0", re.sub(r"`[^`]*`", "`", text)))


def _rendered(markdown: str) -> BeautifulSoup:
    extensions = comrak.ExtensionOptions()
    extensions.table = True
    if re.fullmatch(r"\|.*\|", markdown):  # A row that is a message of its own.
        columns = markdown.count("|") - 1
        markdown = f"{'|' * columns}|\n|{'-|' * columns}\n{markdown}"
    return BeautifulSoup(comrak.render_markdown(markdown, extensions), "html.parser")


def _structure(page: BeautifulSoup, names: dict[str, str]) -> dict[str, list[str]]:
    """Give what both languages must share, in a form that can be compared."""
    spans = {tag.get_text().strip() for tag in page.find_all("code") if tag.parent.name != "pre"}

    def said(span: str) -> str:
        return re.sub(r'"(\w+)"', lambda found: f'"{names.get(found[1], found[1])}"', span)

    return {
        "headings": [tag.name for tag in page.find_all(re.compile(r"h\d"))],
        "links": sorted(tag["href"] for tag in page.find_all("a")),
        "pictures": sorted(tag["src"] for tag in page.find_all("img")),
        "code": sorted({said(span) for span in spans}),
        "programs": [_unsaid(program.get_text()) for program in page.find_all("pre")],
        **{what: [tag] * len(page.find_all(tag)) for what, tag in _COUNTED.items()},
    }


_SAID = re.compile(r'"([^"\n]*)"| *# *(.*)')
"""What stands between quotes, or a comment, in a program that stands in Markdown."""
_COUNTED = {"list items": "li", "table rows": "tr", "cells": "td", "bold": "strong"}
_COUNTED |= {"quotes": "blockquote"}


def _unsaid(program: str) -> str:
    """Give a program without its comments and without sentences between quotes."""

    def kept(found: re.Match[str]) -> str:
        is_code = found[1] is not None and not re.search(f"[ {_HAN}]", found[1])
        return found[0] if is_code else ""

    return _SAID.sub(kept, program)


def _comments(page: BeautifulSoup) -> list[str]:
    """List the comments of the programs in a page."""
    found = [_SAID.finditer(program.get_text()) for program in page.find_all("pre")]
    return [said[2] for program in found for said in program if said[2]]


def _difference(wanted: list[str], found: list[str]) -> str:
    missing, more = Counter(wanted) - Counter(found), Counter(found) - Counter(wanted)
    parts = {"missing": missing, "too many": more}
    told = [f"{word} {', '.join(map(repr, c.elements()))}" for word, c in parts.items() if c]
    return "; ".join(told) or "another order"


def _text(page: BeautifulSoup) -> str:
    """Give what is read, with a backtick in the place of code, which the page loses."""
    for tag in page.find_all("code"):
        tag.replace_with("`")
    return page.get_text()


def _fixed(english: str, chinese: str) -> Iterator[Problem]:
    for ours, theirs in FIXED.items():
        if english.count(ours) > chinese.count(theirs):
            yield "words", f"{ours.strip()!r} is always {theirs.strip()!r}"


def _numbers(english: str, chinese: str) -> Iterator[Problem]:
    """Compare numbers written in digits; English words may have become digits."""
    ours, theirs = (Counter(_digits(text)) for text in (english, chinese))
    words = {_WORDS[word] for word in re.findall(r"[a-z]+", english.lower()) if word in _WORDS}
    if missing := ours - theirs:
        yield "numbers", f"missing {', '.join(missing)}"
    if more := {number for number in theirs - ours if number not in words}:
        yield "numbers", f"not in English: {', '.join(sorted(more))}"


def _digits(text: str) -> list[str]:
    found = re.findall(r"\d+(?:[.,]\d+)*", text)
    return [re.sub(r",(?=\d{3})", "", number) for number in found]


def _english_in(english: str, chinese: str) -> Iterator[Problem]:
    if found := _ENGLISH.search(chinese):
        yield "english", f"English left: {found[0]!r}"
    elif re.search(r"\b[A-Za-z][a-z]{2,}\b", english) and not re.search(f"[{_HAN}]", chinese):
        yield "english", f"nothing in Chinese: {chinese.strip()[:40]!r}"


def _chinese_in(english: str) -> Iterator[Problem]:
    if found := re.search(f"[{_HAN}]+", english):
        yield "chinese", f"Chinese in the English notebook: {found[0]!r}"


def _typography(text: str) -> Iterator[Problem]:
    for line in text.splitlines():
        for pattern, what in _TYPOGRAPHY.items():
            if found := re.search(pattern, line):
                near = line[max(found.start() - 6, 0) : found.end() + 6]
                yield "typography", f"{what}: …{near}…"


@cache
def _questions() -> set[str]:
    """Give the questions of the handbook, which are quoted as they are."""
    path = FOLDER.parent / "data" / "questions" / "zh.jsonl"
    return {json.loads(line)["question"] for line in path.read_text("utf-8").splitlines()}
