"""The one base class of every error nbkit raises."""

from types import TracebackType

from nbkit.surrogates import whole_characters


class NbkitError(Exception):
    """Something the reader can put right; the message says what happened, then what to do.

    In a notebook it is shown as that message alone, without frames from inside the library.
    """

    def __init__(self, *args: object) -> None:
        # A message may quote a server; one that cannot be encoded could not be shown.
        super().__init__(*(whole_characters(a) if isinstance(a, str) else a for a in args))

    def _render_traceback_(
        self,
        etype: type[BaseException] | None = None,
        value: BaseException | None = None,
        traceback: TracebackType | None = None,
        tb_offset: int | None = None,
    ) -> list[str]:
        return [f"\x1b[31m{type(self).__name__}\x1b[0m: {self}"]
