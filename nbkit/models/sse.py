"""Server-sent events out of bytes that arrive in any pieces."""

from collections.abc import Iterable
from typing import NamedTuple

_BOM = b"\xef\xbb\xbf"


class Event(NamedTuple):
    """One event: its data, and its name where it has one."""

    data: str
    name: str = ""


class EventParser:
    r"""Finds the events in an event stream (WHATWG HTML, section 9.2.6).

    Lines end in \n, \r or \r\n, comments and unknown fields are left out, and so are events
    without data (`retry:` or `id:` alone), which change nothing for somebody who never reconnects.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._begun = False
        self._after_return = False
        self._data: list[bytes] = []
        self._name = b""

    def feed(self, piece: bytes) -> list[Event]:
        """Take the next bytes; gives the events that are complete with them."""
        text = self._rest + piece
        if self._after_return and text:
            # The \r was taken for a whole line end; its \n is no second one.
            text = text.removeprefix(b"\n")
            self._after_return = False
        if not self._begun:
            if len(text) < len(_BOM) and _BOM.startswith(text):
                self._rest = text
                return []
            text = text.removeprefix(_BOM)
            self._begun = True
        lines = text.splitlines(keepends=True)
        self._rest = b""
        if lines and not lines[-1].endswith((b"\n", b"\r")):
            self._rest = lines.pop()
        elif lines:
            self._after_return = lines[-1].endswith(b"\r")
        return self._events(line.rstrip(b"\r\n") for line in lines)

    def end(self) -> list[Event]:
        """What the body ended in the middle of, if it did.

        The standard drops it; but some servers leave out the last empty line.
        """
        rest, self._rest = self._rest, b""
        return self._events((rest, b""))

    def _events(self, lines: Iterable[bytes]) -> list[Event]:
        events = []
        for line in lines:
            if line:
                self._field(line)
                continue
            if self._data:
                data = b"\n".join(self._data).decode("utf-8", "replace")
                events.append(Event(data, self._name.decode("utf-8", "replace")))
            self._data, self._name = [], b""
        return events

    def _field(self, line: bytes) -> None:
        field, _, value = line.partition(b":")
        if field == b"data":
            self._data.append(value.removeprefix(b" "))
        elif field == b"event":
            self._name = value.removeprefix(b" ")
