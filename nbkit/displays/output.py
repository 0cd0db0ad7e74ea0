"""Where streams are shown: a cell's output, or a terminal."""

import asyncio
import sys
from collections.abc import Sequence
from typing import Any

from nbkit.displays.final_output import Bundle
from nbkit.displays.live_widget import Hear, LiveWidget
from nbkit.loops.kernel import has_widgets, this_place

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
        self._steps = 0
        """How many lines of an agent's steps are written."""

    def add(self, index: int, chunk: str, **facts: Any) -> None:
        """Write a chunk at once."""
        if self._live:
            _write(chunk)

    def think(self, index: int, thought: str) -> None:
        """Nothing: thoughts are no part of the answer."""

    def tell(self, index: int, **facts: Any) -> None:
        """Write the steps as they end, and the caption when it is known."""
        rows = facts.get("steps", [])
        ended = [row["line"] for row in rows if row["state"] != "running"]
        if self._live:
            for line in ended[self._steps :]:
                _write(f"{line}\n")
            self._steps = max(self._steps, len(ended))
            if "caption" in facts:
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
