"""The base class of every error that nbkit raises."""

from typing import Any

from nbkit.wording import advised, whole_characters


class NbkitError(Exception):
    """An error that the user can fix; the message says what happened, then what to do.

    A notebook shows only this message, without a traceback through the library.
    """

    advice: str | None = None
    """What to do; `None` if the message is not divided into two parts."""

    def __init__(self, happened: str = "", advice: str | None = None) -> None:
        # A message may quote a server, and text that cannot be encoded could not be shown.
        message = happened if advice is None else advised(happened, advice)
        super().__init__(whole_characters(message))
        self.advice = advice

    @property
    def happened(self) -> str:
        """The message without the advice."""
        whole = str(self)
        return whole if self.advice is None else whole.removesuffix(self.advice).rstrip(" —")

    def _render_traceback_(self, *_: Any, **__: Any) -> list[str]:
        return [f"\x1b[31m{type(self).__name__}\x1b[0m: {self}"]


class ConnectError(NbkitError):
    """A model could not be reached or set up."""
