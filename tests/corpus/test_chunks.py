"""Text is cut under its headings, between its sentences, always in the same way."""

from pathlib import Path

import pytest

from nbkit.corpus import chunks, load_index


@pytest.mark.parametrize(
    "unit", ["The lamp is bright and warm. ", "台灯又亮又暖，大家都喜欢。", "x"]
)
def test_no_chunk_is_too_long_and_nothing_is_lost(unit: str) -> None:
    """Text without a single heading or blank line is cut within the limit, between sentences."""
    text = (unit * 4000)[:9000].strip()
    nodes = chunks.nodes("long.txt", [text])
    assert len(nodes) > 1
    assert max(chunks.size(node.text) for node in nodes) <= chunks.CHUNK_SIZE
    assert "".join("".join(node.text for node in nodes).split()) == "".join(text.split())
    if unit != "x":
        assert all(node.text[-1] in ".。" for node in nodes[:-1])


def test_chunks_follow_headings() -> None:
    """A chunk starts with a heading when sections are short, and knows its place."""
    body = "Some words about it. " * 60
    text = "# Book\n\nIntro.\n\n" + "\n\n".join(f"## Part {n}\n\n{body}" for n in range(5))
    nodes = chunks.nodes("book.md", [text])
    assert all(node.text.startswith("#") for node in nodes)
    assert {node.metadata["title"] for node in nodes} == {"Book"}
    assert nodes[-1].metadata["section"].endswith("Part 4")
    assert nodes[0].next_node is not None
    assert nodes[0].next_node.node_id == nodes[1].node_id


def test_code_is_not_a_heading() -> None:
    """A comment in a code block does not begin a section."""
    (section,) = chunks.sections("# Title\n\n```python\n# a comment\nx = 1\n```\n")
    assert section.headings == ("Title",)
    assert "# a comment" in section.text


@pytest.mark.parametrize(
    "code",
    [
        "```foo``` is a command",
        "```\n~~~\n```",
        "~~~~\n~~~\n# no heading\n~~~~",
        "````\n```\n# no heading\n```\n````",
        "```\n```python\n# no heading\n```",
    ],
)
def test_code_ends_where_it_ends(code: str) -> None:
    """A block of code is closed by its own fence alone, and code within a line opens none."""
    found = list(chunks.sections(f"# Title\n\n{code}\n\n# Next\n\nwords\n"))
    assert [section.headings for section in found] == [("Title",), ("Next",)]


def test_a_long_line_is_cut_before_llamaindex_counts_its_letters() -> None:
    """A text without sentences is cut to pieces at once, at spaces where it has some."""
    for unit in ("x", "word ", "灯"):
        text = unit * (20_000 // len(unit))
        pieces = chunks.splitter()._chunking_tokenizer_fn(text)
        assert "".join(pieces) == text
        assert max(map(chunks.size, pieces)) <= chunks.CHUNK_SIZE // 2
        assert unit != "word " or all(piece.endswith(" ") for piece in pieces)


def test_a_row_of_dots_is_looked_through_once() -> None:
    """Signs that may end a sentence but do not are no work: 200 kB of them once took minutes."""
    dots = "." * 200_000
    assert "".join(chunks.splitter()._chunking_tokenizer_fn(dots)) == dots
    assert chunks._sentences("Wait... what?! Yes.") == ["Wait... ", "what?! ", "Yes."]


def test_passages_are_paragraphs_without_headings() -> None:
    """What is searched are the paragraphs; a chunk of headings only is searched as it is."""
    assert chunks.passages("# A\n\none\n\n## B\ntwo\n- three") == ["one", "two\n- three"]
    assert chunks.passages("# A\n\n## B") == ["# A\n\n## B"]


def test_ids_are_the_same_in_every_run(folder: Path, own_cache: Path) -> None:
    """Building again, elsewhere and without the cache, gives the same node ids."""
    before = set(load_index(folder).docstore.docs)
    moved = folder.rename(folder.parent / "moved")
    assert set(load_index(moved).docstore.docs) == before
