"""Half characters, as a model sends them that cuts an emoji in two.

A character outside the first 65,536 is two code units in UTF-16. JSON lets each stand alone
(U+D83D, say), and so do Python's strings; nothing that is encoded as UTF-8 does.
"""

from collections.abc import AsyncIterable, AsyncIterator

_REPLACEMENT = "\ufffd"


def whole_characters(text: str) -> str:
    """Give the text with halves that stand side by side joined, and lone ones replaced by U+FFFD.

    Every text that leaves the process goes through here: a half cannot be encoded.
    """
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


class Joining:
    """A stream's deltas with whole characters: a first half waits for the second one."""

    def __init__(self) -> None:
        self._half = ""

    def add(self, delta: str) -> str:
        """Give what can be shown now."""
        if not self._half and delta.isascii():
            return delta
        text, self._half = self._half + delta, ""
        if text and "\ud800" <= text[-1] <= "\udbff":
            text, self._half = text[:-1], text[-1]
        return whole_characters(text)

    def end(self) -> str:
        """Give what stands for a half whose other one never came."""
        half, self._half = self._half, ""
        return _REPLACEMENT if half else ""


async def joined(deltas: AsyncIterable[str]) -> AsyncIterator[str]:
    """Give a stream's deltas with whole characters; some may be empty."""
    joining = Joining()
    async for delta in deltas:
        yield joining.add(delta)
    yield joining.end()
