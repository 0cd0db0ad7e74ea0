"""Closing the HTTP connection at the bottom of a chain of generators.

Closing LlamaIndex's generators does not: the openai client's `Stream` sits in a reference cycle, so
the model goes on generating until the cycle collector happens to pass.
"""

import gc
from collections.abc import Iterator
from types import CellType, GeneratorType
from typing import Any


def close_connection(generator: Any) -> None:
    """Close every HTTP stream that `generator` is reading from, however deeply wrapped.

    Call it from the thread that reads, between two items. Where no stream is found the cycle
    collector is run instead, which takes longer.
    """
    streams = list(_http_streams(generator))
    for stream in streams:
        stream.close()
    if hasattr(generator, "close"):
        generator.close()
    if not streams:
        gc.collect()


def _http_streams(start: Any) -> Iterator[Any]:
    """Walk down the generators that feed `start` to the client's streams (openai's have both)."""
    seen: set[int] = set()
    waiting = [start]
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if isinstance(thing, GeneratorType | CellType):
            waiting.extend(gc.get_referents(thing))
        elif hasattr(type(thing), "close") and hasattr(thing, "response"):
            yield thing
