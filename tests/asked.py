"""One answer of a scripted server, asked for in each of four ways."""

from typing import Any

import pytest

import nbkit
from nbkit import stream
from nbkit.streaming.answer import Answer
from tests.wire import Scripted, chunk, serving

HELLO = chunk({"content": "Hello"})
STOP = chunk({}, "stop")


async def ask(wire: Scripted, call: str) -> Answer:
    """Ask a server for one answer, in one of four ways."""
    async with serving(wire):
        llm: Any = nbkit.connect(wire.base_url, model="m", context_window=32_768)
        ways = {
            "async": lambda: llm.astream_complete("Hi"),
            "sync": lambda: llm.stream_complete("Hi"),
            "async whole": lambda: llm.acomplete("Hi"),
            "sync whole": lambda: llm.complete("Hi"),
        }
        way = ways[call]
        return await stream(way() if call.startswith("async") else way)


both = pytest.mark.parametrize("call", ["async", "sync"])
whole_too = pytest.mark.parametrize("call", ["async", "sync", "async whole", "sync whole"])
