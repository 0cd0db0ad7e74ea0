import random

import pytest

from nbkit.displays.live_cell import SHOWN, LiveCell
from nbkit.displays.markdown import GrowingMarkdown, to_html

ANSWER = """# Title 标题

A paragraph with **bold**, `code` and a [link](https://lumina.example/shop); **重点：**内容.
Second line 😀 with $a*b*c$, $5 and $10.

- one
- two
  - nested

  paragraph in an item
* another list

| a | b |
|:--|--:|
| 1 | <b>2</b> |
after the table

```python
x = 1 < 2

def f(): pass
```
1. first
2. second

> quote
lazy continuation

$$x_1 * y$$

Setext
======

*   #hashtag
-
- not empty

last *paragraph*
"""


def _in_pieces(text: str, seed: int) -> list[str]:
    chance = random.Random(seed)
    longest = (1, 3, 17, 120)[seed % 4]
    pieces = []
    while text:
        size = chance.randint(1, longest)
        pieces.append(text[:size])
        text = text[size:]
    return pieces


class Page:
    """What the page does with the updates of one cell, in Python."""

    def __init__(self) -> None:
        self.version, self.finished, self.open = 0, "", ""
        self.facts: dict[str, object] = {}

    def take(self, update: list[object]) -> None:
        _, version, finished, keep, tail, *facts = update
        assert isinstance(keep, int)
        if keep < 0:
            self.finished = self.open = ""
        else:
            assert version == self.version + 1
        units = self.open.encode("utf-16-le")
        self.open = units[: 2 * max(keep, 0)].decode("utf-16-le") + str(tail)
        self.finished += str(finished)
        self.version = version  # type: ignore[assignment]
        for changed in facts:
            self.facts.update(changed)  # type: ignore[call-overload]


@pytest.mark.parametrize("seed", range(24))
def test_growing_markdown_ends_like_the_whole(seed: int) -> None:
    """However an answer is cut into chunks, what has grown is what rendering it at once gives."""
    growing = GrowingMarkdown()
    for piece in _in_pieces(ANSWER, seed):
        growing.add(piece)
    assert "".join(growing.finished) + growing.open == to_html(ANSWER)


def test_finished_blocks_stay_as_they_are() -> None:
    """A finished block is rendered once: no later text changes it."""
    growing = GrowingMarkdown()
    before: list[str] = []
    for piece in _in_pieces(ANSWER, 1):
        growing.add(piece)
        assert growing.finished[: len(before)] == before
        before = list(growing.finished)
    assert len(before) > 10


@pytest.mark.parametrize("seed", range(8))
def test_increments_rebuild_the_answer_in_the_page(seed: int) -> None:
    """The page ends with the whole answer, from increments alone, emoji and Chinese included."""
    cell, page = LiveCell(0, "label"), Page()
    pieces = _in_pieces(ANSWER, seed)
    for piece in pieces:
        cell.add(piece)
        page.take(cell.update())
    assert page.finished + page.open == to_html(ANSWER)
    late = Page()
    late.take(cell.whole())
    assert (late.finished, late.open, late.version) == (page.finished, page.open, page.version)
    assert late.facts["label"] == "label"
    assert late.facts["chunks"] == page.facts["chunks"] == len(pieces)


def test_bytes_grow_with_the_answer_not_with_its_square() -> None:
    """Four times the text costs at most 4.4 times the increments, in one block as in many."""
    for text in (ANSWER, "word " * 300, "| a | b |\n|---|---|\n" + "| 1 | 2 |\n" * 30):
        sizes = []
        for times in (1, 4):
            cell, size = LiveCell(0, ""), 0
            for piece in _in_pieces(text * times, 2):
                cell.add(piece)
                update = cell.update()
                size += len(str(update[2])) + len(str(update[4]))
            sizes.append(size)
        assert sizes[1] <= 4.4 * sizes[0]


def test_an_endless_answer_is_shown_as_far_as_a_screen_can() -> None:
    """Ten megabytes in one line leave the view after its limit; the rest is not rendered."""
    cell = LiveCell(0, "")
    for _ in range(100):
        cell.add("x" * 100_000)
    _, _, finished, _, tail, _ = cell.update()
    assert SHOWN <= len(finished) + len(tail) < SHOWN + 100
