"""A finished answer: text, sources and timing together."""

import time
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from nbkit.language import say, to_say
from nbkit.streaming.cost import Prices
from nbkit.streaming.steps import ToolStep
from nbkit.streaming.trace import Trace
from nbkit.wording import whole_characters

_EXCERPT = 220
NOTHING_FOUND = to_say("no document matched, no model was asked")


@dataclass(frozen=True)
class Answer:
    """A finished answer: its text, its sources, and how it arrived. Taught in notebook 01."""

    text: str
    sources: list[Any] = field(default_factory=list, repr=False)
    """LlamaIndex's `NodeWithScore`s, best first."""
    trace: Trace = field(default_factory=lambda: Trace(time.perf_counter()))
    response: Any = field(default=None, repr=False)
    """The LlamaIndex response object the text was read from."""
    stopped: bool = False
    """It was stopped: the text is what had arrived by then."""
    truncated: bool = False
    """The model or the connection ended before the answer did."""
    error: BaseException | None = None
    """What went wrong, if something did; the text is what had arrived by then."""
    nothing_found: bool = False
    """No document matched, so no model was asked: the text is LlamaIndex's stand-in."""
    steps: list[ToolStep] = field(default_factory=list, repr=False)
    """The tools that an agent called, in the order of their start."""
    object: Any = field(default=None, repr=False)
    """The validated object of structured output; of an agent the dict that LlamaIndex gives."""
    thought: str = field(default="", repr=False)
    """What the model thought before it answered, if it says so."""

    def __str__(self) -> str:
        return self.text

    @property
    def state(self) -> str:
        """One word: "done", "stopped", "truncated" or "failed"."""
        if self.truncated:
            return "truncated"
        if self.error is not None:
            return "failed"
        return "stopped" if self.stopped else "done"

    @property
    def cost(self) -> float | None:
        """What all its calls of models cost, at the prices in your file (`Prices`) now.

        `None` if that is unknown: no price, no count of tokens, or calls that were not seen.
        Raises `PriceError` for a file that cannot be used.
        """
        return Prices.read().cost(self.trace.usage)

    def __repr__(self) -> str:
        opening = self.text if len(self.text) <= 40 else f"{self.text[:39]}…"
        state = "" if self.state == "done" else f" · {say(self.state)}"
        state += f" · {say(NOTHING_FOUND)}" if self.nothing_found else ""
        return f"<Answer {opening!r} · {self.trace.caption}{state}>"


class Source(NamedTuple):
    """A source of an answer, ready to show."""

    name: str
    score: float | None
    excerpt: str


def sources_of(answer: Any) -> list[Any]:
    """The retrieved nodes of an answer (`NodeWithScore`); known before its first token."""
    nodes = list(getattr(answer, "source_nodes", None) or [])
    if not nodes:
        for tool in getattr(answer, "sources", None) or []:
            nodes.extend(getattr(getattr(tool, "raw_output", None), "source_nodes", None) or [])
    return nodes


def named_sources(nodes: list[Any]) -> list[Source]:
    """Name with its page, score and first words of each node, in the same order."""
    rows = []
    for source in nodes:
        metadata = source.node.metadata
        name = metadata.get("file_name") or metadata.get("title") or source.node.node_id
        if page := metadata.get("page_label"):
            several = "–" in str(page)
            where = say("pages {page}", page=page) if several else say("page {page}", page=page)
            name = f"{name}, {where}"
        excerpt = whole_characters(" ".join(source.node.get_content().split()))
        cut = excerpt[:_EXCERPT] + ("…" if len(excerpt) > _EXCERPT else "")
        rows.append(Source(whole_characters(str(name)), source.score, cut))
    return rows
