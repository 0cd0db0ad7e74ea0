"""Code that gives a text and blocks: called in a thread, in which Python hides how it ended."""

import inspect
import traceback
from collections.abc import Callable
from typing import Any, Self

from nbkit.errors import NbkitError
from nbkit.streaming.errors import StreamMisused


class SourceExited(NbkitError):
    """The code that gives the text ended without a result and without an `Exception`."""

    @classmethod
    def by(cls, how: str) -> Self:
        """Say what ended it."""
        return cls(
            f"The code that gives the text was ended by {how}",
            "let it return, or raise an Exception that says what is wrong.",
        )


def call(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a blocking function in a thread, where `SystemExit` would end the event loop instead.

    Raises `StreamMisused` for a function that needs the event loop.
    """
    try:
        return function(*arguments)
    except RuntimeError as error:
        if "no running event loop" not in str(error):
            raise
        _close_coroutines(error)
        raise StreamMisused(
            "A function without `async` is called in a thread, and this one needs the event loop",
            "write it with `async def`.",
        ) from error
    except SystemExit as error:
        raise SourceExited.by(type(error).__name__) from None


def _close_coroutines(error: BaseException) -> None:
    """Close the coroutines that the failed call never started: Python would warn of each."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        for value in frame.f_locals.values():
            if inspect.iscoroutine(value) and inspect.getcoroutinestate(value) == "CORO_CREATED":
                value.close()
