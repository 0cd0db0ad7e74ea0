"""What was said in a chat, as static output that a turn adds to without sending all of it again."""

from collections.abc import Iterable
from typing import Any

from nbkit.displays.final_output import Bundle, settled_chat
from nbkit.language import say
from nbkit.streaming.answer import Answer
from nbkit.wording import count

_PIECES = range(1, 9)
_NOTE = 0
_EMPTY = {"text/html": "", "text/plain": ""}


class Transcript:
    """The turns of a chat in a cell's output.

    The cell has often ended when a turn does, and then its outputs can be changed, but none added.
    So there are nine from the start, empty: one for what the model has forgotten, the others for
    a turn each. When they are full, the first of them takes all turns.
    """

    def __init__(self, key: str) -> None:
        from IPython.display import display

        self._mark = f'data-nbkit="{key}-turns"'
        self._ended = self._forgotten = 0
        self._turns: dict[int, list[tuple[str, Answer]]] = {piece: [] for piece in _PIECES}
        self._news: set[int] = set()
        self._slots: list[Any] = [
            display(self._bundle(piece), raw=True, display_id=True)  # type: ignore[no-untyped-call]
            for piece in (_NOTE, *_PIECES)
        ]

    def add(self, message: str, answer: Answer, *, ended: int, forgotten: int) -> None:
        """Show a turn, the `ended`-th of the chat; `forgotten` messages are lost to the model."""
        piece = next((piece for piece in _PIECES if not self._turns[piece]), None)
        changed = {piece} if piece else set(_PIECES)
        if piece is None:
            every = [turn for turns in self._turns.values() for turn in turns]
            piece = _PIECES[0]
            self._turns = {**{piece: [] for piece in _PIECES}, piece: every}
        self._turns[piece].append((message, answer))
        if forgotten != self._forgotten:
            changed.add(_NOTE)
        self._ended, self._forgotten = ended, forgotten
        self._send(changed)

    def clear(self, *, ended: int) -> None:
        """Show none of the turns so far any more."""
        self._ended, self._forgotten = ended, 0
        self._turns = {piece: [] for piece in _PIECES}
        self._send({_NOTE, *_PIECES})

    def repeat(self) -> None:
        """Send what is new again, in the cell that runs now: nbclient reads no other's output."""
        self._send(self._news)
        self._news = set()

    def _send(self, pieces: Iterable[int]) -> None:
        """Write pieces into the notebook: the one that takes all turns before the emptied ones."""
        for piece in sorted(pieces):
            self._slots[piece].update(self._bundle(piece), raw=True)
        self._news.update(pieces)

    def _bundle(self, piece: int) -> Bundle:
        """A piece as output; the page reads in it how many turns have ended."""
        lost = count(self._forgotten, "message")
        note = say(
            "The model no longer sees the first {lost} of this conversation: its memory has no "
            "room for more.",
            lost=lost,
        )
        said = note if piece == _NOTE and self._forgotten else None
        turns = self._turns.get(piece, [])
        bundle = settled_chat(turns, said) if turns or said else _EMPTY
        mark = f'{self._mark} data-turns="{self._ended}"'
        return {**bundle, "text/html": f"<div {mark}>{bundle['text/html']}</div>"}
