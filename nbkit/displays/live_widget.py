"""The widget that shows streams while they run; it exists only until they settle."""

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from nbkit.displays.live_cell import LiveCell

_STATIC = Path(__file__).parent / "static"
_FIRST_CHECKPOINT = 128
_RELOADED = "The page was loaded again meanwhile: run the cell again to keep an answer in the file."
Hear = Callable[[dict[str, Any]], None]
"""Takes a message of the page, on the event loop: its type, and what belongs to it."""
_REST = 4
"""A frame is followed by a rest of at least so many times what it cost the kernel."""


def script(*names: str) -> str:
    """JavaScript of a widget: files of `static`, one after the other, as one module."""
    return "\n".join((_STATIC / name).read_text("utf-8") for name in names)


class LiveWidget(anywidget.AnyWidget):
    """Streams in the page, brought up to date by one message a frame for all of them.

    A view gets nothing until it is mounted and messages can be lost, so everything is also in the
    `checkpoint` trait, renewed each time the bytes sent have doubled, and a view that sees a gap
    asks for all of it.
    """

    _esm = script("stream_cell.js", "grid.js")
    _css = _STATIC / "live.css"

    checkpoint: "traitlets.Dict[str, Any]" = traitlets.Dict().tag(sync=True)
    race = traitlets.Bool(False).tag(sync=True)

    def __init__(self, labels: Sequence[str], hear: Hear, *, race: bool = False) -> None:
        self.cells = [LiveCell(number, label) for number, label in enumerate(labels)]
        self._began = time.perf_counter()
        super().__init__(race=race, checkpoint=self._whole())
        self._hear_page = hear
        self._loop = asyncio.get_running_loop()
        # One stream flows at the pace of a film; many share a slower clock, for what a frame
        # costs is the message and not what it carries.
        self._frame = 1 / 25 if len(labels) <= 1 else 1 / 12
        self._stale: dict[int, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._sent, self._next_checkpoint = 0, _FIRST_CHECKPOINT
        self._mounted = 0
        self.on_msg(self._hear)

    def add(self, index: int, chunk: str, **facts: Any) -> None:
        """Show a chunk, and facts that came with it, now or with its neighbours a frame later."""
        self.cells[index].add(chunk)
        self.cells[index].tell(**facts)
        self._touch(index)

    def tell(self, index: int, **facts: Any) -> None:
        """Show facts about a stream now, or in the next frame."""
        self.cells[index].tell(**facts)
        self._touch(index)

    def make_way(self) -> None:
        """Close for static output; stay where a page was loaded again, which cannot replace it."""
        if self._mounted <= 1:
            self.close()
            return
        for index in range(len(self.cells)):
            self.tell(index, note=_RELOADED)

    def close(self) -> None:
        """Take the widget, and the layout ipywidgets gave it, out of kernel and page."""
        if self._timer is not None:
            self._timer.cancel()
        layout = self.layout
        super().close()
        layout.close()

    def _touch(self, index: int) -> None:
        self._stale[index] = None
        if self._timer is None:
            wait = self._due - time.perf_counter()
            if wait <= 0:
                self._paint()
            else:
                self._timer = self._loop.call_later(wait, self._paint)

    def _paint(self) -> None:
        self._timer = None
        begins = time.perf_counter()
        updates = [self.cells[index].update() for index in self._stale]
        self._stale.clear()
        self.send({"t": self._clock(), "cells": updates})
        self._sent += sum(len(update[2]) + len(update[4]) for update in updates)
        if self._sent >= self._next_checkpoint:
            self._next_checkpoint = 2 * self._sent
            self.checkpoint = self._whole()
        now = time.perf_counter()
        self._due = begins + max(self._frame, _REST * (now - begins))

    def _clock(self) -> float:
        return round(time.perf_counter() - self._began, 2)

    def _whole(self) -> dict[str, Any]:
        return {"t": self._clock(), "cells": [cell.whole() for cell in self.cells]}

    def _hear(self, _widget: Any, message: Any, _buffers: Any) -> None:
        """Take a message of the page; some front ends deliver it in another thread."""
        if not isinstance(message, dict):
            return
        if message.get("type") in ("mount", "resync"):
            self._mounted += message["type"] == "mount"
            self._loop.call_soon_threadsafe(lambda: self.send(self._whole()))
        else:
            self._loop.call_soon_threadsafe(self._hear_page, message)


class ChatWidget(LiveWidget):
    """The running turn of a chat, and the box to say something; each turn is a cell of its own."""

    _esm = script("stream_cell.js", "chat.js")

    def begin(self, message: str) -> int:
        """Show a new turn; returns its index."""
        index = len(self.cells)
        self.cells.append(LiveCell(index, message))
        self.tell(index, label=message, began=self._clock())
        return index

    def notice(self, text: str) -> None:
        """Say something about the chat itself, above the box."""
        self.send({"notice": text})

    def _whole(self) -> dict[str, Any]:
        return {**super()._whole(), "cells": [cell.whole() for cell in self.cells[-1:]]}
