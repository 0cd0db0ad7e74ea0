"""Text to chunks: sections with their headings, joined or split to a similar size."""

import hashlib
import math
import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from llama_index.core.node_parser import SentenceSplitter
    from llama_index.core.schema import TextNode

# In tokens, roughly; chosen on half of the questions, see tests/benchmarks/retrieval.py.
CHUNK_SIZE = 700

_HEADING = re.compile(r"(#{1,6})\s+(.+?)\s*#*")
_FENCE = re.compile(r"\s*(?P<mark>`{3,}(?=[^`]*$)|~{3,})")
"""CommonMark: nothing after the opening backticks of a block may be a backtick."""
_WIDE = re.compile(r"[\u2e80-\u9fff\uac00-\ud7ff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]")
_SENTENCE = re.compile(r".+?(?:[.!?;]\s+|[。！？；…]+[”’」』）]*\s*|\n+|\Z)", re.DOTALL)
_LONGEST = CHUNK_SIZE // 2
"""Characters of a sentence that are kept together; in Chinese each may be a token."""
_CUT = re.compile(rf".{{1,{_LONGEST}}}(?=\s|\Z)\s*|.{{1,{_LONGEST}}}", re.DOTALL)


class Section(NamedTuple):
    """A part of a text, with its heading line, and all headings above it."""

    headings: tuple[str, ...]
    text: str
    page: int | None = None


def size(text: str) -> int:
    """The estimated number of tokens: one per four characters, one per Chinese character."""
    wide = len(_WIDE.findall(text))
    return wide + math.ceil((len(text) - wide) / 4)


def splitter() -> "SentenceSplitter":
    """A splitter for text without headings, in English or Chinese."""
    from llama_index.core.node_parser import SentenceSplitter

    return SentenceSplitter(
        # Half a chunk, so that pieces of a long section can be joined to chunks of even size.
        chunk_size=CHUNK_SIZE // 2,
        chunk_overlap=0,
        paragraph_separator="\n\n",
        tokenizer=lambda text: range(size(text)),
        chunking_tokenizer_fn=_sentences,
    )


def _sentences(text: str) -> list[str]:
    """The sentences of a text; longer ones are cut at a space, or anywhere if there is none.

    LlamaIndex would cut long ones character by character, in quadratic time.
    """
    return [
        piece
        for sentence in _SENTENCE.findall(text)
        for piece in ([sentence] if len(sentence) <= _LONGEST else _CUT.findall(sentence))
    ]


def sections(text: str) -> Iterator[Section]:
    """The sections of Markdown, cut before each heading; an empty one is joined to the next."""
    open_headings: list[tuple[int, str]] = []
    lines: list[str] = []
    fence, has_text = "", False
    for line in text.splitlines():
        if fence:
            closed = line.strip().startswith(fence) and not line.strip().strip(fence[0])
            fence = "" if closed else fence
        elif found := _FENCE.match(line):
            fence = found["mark"]
        heading = None if fence else _HEADING.fullmatch(line)
        if heading:
            if has_text:
                yield Section(tuple(name for _, name in open_headings), "\n".join(lines).strip())
                lines, has_text = [], False
            level = len(heading[1])
            open_headings = [known for known in open_headings if known[0] < level]
            open_headings.append((level, heading[2]))
        elif line.strip():
            has_text = True
        lines.append(line)
    if "".join(lines).strip():
        yield Section(tuple(name for _, name in open_headings), "\n".join(lines).strip())


def _even(parts: list[Section]) -> Iterator[list[Section]]:
    """Neighbours joined to chunks of about equal size, at most CHUNK_SIZE."""
    sizes = [size(part.text) for part in parts]
    target = sum(sizes) / math.ceil(sum(sizes) / CHUNK_SIZE)
    chunk: list[Section] = []
    filled = 0
    for part, length in zip(parts, sizes, strict=True):
        if chunk and (filled + length > CHUNK_SIZE or filled + length / 2 > target):
            yield chunk
            chunk, filled = [], 0
        chunk.append(part)
        filled += length
    yield chunk


def passages(text: str) -> list[str]:
    """The paragraphs of a chunk, without headings; if it has only headings, the chunk itself."""
    paragraphs = re.split(r"\n\s*\n", text)
    bodies = [re.sub(r"\A(?:#{1,6}\s.*(?:\n|\Z))+", "", block).strip() for block in paragraphs]
    return [body for body in bodies if body] or [text]


def nodes(file_name: str, pages: list[str]) -> "list[TextNode]":
    """The nodes of one file, linked to each other; their ids depend only on name and text.

    Those of a PDF have their page, counted from 1, in `page_label`, as with LlamaIndex's reader;
    where a node has several, that is "3–4".
    """
    from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode

    split = splitter()
    parts: list[Section] = []
    for section in _sections_of(file_name, pages):
        fits = size(section.text) <= CHUNK_SIZE
        pieces = [section.text] if fits else split.split_text(section.text)
        parts += [section._replace(text=piece) for piece in pieces]
    if not parts:
        return []
    title = parts[0].headings[0] if parts[0].headings else PurePosixPath(file_name).stem
    source = RelatedNodeInfo(node_id=_digest(file_name), metadata={"file_name": file_name})
    result: list[TextNode] = []
    for chunk in _even(parts):
        paths = [" / ".join(name for name in part.headings if name != title) for part in chunk]
        body = "\n\n".join(part.text for part in chunk)
        node = TextNode(
            id_=_digest(file_name, str(len(result)), body),
            text=body,
            metadata={
                "file_name": file_name,
                "title": title,
                "section": "; ".join(filter(None, dict.fromkeys(paths))),
                **_page_label(chunk[0].page, chunk[-1].page),
            },
            # The model sees the file name; the headings are already in the text.
            excluded_llm_metadata_keys=["title", "section"],
            excluded_embed_metadata_keys=["file_name", "page_label"],
            relationships={NodeRelationship.SOURCE: source},
        )
        if result:
            node.relationships[NodeRelationship.PREVIOUS] = result[-1].as_related_node_info()
            result[-1].relationships[NodeRelationship.NEXT] = node.as_related_node_info()
        result.append(node)
    return result


def _sections_of(file_name: str, pages: list[str]) -> Iterator[Section]:
    if not file_name.lower().endswith(".pdf"):
        return sections("\n\n".join(pages))
    return (Section((), page, number) for number, page in enumerate(pages, 1) if page.strip())


def _page_label(first: int | None, last: int | None) -> dict[str, str]:
    if first is None:
        return {}
    return {"page_label": str(first) if first == last else f"{first}–{last}"}


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
