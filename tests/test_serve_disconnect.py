"""What a reader that goes away, or reads slowly, does to the model behind the server."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest
from llama_index.core.chat_engine import SimpleChatEngine

import nbkit
from nbkit.models.providers import SimulatedOpenAI
from nbkit.streaming.backpressure import pieces
from nbkit.streaming.errors import StreamBroken
from nbkit.web.server import Server
from tests.served import Scripted, answer_to, asking, text_of
from tests.simulated import simulated, wait_for

# Slow enough to see one token too many, fast enough that no test waits long.
SLOW = {"ttft": 0.2, "tokens_per_second": 25, "jitter": 0}
ASKED = {"query": {"question": "What can you do?"}, "chat": {"message": "What can you do?"}}


def _talking(llm: SimulatedOpenAI) -> Scripted:
    """Make an engine that asks the model, over the real client, without retrieval."""

    async def ask(question: str) -> AsyncIterator[str]:
        async for response in await llm.astream_complete(question):
            yield response.delta or ""

    return Scripted(ask)


def _serve(llm: SimulatedOpenAI) -> Server:
    return nbkit.serve(_talking(llm), chat=lambda: SimpleChatEngine.from_defaults(llm=llm))


def _last(llm: SimulatedOpenAI) -> dict[str, Any]:
    rows = llm.simulator.requests(llm.model)
    return rows[-1] if rows else {"status": None, "tokens_sent": 0}


@pytest.mark.parametrize("path", ["query", "chat"])
def test_a_reader_that_goes_stops_the_model(path: str) -> None:
    """The connection closed, the model sends at most one token more, and the place is free."""
    llm = simulated(**SLOW)
    with _serve(llm) as server:
        with asking(server, path, **ASKED[path]) as reply:
            for _ in range(4):
                reply.until("token")
            sent = _last(llm)["tokens_sent"]
        wait_for(lambda: _last(llm)["status"] == "cancelled" and server.streaming == 0)
        assert _last(llm)["tokens_sent"] - sent <= 1


@pytest.mark.parametrize("path", ["query", "chat"])
def test_a_reader_that_goes_before_the_first_token_stops_the_model(path: str) -> None:
    """Going away while the model still thinks ends the request, before it has written anything."""
    llm = simulated(ttft=5, jitter=0)
    with _serve(llm) as server:
        with asking(server, path, **ASKED[path]):
            wait_for(lambda: _last(llm)["status"] == "streaming")
        wait_for(lambda: _last(llm)["status"] == "cancelled" and server.streaming == 0)
        assert _last(llm)["tokens_sent"] == 0


def test_a_reader_that_goes_during_retrieval_asks_no_model() -> None:
    """Going away before LlamaIndex has answered cancels it there."""
    fate = []

    class Searching(Scripted):
        async def _aquery(self, query_bundle: Any) -> Any:
            try:
                await asyncio.sleep(30)
            except asyncio.CancelledError:
                fate.append("cancelled")
                raise

    async def nothing(_question: str) -> AsyncIterator[str]:
        yield "nothing"

    with nbkit.serve(Searching(nothing)) as server:
        with asking(server, question="x"):
            wait_for(lambda: server.streaming == 1)
        wait_for(lambda: server.streaming == 0)
    assert fate == ["cancelled"]


def test_a_chat_that_was_left_remembers_what_was_seen() -> None:
    """The next message of the session finds the partial answer in its memory, marked."""
    llm = simulated(**SLOW, seed=9)  # a model of its own, since its speed is changed
    engines = []

    def make() -> SimpleChatEngine:
        engines.append(SimpleChatEngine.from_defaults(llm=llm))
        return engines[-1]

    with nbkit.serve(chat=make) as server:
        with asking(server, "chat", message="What can you do?") as reply:
            name = reply.response.headers["x-session"]
            for _ in range(3):
                reply.until("token")
        llm.simulator.set(llm.model, speed=0)
        # At once: the server waits for the turn before to settle.
        events = answer_to(server, "chat", message="And then?", session=name)
    assert events[-1]["event"] == "done"
    said = [(message.role.value, message.content or "") for message in engines[0].chat_history]
    assert [role for role, _ in said] == ["user", "assistant"] * 2
    assert said[1][1].endswith("[interrupted]")
    assert said[3][1] == text_of(events)


@pytest.mark.process
def test_a_slow_reader_holds_the_model_up() -> None:
    """What nobody reads is not read from the model either; once it is read, the rest follows."""
    yielded = 0

    async def flood(_question: str) -> AsyncIterator[str]:
        nonlocal yielded
        for _ in range(200_000):
            yielded += 1
            yield "a word and a word and a word and a word and a word "
            await asyncio.sleep(0)

    def settled() -> bool:
        before = yielded
        time.sleep(0.1)
        return before == yielded > 0

    with nbkit.serve(Scripted(flood)) as server, socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.connect((server.host, server.port))
        body = json.dumps({"question": "x"})
        reader.sendall(
            f"POST /query HTTP/1.1\r\nHost: {server.host}:{server.port}\r\n"
            f"Authorization: Bearer {server.token}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        wait_for(settled, timeout=30)
        held = yielded
        assert held < 200_000
        for _ in range(2_000):
            reader.recv(4096)
        wait_for(lambda: yielded > held)


async def test_pieces_hold_back_the_source() -> None:
    """At most `most` characters wait, and one delta; what is taken makes room."""
    yielded = 0

    async def source() -> AsyncIterator[str]:
        nonlocal yielded
        for _ in range(100):
            yielded += 1
            yield "12345"

    async with aclosing(pieces(nbkit.stream(source()), 20)) as reading:
        assert await anext(reading) == ""
        await asyncio.sleep(0.05)
        assert yielded == 4
        assert await anext(reading) == "12345" * 4
        await asyncio.sleep(0.05)
        assert yielded == 8
        assert "".join([piece async for piece in reading]) == "12345" * 96


async def test_pieces_raise_what_the_stream_raises_after_the_last() -> None:
    """Nothing that arrived before an error is lost."""

    async def source() -> AsyncIterator[str]:
        yield "half"
        raise RuntimeError

    taken = []
    with pytest.raises(StreamBroken):
        async for piece in pieces(nbkit.stream(source()), 100):
            taken.append(piece)  # noqa: PERF401 - a comprehension would lose it at the error
    assert taken == ["", "half"]


@pytest.mark.parametrize("most", [1, 10_000])
async def test_pieces_left_early_stop_the_model(most: int) -> None:
    """Leaving ends the request at the model, also while the source is held back."""
    llm = simulated(**SLOW)
    stream = nbkit.stream(llm.astream_complete("What can you do?"))
    async with aclosing(pieces(stream, most)) as reading:
        async for piece in reading:
            if piece:
                break
        await asyncio.sleep(0.1)  # with room for one character, the pump waits for demand by now
    for _ in range(500):
        if _last(llm)["status"] != "streaming":
            break
        await asyncio.sleep(0.01)
    assert _last(llm)["status"] == "cancelled"
    assert stream.answer is not None
    assert stream.answer.stopped
