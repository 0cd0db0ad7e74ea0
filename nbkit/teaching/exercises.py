"""What the checks of the course's exercises share."""

import linecache
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from nbkit.language import say


@contextmanager
def attempt(wanted: str) -> Iterator[None]:
    """A block that runs a learner's code: an error becomes a printed verdict with the line.

    `wanted` says what the code should give, as in "return two things: `return text, count`"; it
    ends the verdict when the block cannot use what came back. Used by every exercise.
    """
    try:
        yield
    except Exception as error:  # noqa: BLE001 - whatever a learner writes gets a verdict
        print(_verdict(error, wanted))  # noqa: T201


def _verdict(error: Exception, wanted: str) -> str:
    said = f"{type(error).__name__}: {error}"
    # The first frame is this block, the second the check that uses it.
    _, check, *frames = traceback.extract_tb(error.__traceback__)
    theirs = [frame for frame in frames if _is_a_cell(frame) and frame.filename != check.filename]
    line = ""
    if theirs:
        where, code = theirs[-1].lineno, theirs[-1].line
        line = say("\n  line {where} of your code: {code}\n ", where=where, code=code)
    if re.search(r"\bcoroutine\b", str(error)):
        return say(
            "✗ Not quite: {said}.{line} A coroutine is not its result. Hint: is an `await` "
            "missing, or `async def` where `def` is wanted? Please {wanted}.",
            said=said,
            line=line,
            wanted=wanted,
        )
    if isinstance(error, TimeoutError) and not theirs:
        return say("✗ Too slow: the check has stopped it. Please {wanted}.", wanted=wanted)
    if line:
        return say(
            "✗ Your code raised {said}{line} Hint: {wanted}.", said=said, line=line, wanted=wanted
        )
    if "await" in str(error):
        return say(
            "✗ Not quite: {said}. Hint: `async def` is wanted, not `def`. Please {wanted}.",
            said=said,
            wanted=wanted,
        )
    if "NoneType" in str(error):
        return say("✗ Not yet: nothing was returned. Please {wanted}.", wanted=wanted)
    return say(
        "✗ Not quite: the check cannot use what came back ({said}). Please {wanted}.",
        said=said,
        wanted=wanted,
    )


def _is_a_cell(frame: traceback.FrameSummary) -> bool:
    """Whether a line is of the notebook: its file is in IPython's memory, not on the disk."""
    entry = linecache.cache.get(frame.filename)
    return entry is not None and len(entry) == 4 and entry[1] is None
