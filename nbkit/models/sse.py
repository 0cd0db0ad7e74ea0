"""A parser for server-sent events (SSE); the bytes may arrive in pieces of any size."""

import codecs
import io
from typing import NamedTuple


class Event(NamedTuple):
    """One event: its data, and its name if it has one."""

    data: str
    name: str = ""


class EventParser:
    """Finds the events in an event stream (WHATWG HTML, section 9.2.6).

    Comments, unknown fields and events without data (only `retry:` or `id:`) are ignored.
    """

    def __init__(self) -> None:
        utf8 = codecs.getincrementaldecoder("utf-8-sig")("replace")
        self._decoder = io.IncrementalNewlineDecoder(utf8, translate=True)
        self._rest = ""
        self._data: list[str] = []
        self._name = ""

    def feed(self, piece: bytes) -> list[Event]:
        """The events that these bytes complete."""
        *lines, self._rest = (self._rest + self._decoder.decode(piece)).split("\n")
        events = []
        for line in lines:
            field, _, value = line.partition(":")
            if field == "data":
                self._data.append(value.removeprefix(" "))
            elif field == "event":
                self._name = value.removeprefix(" ")
            elif not line:
                if self._data:
                    events.append(Event("\n".join(self._data), self._name))
                self._data, self._name = [], ""
        return events

    def end(self) -> list[Event]:
        """An unfinished last event: the standard drops it, but some servers send one."""
        return self.feed(b"\n\n")
