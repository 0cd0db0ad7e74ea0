"""The widget that shows streams while they run, and who shows the answer after it.

| the widget is | who shows the answer | until |
|---|---|---|
| live | its views | the streams have settled |
| settled | its views; static output has been sent to take their place | every page that has the
  widget has said `replaced`: it has found that output, by `key` |
| kept | its views: a page does not get the output (inside an `Output`, loaded again, a second tab),
  or there is none (a closed tab) | its cell is run again, and no page shows a view any more |

Nothing else closes it, so no answer disappears.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import anywidget
import traitlets

from nbkit.displays.live_cell import LiveCell
from nbkit.language import say, script_words, to_say
from nbkit.loops.kernel import Place, this_place

_STATIC = Path(__file__).parent / "static"
_FIRST_CHECKPOINT = 128
_UNFINISHED = to_say("(An answer was streaming here: run the cell again to see it.)")
_open: "set[LiveWidget]" = set()
Hear = Callable[[dict[str, Any]], None]
"""Takes a message of the page, on the event loop: its type, and what belongs to it."""
_MESSAGES = 60
"""A second, for all widgets of a kernel together: Jupyter's server drops what is far too much."""
_REST = 4
"""A frame is followed by a rest of at least so many times what it cost the kernel."""


def code_of(*names: str) -> str:
    """Files of `static`, one after the other: a widget's JavaScript module, or its CSS.

    Each widget brings its own copy to the page, so indentation and `//` comments stay behind.
    """
    lines = "\n".join((_STATIC / name).read_text("utf-8") for name in names).split("\n")
    code = (line.strip() for line in lines)
    return "\n".join(line for line in code if line and not line.startswith("//"))


class _Page(NamedTuple):
    """What a page has said of a widget."""

    seen: bool
    """A view of it is mounted."""
    replaced: bool
    """The static output that takes its place is there."""


class LiveWidget(anywidget.AnyWidget):
    """Streams in the page, brought up to date by one message a frame for all of them.

    A view gets nothing until it is mounted and messages can be lost, so everything is also in the
    `checkpoint` trait, renewed each time the bytes sent have doubled, and a view that sees a gap
    asks for all of it.
    """

    _esm = code_of("agent_steps.js", "stream_cell.js", "grid.js")
    _css = code_of("live.css")

    checkpoint: "traitlets.Dict[str, Any]" = traitlets.Dict().tag(sync=True)
    key = traitlets.Unicode().tag(sync=True)
    """Names the static output that takes this widget's place: its `data-nbkit`."""
    settled = traitlets.Bool(False).tag(sync=True)
    race = traitlets.Bool(False).tag(sync=True)
    words: "traitlets.Dict[str, str]" = traitlets.Dict().tag(sync=True)
    """The texts of its buttons and captions in another language, by the English ones."""

    def __init__(self, labels: Sequence[str], hear: Hear, *, race: bool = False) -> None:
        self.cells = [LiveCell(number, label) for number, label in enumerate(labels)]
        self._began = time.perf_counter()
        key, words = secrets.token_urlsafe(9), script_words(self._esm)
        super().__init__(race=race, checkpoint=self._whole(), key=key, words=words)
        self._hear_page = hear
        self._loop = asyncio.get_running_loop()
        # One stream flows at the pace of a film; many share a slower clock, for what a frame
        # costs is the message and not what it carries.
        self._frame = 1 / 25 if len(labels) <= 1 else 1 / 12
        self._stale: dict[int, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._sent, self._next_checkpoint = 0, _FIRST_CHECKPOINT
        self._place = this_place()
        self._pages: dict[str, _Page] = {}
        self._run_again = False
        self.outlives_cell = False
        self._text = say(_UNFINISHED)
        _open.add(self)
        self.on_msg(self._hear)

    def add(self, index: int, chunk: str, **facts: Any) -> None:
        """Show a chunk, and facts that came with it, now or with its neighbours a frame later."""
        self.cells[index].add(chunk)
        self.cells[index].tell(**facts)
        self._touch(index)

    def think(self, index: int, thought: str) -> None:
        """Show a thought, now or with its neighbours a frame later."""
        self.cells[index].think(thought)
        self._touch(index)

    def tell(self, index: int, **facts: Any) -> None:
        """Show facts about a stream now, or in the next frame; the last ones always now."""
        self.cells[index].tell(**facts)
        if all(cell.ended for cell in self.cells):
            self._due = 0.0
        self._touch(index)

    @property
    def is_seen(self) -> bool:
        """Whether a page has it."""
        return bool(self._pages)

    @property
    def turn(self) -> float:
        """Seconds between two messages of this widget, if every live one sends as many."""
        return sum(not widget.settled for widget in _open) / _MESSAGES

    def make_way(self, text: str) -> None:
        """Let the page look for the static output that has been sent to take this place.

        `text` is what the widget shows where there are no widgets.
        """
        self._text = text
        self.settled = True
        self._end_if_done()

    def cell_runs_again(self) -> None:
        """Close as soon as no view shows the answer: the cell's output has just been cleared."""
        self._run_again = True
        self._end_if_done()

    def _end_if_done(self) -> None:
        pages = self._pages.values()
        replaced = bool(pages) and all(page.replaced for page in pages)
        unseen = self._run_again and not any(page.seen for page in pages)
        if self.settled and (replaced or unseen):
            self.close()

    def __repr__(self) -> str:
        return self._text

    def close(self) -> None:
        """Take the widget, and the layout ipywidgets gave it, out of kernel and page."""
        if self._timer is not None:
            self._timer.cancel()
        _open.discard(self)
        layout = self.layout
        super().close()
        layout.close()

    def _touch(self, index: int) -> None:
        self._stale[index] = None
        wait = self._due - time.perf_counter()
        if wait <= 0:
            self._paint()
        elif self._timer is None:
            self._timer = self._loop.call_later(wait, self._paint)

    def _paint(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        begins = time.perf_counter()
        updates = [self.cells[index].update() for index in self._stale]
        self._stale.clear()
        self._sent += sum(len(update[2]) + len(update[4]) for update in updates)
        if self._sent >= self._next_checkpoint:
            self._next_checkpoint = 2 * self._sent
            self.checkpoint = self._whole()  # brings its views up to date, too
        else:
            self.send({"t": self._clock(), "cells": updates})
        now = time.perf_counter()
        self._due = begins + max(self._frame, self.turn, _REST * (now - begins))

    def _clock(self) -> float:
        return round(time.perf_counter() - self._began, 2)

    def _whole(self) -> dict[str, Any]:
        return {"t": self._clock(), "cells": [cell.whole() for cell in self.cells]}

    def _hear(self, _widget: Any, message: Any, _buffers: Any) -> None:
        """Take a message of the page; some front ends deliver it in another thread."""
        if not isinstance(message, dict):
            return
        self._loop.call_soon_threadsafe(self._take, message)

    def _take(self, message: dict[str, Any]) -> None:
        match message:
            case {"type": "page", "page": str(name)}:
                self._pages[name] = _Page(bool(message.get("seen")), bool(message.get("replaced")))
                self._end_if_done()
            case {"type": "resync"}:
                self.send(self._whole())
            case _:
                self._hear_page(message)


def cell_ends(place: Place) -> None:
    """Tell the widgets of a cell that still stream that its run has ended."""
    for widget in _open:
        if widget._place == place and not widget.settled:
            widget.outlives_cell = True


def cell_runs(place: Place) -> None:
    """Tell the widgets of a cell's earlier runs that it is run again."""
    for widget in list(_open):
        if place.is_again(widget._place):
            widget.cell_runs_again()


class ChatWidget(LiveWidget):
    """The turns of a chat that the page does not show as static output yet, and the box."""

    _esm = code_of("agent_steps.js", "stream_cell.js", "chat.js")
    _first = 0
    """Index of the first turn that is not cleared."""

    def begin(self, message: str) -> int:
        """Show a new turn; returns its index."""
        index = len(self.cells)
        self.cells.append(LiveCell(index, message))
        self.tell(index, label=message, began=self._clock())
        return index

    def cell_runs_again(self) -> None:
        """End the chat, too: nobody can see it any more."""
        self._hear_page({"type": "end"})
        super().cell_runs_again()

    @property
    def finished(self) -> int:
        """How many turns have ended, the cleared ones too."""
        return sum(cell.ended for cell in self.cells)

    def clear(self) -> None:
        """Show none of the turns so far any more."""
        self._first = len(self.cells)
        self.send({"cleared": self._first})

    def notice(self, text: str) -> None:
        """Say something about the chat itself, above the box."""
        self.send({"notice": text})

    def _whole(self) -> dict[str, Any]:
        return {"t": self._clock(), "cells": [cell.whole() for cell in self.cells[self._first :]]}
