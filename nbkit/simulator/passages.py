"""Split retrieved text into paragraphs, and these into sentences, list items and table rows."""

import re
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Paragraph:
    """One paragraph, list or table in its own Markdown, with its headings."""

    markdown: str
    headings: tuple[str, ...]
    chunk: int
    sentences: tuple[str, ...]
    is_list: bool
    """Whether `sentences` are list items or table rows."""


_BLOCK = re.compile(
    r"^[ ]*```.*?(?:^[ ]*```[ ]*$|\Z)"
    r"|^\#{1,6}[ ][^\n]*"
    r"|(?:^(?![ ]*```|\#{1,6}[ ])[^\n]*\S[^\n]*(?:\n|\Z))+",
    re.MULTILINE | re.DOTALL,
)
# SimpleDirectoryReader, MarkdownNodeParser and PDF readers write these above each chunk.
_METADATA = re.compile(
    r"\A(?:[ ]*(?:[a-z]+(?:_[a-z]+)+|Header_\d|page|title|url|source|lang(?:uage)?)[ ]*:[ ]\S.*"
    r"\n?)+"
)
_ITEM = re.compile(r"^\s*(?:[-*+•]|\d+[.)、])\s+", re.MULTILINE)
_END = re.compile(
    r"(?<=[。！？])(?=[^。！？”』」）])|(?<=[。！？][”』」）])"
    r"|(?:(?<=[.!?])|(?<=[.!?][\")”]))[ \n]+(?=[A-Z0-9\"“(*`])"
)
_CJK = r"[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]"
_WRAP = re.compile(rf"(?<={_CJK})\s*\n\s*(?={_CJK})")
_TITLE = re.compile(r"(?![-*+•]|\d+[.)、])[^\n|.!?。！？:：;；,，]{1,60}")


def take_apart(context: str) -> tuple[Paragraph, ...]:
    """The paragraphs of a context, in order, without metadata lines.

    A new chunk begins at each group of metadata lines, or at a first-level heading. In plain text,
    a short line by itself without punctuation is a heading.
    """
    paragraphs: list[Paragraph] = []
    headings: list[tuple[int, str]] = []
    chunk = 0
    blocks = [found[0].strip("\n") for found in _BLOCK.finditer(context)]
    for block, following in zip(blocks, [*blocks, ""][1:], strict=True):
        text = _METADATA.sub("", block).strip("\n")
        level = len(text) - len(text.lstrip("#"))
        if not level and following and _TITLE.fullmatch(text) and not _METADATA.match(following):
            level = 2
        if text != block or (level == 1 and paragraphs and paragraphs[-1].chunk == chunk):
            chunk += bool(paragraphs)
            headings = []
        if level:
            headings = [heading for heading in headings if heading[0] < level]
            headings.append((level, text.strip("# ")))
        elif text:
            titles = tuple(title for _, title in headings)
            is_list = text.lstrip().startswith("|") or bool(_ITEM.search(text))
            paragraphs.append(Paragraph(text, titles, chunk, tuple(_parts(text)), is_list))
    return tuple(paragraphs)


def _parts(text: str) -> Iterator[str]:
    if text.lstrip().startswith("```"):
        yield text
    elif text.lstrip().startswith("|"):
        yield from _rows(text.splitlines())
    elif _ITEM.search(text):
        yield from filter(None, map(_plain, _ITEM.split(text)))
    else:
        yield from split_sentences(_plain(re.sub(r"^> ?", "", text, flags=re.MULTILINE)))


def _rows(lines: list[str]) -> Iterator[str]:
    names, *rows = ([_plain(cell) for cell in line.strip(" |").split("|")] for line in lines)
    for row in rows:
        if not re.fullmatch(r"[\s:-]+", "".join(row)):
            named = zip(names, row, strict=False)
            cells = [f"{name}: {value}" if len(row) > 2 else value for name, value in named]
            yield " — ".join(filter(None, [row[0], ", ".join(cells[1:])]))


def _plain(text: str) -> str:
    text = _WRAP.sub("", text.strip())
    return re.sub(r"\*\*|__", "", re.sub(r"[ \t]*\n[ \t]*", " ", text))


def split_sentences(text: str) -> list[str]:
    """The sentences of an English or Chinese paragraph."""
    return [part.strip() for part in _END.split(text) if part and part.strip()]
