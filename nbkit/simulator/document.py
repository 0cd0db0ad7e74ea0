"""Taking retrieved Markdown apart into the pieces an answer can be put together from."""

import re
from dataclasses import dataclass
from typing import Literal

Shape = Literal["sentence", "item", "row"]


@dataclass(frozen=True)
class Piece:
    """One sentence, list item or table row, and where it stands."""

    text: str
    shape: Shape
    headings: tuple[str, ...]
    chunk: int
    block: int
    source: str


@dataclass(frozen=True)
class Block:
    """One paragraph, list or table as it was written, under its headings."""

    markdown: str
    headings: tuple[str, ...]
    chunk: int
    number: int


@dataclass(frozen=True)
class Document:
    """Everything retrieved, in the order it was retrieved."""

    pieces: list[Piece]
    blocks: list[Block]


# SimpleDirectoryReader, MarkdownNodeParser and PDF readers write these above each chunk.
_METADATA = re.compile(
    r"^\s*(?:file_\w+|\w+_date|page_label|page|header_path|Header_\d|document_title|doc_id|source"
    r"|section_summary|excerpt_keywords|language|lang|title|url|[a-z]+(?:_[a-z]+)+)\s*:\s\S"
)
_FILE = re.compile(r"^\s*file_(?:path|name)\s*:\s*(?:.*[/\\])?(?P<stem>[^/\\\n]+?)(?:\.\w+)?\s*$")
_HEADING = re.compile(r"^(#{1,6})\s+(.*?)\s*#*$")
_FENCE = re.compile(r"\s*(?:```[^`]*|~~~.*)$")
_ITEM = re.compile(r"^\s*(?:[-*+•]|\d+[.)、])\s+")
_CELL_RULE = re.compile(r"^\s*\|?[\s:|-]+\|?\s*$")
_END = re.compile(
    r"(?<=[。！？])(?=[^。！？”』」）])"
    r"|(?<=[。！？][”』」）])"
    r"|(?<=[.!?])[ \n]+(?=[A-Z0-9\"“(*`])"
    r"|(?<=[.!?][\")”])[ \n]+(?=[A-Z0-9\"“(*`])"
)
_CJK = r"[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]"
_WRAP = re.compile(rf"(?<={_CJK})\s*\n\s*(?={_CJK})")


def take_apart(context: str) -> Document:
    """Give the pieces and blocks of a context; metadata lines are left out.

    A new chunk begins at each run of metadata lines, or at a heading of the first level.
    """
    reader = _Reader()
    for line in context.splitlines():
        reader.read(line)
    reader.end_block()
    return Document(reader.pieces, reader.blocks)


class _Reader:
    def __init__(self) -> None:
        self.pieces: list[Piece] = []
        self.blocks: list[Block] = []
        self._headings: list[tuple[int, str]] = []
        self._chunk = 0
        self._source = ""
        self._lines: list[str] = []
        self._in_metadata = False
        self._in_code = False

    def read(self, line: str) -> None:
        if not self._in_code and _METADATA.match(line) and not self._lines:
            self._metadata(line)
            return
        self._in_metadata = False
        if _FENCE.match(line):
            self._in_code = not self._in_code
        heading = None if self._in_code else _HEADING.match(line)
        if heading:
            self.end_block()
            level = len(heading[1])
            if level == 1 and self.blocks and self.blocks[-1].chunk == self._chunk:
                self._chunk += 1
            self._headings = [h for h in self._headings if h[0] < level]
            self._headings.append((level, heading[2]))
        elif line.strip() or self._in_code:
            self._lines.append(line)
        else:
            self.end_block()

    def _metadata(self, line: str) -> None:
        if not self._in_metadata:
            self._in_metadata = True
            self._headings, self._source = [], ""
            self._chunk += bool(self.blocks)
        found = _FILE.match(line)
        if found:
            self._source = found["stem"].replace("_", " ").replace("-", " ")

    def end_block(self) -> None:
        lines, self._lines = self._lines, []
        if not lines:
            return
        headings = tuple(text for _, text in self._headings)
        number = len(self.blocks)
        self.blocks.append(Block("\n".join(lines), headings, self._chunk, number))
        for shape, text in _pieces(lines):
            self.pieces.append(Piece(text, shape, headings, self._chunk, number, self._source))


def _pieces(lines: list[str]) -> list[tuple[Shape, str]]:
    if all(line.lstrip().startswith("|") for line in lines):
        return [("row", text) for text in _rows(lines)]
    if lines[0].lstrip().startswith("```"):
        return [("sentence", "\n".join(lines))]
    found: list[tuple[Shape, str]] = []
    paragraph: list[str] = []
    item = False
    for line in [*lines, "- "]:
        mark = _ITEM.match(line)
        if mark and paragraph:
            text = _plain("\n".join(paragraph))
            found += [("item", text)] if item else [("sentence", s) for s in sentences(text)]
            paragraph = []
        item = bool(mark) or item
        paragraph.append(line[mark.end() :] if mark else line.strip().removeprefix("> "))
    return [(shape, text) for shape, text in found if text]


def _rows(lines: list[str]) -> list[str]:
    cells = [[c.strip() for c in line.strip().strip("|").split("|")] for line in lines]
    has_head = len(lines) > 2 and bool(_CELL_RULE.match(lines[1]))
    if not has_head:
        return [" — ".join(row) for row in cells if any(row)]
    head = cells[0]
    texts = []
    for row in cells[2:]:
        rest = [
            f"{name}: {value}" if len(row) > 2 else value
            for name, value in zip(head[1:], row[1:], strict=False)
            if value
        ]
        texts.append(_plain(f"{row[0]} — {', '.join(rest)}" if rest else row[0]))
    return texts


def _plain(text: str) -> str:
    text = _WRAP.sub("", text.strip())
    return re.sub(r"\*\*|__", "", re.sub(r"[ \t]*\n[ \t]*", " ", text))


def sentences(text: str) -> list[str]:
    """Split a paragraph, English or Chinese, into sentences."""
    return [part.strip() for part in _END.split(text) if part and part.strip()]
