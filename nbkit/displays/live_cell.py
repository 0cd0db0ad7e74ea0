"""What the page knows of one stream, and the smallest message that brings it up to date."""

from typing import Any

from nbkit.displays.markdown import GrowingMarkdown

SHOWN = 100_000
"""Characters of an answer that are put on a screen; the rest is in `Answer.text`."""


class LiveCell:
    """One stream's place in a live view: Markdown that grows, and the facts of its caption.

    An update is `[index, version, finished HTML added, code units of the open block to keep, HTML
    to put after them]`, and at its end the facts that changed, if any did; `whole` is the same
    from nothing, told apart by a negative number to keep. A page that misses a version asks for
    the whole.
    """

    def __init__(self, index: int, label: str) -> None:
        self._index = index
        self._facts: dict[str, Any] = {"label": label, "state": "waiting"}
        self._news: dict[str, Any] = {}
        self._arrived: list[str] = []
        self._thoughts: list[str] = []
        self._room = SHOWN
        self._chunks = 0
        self._markdown = GrowingMarkdown()
        self._version = 0
        self._finished = 0
        self._open = ""

    def add(self, chunk: str) -> None:
        """Take a chunk for the next update."""
        self._chunks += 1
        self._news["chunks"] = self._chunks
        if len(chunk) > self._room and "shown" not in self._facts:
            self._news["shown"] = SHOWN
        if self._room > 0:
            self._arrived.append(chunk[: self._room])
            self._room -= len(chunk)

    def think(self, thought: str) -> None:
        """Take a thought for the next update."""
        self._thoughts.append(thought)

    @property
    def ended(self) -> bool:
        """Whether its stream is over."""
        return "caption" in self._facts or "caption" in self._news

    def tell(self, **facts: Any) -> None:
        """Take facts for the next update: state, ttft, sources, caption, ..."""
        self._news.update(facts)

    def update(self) -> list[Any]:
        """What has changed since the last update."""
        if self._arrived:
            self._markdown.add("".join(self._arrived))
            self._arrived.clear()
        self._facts.update(self._news)
        news, self._news = self._news, {}
        if self._thoughts:
            news["thinks"] = "".join(self._thoughts)  # a page adds it to what it has
            self._facts["thought"] = self._facts.get("thought", "") + news["thinks"]
            self._thoughts.clear()
        self._version += 1
        finished = "".join(self._markdown.finished[self._finished :])
        self._finished = len(self._markdown.finished)
        keep = 0 if finished else _common(self._open, self._markdown.open)
        self._open = self._markdown.open
        units = len(self._open[:keep].encode("utf-16-le")) // 2
        update = [self._index, self._version, finished, units, self._open[keep:]]
        return [*update, news] if news else update

    def whole(self) -> list[Any]:
        """All that has been sent in updates so far, as one."""
        finished = "".join(self._markdown.finished[: self._finished])
        return [self._index, self._version, finished, -1, self._open, self._facts]


def _common(one: str, other: str) -> int:
    """Length of the common prefix of two strings, by bisection over slices."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
