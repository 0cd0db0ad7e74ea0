"""Text as people read it: counts, plurals, names, and characters that arrive in two halves.

A half is one of the two UTF-16 code units (surrogates) of a character such as an emoji. JSON and
Python strings may hold one half alone; UTF-8 cannot.
"""

import re
import unicodedata
from collections.abc import AsyncIterable, AsyncIterator, Iterable

from nbkit.language import counted, say, say_number


def count(number: int, noun: str) -> str:
    """A number with its noun: "1 chunk", "2 chunks"; in the reader's language."""
    return say_number(*counted(noun), number)


def some(names: list[str], most: int) -> str:
    """The first of many names, and how many more there are: "a, b and 7 more"."""
    first, more = listed(names[:most]), len(names) - most
    return say("{first} and {more} more", first=first, more=more) if more > 0 else first


def listed(names: Iterable[object]) -> str:
    """Names one after the other: "a, b"."""
    return say(", ").join(map(str, names))


def width(text: str) -> int:
    """The width of a text in Latin characters; a Chinese character counts as two."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def advised(happened: str, advice: str) -> str:
    """A message of an error: what happened, then what to do."""
    return f"{happened}{say(' — ')}{advice}"


SIMULATED = "simulated-"
"""How the names of simulated models begin."""


def is_simulated(model: str | None) -> bool:
    """Whether this is the name of a simulated model."""
    return (model or "").startswith(SIMULATED)


def whole_characters(text: str) -> str:
    """The text with adjacent halves joined and single halves replaced by U+FFFD.

    Every text that leaves the process goes through here, because a half cannot be encoded.
    """
    try:
        text.encode()  # fast, and fails only for halves
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


class CharacterJoiner:
    """Joins characters that a stream split: a first half is held until the second arrives."""

    def __init__(self) -> None:
        self._half = ""

    def add(self, delta: str) -> str:
        """The text that can be shown now, after this delta."""
        text, self._half = self._half + delta, ""
        if "\ud800" <= text[-1:] <= "\udbff":
            text, self._half = text[:-1], text[-1]
        return whole_characters(text)

    def end(self) -> str:
        """U+FFFD if a half is still held at the end of the stream, otherwise nothing."""
        return "\ufffd" if self._half else ""


async def joined(deltas: AsyncIterable[str]) -> AsyncIterator[str]:
    """The deltas of a stream, in whole characters; some may be empty.

    Those of a class of their own, such as thoughts, are left as they are.
    """
    joiner = CharacterJoiner()
    async for delta in deltas:
        yield joiner.add(delta) if type(delta) is str else delta
    yield joiner.end()


_FILE = re.compile(r"\.(?:gguf|ggml|bin|safetensors|mlx|onnx)$", re.IGNORECASE)
_PATH = re.compile(r"^(?:[/~.\\]|[A-Za-z]:[/\\])|\\")


def shown_name(model: str) -> str:
    """A model's name to show: of a file path only the stem; "Qwen/Qwen3-8B" is not a path."""
    if not (_PATH.search(model) or _FILE.search(model)):
        return model
    last = re.split(r"[/\\]", model.rstrip("/\\"))[-1]
    return _FILE.sub("", last) or model


def shown_address(url: str) -> str:
    """A URL without the user name and password that may be in it."""
    return re.sub(r"(?<=//)[^/?#]*@", "", url)
