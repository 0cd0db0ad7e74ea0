"""Where streams are shown: a cell's output, or a terminal."""

import asyncio
import sys
from collections.abc import Sequence
from typing import Any

from nbkit.displays.final_output import Bundle, caption, source_rows
from nbkit.displays.live_widget import Hear, LiveWidget
from nbkit.loops.kernel import has_widgets, this_place
from nbkit.streaming.answer import Answer
from nbkit.streaming.errors import StreamError
from nbkit.streaming.stream import TokenStream

_FEW = 0.1
"""Seconds that six live widgets share: with so few, none waits for the others."""


class CellOutput(LiveWidget):
    """A cell's output: a live widget, replaced by static output when its streams settle."""

    def __init__(self, labels: Sequence[str], hear: Hear, *, race: bool = False) -> None:
        from IPython.display import display

        super().__init__(labels, hear, race=race)
        self._bundle: Bundle = {}
        self._slot: Any = display(self, display_id=True)  # type: ignore[no-untyped-call]

    async def settle(self, bundle: Bundle) -> None:
        """Replace the widget by output that needs no kernel.

        JupyterLab takes milliseconds for each: of many that end together, all show their last
        token first.
        """
        html = f'<div data-nbkit="{self.key}">{bundle["text/html"]}</div>'
        self._bundle = {**bundle, "text/html": html}
        try:
            await asyncio.sleep(max(0.0, self.turn - _FEW))
        finally:
            self._slot.update(self._bundle, raw=True)
            self.make_way(bundle["text/plain"])
        if self.outlives_cell and not self.is_seen:
            _unseen.add(self)

    def repeat(self) -> None:
        """Send it again if a later cell runs: nbclient reads the running cell's output only."""
        _unseen.discard(self)
        if this_place() != self._place:
            self._slot.update(self._bundle, raw=True)


_unseen: set[CellOutput] = set()
"""Settled after their cells' runs, and in no page: what reads the notebook is no browser, perhaps,
and has not heard of it."""


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

    async def settle(self, bundle: Bundle) -> None:
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


def open_screen(labels: Sequence[str], hear: Hear, *, race: bool = False) -> CellOutput | Terminal:
    """Where this process can show streams."""
    return CellOutput(labels, hear, race=race) if has_widgets() else Terminal(labels)


async def follow(tokens: TokenStream, screen: LiveWidget | Terminal, index: int) -> Answer | None:
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
            settled = {"state": tokens.answer.state, "caption": caption(tokens.answer)}
            screen.tell(index, took=trace.end_to_end, **settled)
    return tokens.answer
