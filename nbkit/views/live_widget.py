"""The widget that shows text while it streams; it exists only until the answer settles."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anywidget
import traitlets

_STATIC = Path(__file__).parent / "static"
_FIRST_CHECKPOINT = 256


class LiveText(anywidget.AnyWidget):
    """Text that grows in the page by increments, so that bytes stay linear in its length.

    Increments travel as custom messages with an offset. A view is deaf until it is mounted and
    messages can be lost, so the whole text is also in the `checkpoint` trait, renewed each time it
    has doubled, and a view that sees a gap asks for all of it.
    """

    _esm = _STATIC / "live_text.js"
    _css = _STATIC / "live_text.css"

    checkpoint: "traitlets.Dict[str, Any]" = traitlets.Dict().tag(sync=True)
    sources: "traitlets.List[Any]" = traitlets.List().tag(sync=True)

    def __init__(self, on_stop: Callable[[], None]) -> None:
        super().__init__()
        self._on_stop = on_stop
        self._text: list[str] = []
        self._length = 0
        self._next_checkpoint = _FIRST_CHECKPOINT
        self._caption: dict[str, Any] = {}
        self.on_msg(self._hear)

    def grow(self, text: str, **caption: Any) -> None:
        """Append `text`; `caption` holds what the line below it shows (ttft, chunks, elapsed)."""
        start, self._length = self._length, self._length + len(text)
        self._text.append(text)
        self._caption = caption
        self.send({"type": "text", "from": start, "to": self._length, "text": text, **caption})
        if self._length >= self._next_checkpoint:
            self._next_checkpoint = 2 * self._length
            self.checkpoint = self._whole()

    def close(self) -> None:
        """Take the widget, and the layout ipywidgets gave it, out of kernel and page."""
        layout = self.layout
        super().close()
        layout.close()

    def _whole(self) -> dict[str, Any]:
        return {"from": 0, "to": self._length, "text": "".join(self._text), **self._caption}

    def _hear(self, _widget: Any, message: Any, _buffers: Any) -> None:
        kind = message.get("type") if isinstance(message, dict) else None
        if kind == "stop":
            self._on_stop()
        elif kind == "resync":
            self.send({"type": "text", **self._whole()})
