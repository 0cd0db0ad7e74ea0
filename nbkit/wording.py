"""Words and characters as people read them: counts, plurals, names, half characters.

Half a character is one of the two UTF-16 code units of an emoji, say: JSON and Python's strings let
it stand alone, UTF-8 does not.
"""

import re
from collections.abc import AsyncIterable, AsyncIterator


def count(number: int, noun: str) -> str:
    """Say how many, in English: "1 chunk", "2 chunks"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def whole_characters(text: str) -> str:
    """Join halves that stand side by side, and replace lone ones by U+FFFD.

    Every text that leaves the process goes through here: a half cannot be encoded.
    """
    try:
        text.encode()  # fails only for halves, and is quick
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


class CharacterJoiner:
    """Makes a stream's deltas whole characters: a first half waits for the second one."""

    def __init__(self) -> None:
        self._half = ""

    def add(self, delta: str) -> str:
        """Take a delta; returns what can be shown now."""
        text, self._half = self._half + delta, ""
        if "\ud800" <= text[-1:] <= "\udbff":
            text, self._half = text[:-1], text[-1]
        return whole_characters(text)

    def end(self) -> str:
        """Return what stands for a half whose other one never came, if there is one."""
        return "\ufffd" if self._half else ""


async def joined(deltas: AsyncIterable[str]) -> AsyncIterator[str]:
    """The deltas of a stream in whole characters; some may be empty."""
    joiner = CharacterJoiner()
    async for delta in deltas:
        yield joiner.add(delta)
    yield joiner.end()


_FILE = re.compile(r"\.(?:gguf|ggml|bin|safetensors|mlx|onnx)$", re.IGNORECASE)
_PATH = re.compile(r"^(?:[/~.\\]|[A-Za-z]:[/\\])|\\")


def shown_name(model: str) -> str:
    """A model's name as people know it: of a path, only the stem; "Qwen/Qwen3-8B" is a name."""
    if not (_PATH.search(model) or _FILE.search(model)):
        return model
    last = re.split(r"[/\\]", model.rstrip("/\\"))[-1]
    return _FILE.sub("", last) or model


def shown_address(url: str) -> str:
    """An address without the user name and password that may be in it."""
    return re.sub(r"(?<=//)[^/?#]*@", "", url)
