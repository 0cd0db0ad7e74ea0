"""Where streams are shown: a cell's output, or a terminal."""

import asyncio
import sys
from collections.abc import Sequence
from typing import Any, Protocol

from nbkit.displays.final_output import Bundle, caption, source_rows
from nbkit.displays.live_widget import Hear, LiveWidget
from nbkit.loops.kernel import has_widgets, kernel_shell, this_place
from nbkit.streaming.answer import Answer
from nbkit.streaming.errors import StreamError
from nbkit.streaming.stream import TokenStream


class Screen(Protocol):
    """What a view needs of the place where it shows its streams, identified by their index."""

    def add(self, index: int, chunk: str, **facts: Any) -> None:
        """Show a chunk of one stream, and facts that came with it."""

    def tell(self, index: int, **facts: Any) -> None:
        """Show facts about one stream."""

    def settle(self, bundle: Bundle) -> None:
        """Leave static output in place of what was live."""

    def repeat(self) -> None:
        """Make sure that the cell which waited has the static output."""


class CellOutput:
    """A cell's output: a live widget, replaced by static output when its streams settle."""

    def __init__(self, labels: Sequence[str], hear: Hear, *, race: bool = False) -> None:
        from IPython.display import display

        self._place = this_place()
        self._settled: Bundle = {}
        self._live = LiveWidget(labels, hear, race=race)
        self._slot: Any = display(self._live, display_id=True)  # type: ignore[no-untyped-call]

    def add(self, index: int, chunk: str, **facts: Any) -> None:
        """Show a chunk now, or in the next frame."""
        self._live.add(index, chunk, **facts)

    def tell(self, index: int, **facts: Any) -> None:
        """Show facts now, or in the next frame."""
        self._live.tell(index, **facts)

    def settle(self, bundle: Bundle) -> None:
        """Replace the widget by output that needs no kernel."""
        html = f'<div data-nbkit="{self._live.key}">{bundle["text/html"]}</div>'
        self._settled = {**bundle, "text/html": html}
        self._slot.update(self._settled, raw=True)
        self._live.settle(bundle["text/plain"])
        if not self._live.is_seen:
            _unseen.add(self)

    def repeat(self) -> None:
        """Send it again if a later cell runs: nbclient reads the running cell's output only."""
        _unseen.discard(self)
        if this_place() != self._place:
            self._slot.update(self._settled, raw=True)


_unseen: set[CellOutput] = set()
"""Settled, and no page shows them: what reads the notebook is no browser, perhaps."""


def repeat_unseen() -> None:
    """Send what nobody has seen again, as output of the cell that runs now."""
    for output in list(_unseen):
        output.repeat()


class Terminal:
    """Standard output: one stream as it arrives, several each when it has ended."""

    def __init__(self, labels: Sequence[str]) -> None:
        self._live = len(labels) == 1

    def add(self, index: int, chunk: str, **facts: Any) -> None:
        """Write a chunk at once."""
        if self._live:
            _write(chunk)

    def tell(self, index: int, **facts: Any) -> None:
        """Write the caption, when it is known."""
        if self._live and "caption" in facts:
            _write(f"\n{facts['caption']}\n")

    def settle(self, bundle: Bundle) -> None:
        """Write what has not been written yet."""
        if not self._live:
            _write(f"{bundle['text/plain']}\n")

    def repeat(self) -> None:
        """Nothing: it is on the screen."""


def _write(text: str) -> None:
    """Write to standard output, with `?` for what its encoding (a Windows console's) cannot say."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
    sys.stdout.flush()


def open_screen(labels: Sequence[str], hear: Hear, *, race: bool = False) -> Screen:
    """Return the place where this process can show streams."""
    in_cell = kernel_shell() is not None and has_widgets()
    return CellOutput(labels, hear, race=race) if in_cell else Terminal(labels)


async def follow(tokens: TokenStream, screen: Screen, index: int) -> Answer | None:
    """Show one stream to its end; returns its answer, `None` only if it could not settle."""
    trace = tokens.trace

    def hear(chunk: str) -> None:
        first = trace.chunks == 1
        facts = {"state": "streaming", "ttft": trace.ttft, "model": trace.model} if first else {}
        screen.add(index, chunk, **facts)

    async def announce() -> None:
        """Show the sources as soon as they are known: they fill the wait for the first token."""
        await tokens.opened.wait()
        if tokens.sources:
            screen.tell(index, sources=source_rows(tokens.sources))

    announcing = asyncio.create_task(announce())
    try:
        await tokens.follow(hear)
    except StreamError:
        pass  # in the answer: shown here, raised for whoever awaits the view
    finally:
        announcing.cancel()
        if tokens.answer is not None:
            took = trace.end_to_end
            line = caption(tokens.answer)
            screen.tell(index, state=tokens.answer.state, caption=line, took=took)
    return tokens.answer
