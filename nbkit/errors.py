"""The one base class of every error nbkit raises."""

from typing import Any

from nbkit.wording import whole_characters


class NbkitError(Exception):
    """Something the reader can put right; the message says what happened, then what to do.

    In a notebook it is shown as that message alone, without frames from inside the library.
    """

    advice: str | None = None
    """What to do; `None` where it is not told apart from the message."""

    def __init__(self, happened: str = "", advice: str | None = None) -> None:
        # A message may quote a server; one that cannot be encoded could not be shown.
        message = whole_characters(happened if advice is None else f"{happened} — {advice}")
        super().__init__(message)
        self.advice = advice

    @property
    def happened(self) -> str:
        """The message without the advice."""
        whole = str(self)
        return whole if self.advice is None else whole.removesuffix(f" — {self.advice}")

    def _render_traceback_(self, *_: Any, **__: Any) -> list[str]:
        return [f"\x1b[31m{type(self).__name__}\x1b[0m: {self}"]


class ConnectError(NbkitError):
    """A model could not be reached or set up."""
