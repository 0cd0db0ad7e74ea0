"""Words and characters as people read them: counts, plurals, names, half characters.

A character outside the first 65,536 is two code units in UTF-16. JSON lets each stand alone
(U+D83D, say), and so do Python's strings; nothing that is encoded as UTF-8 does.
"""

import re
from collections.abc import AsyncIterable, AsyncIterator

_REPLACEMENT = "\ufffd"


def count(number: int, noun: str) -> str:
    """Say how many, in English: "1 chunk", "2 chunks"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


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


_FILE = re.compile(r"\.(?:gguf|ggml|bin|safetensors|mlx|onnx)$", re.IGNORECASE)
_PATH = re.compile(r"^(?:[/~.\\]|[A-Za-z]:[/\\])|\\")


def shown_name(model: str) -> str:
    """Give a model's name as people know it: of a path to a file or folder, only the stem.

    `owner/name`, as in "Qwen/Qwen3-8B", is a name and stays.
    """
    if not (_PATH.search(model) or _FILE.search(model)):
        return model
    last = re.split(r"[/\\]", model.rstrip("/\\"))[-1]
    return _FILE.sub("", last) or model


def shown_address(url: str) -> str:
    """Give an address without the user name and password that may be in it."""
    return re.sub(r"(?<=//)[^/?#]*@", "", url)
