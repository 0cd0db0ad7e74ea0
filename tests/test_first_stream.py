"""The first answers of a server tell whether it streams; short or fast ones prove nothing."""

import asyncio
import json
import time
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from nbkit import connect
from nbkit.models import first_stream
from tests.model_servers import Serve, asay, say
from tests.simulated import simulated
from tests.wire import WORDS, Scripted, Wire, answer, beside, chunk, serving

YES, NO = "streams='yes'", "streams='no, the whole answer came at once'"
OPEN = "streams='not checked yet'"
TEXT = "".join(WORDS)


class Buffering(Wire):
    """Waits, as a proxy that collects, then sends all: in one write, or each `gap` apart."""

    def __init__(self, *, in_one: bool, gap: float = 0.0, wait: float = 0.15) -> None:
        super().__init__(gap)
        self.in_one, self.wait = in_one, wait

    def _events(self) -> list[bytes]:
        return [b"".join(super()._events())] if self.in_one else super()._events()

    async def _stream(self, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(self.wait)
        await super()._stream(writer)


def client(base_url: str) -> Any:
    """Connect without a question to the server."""
    return connect(base_url, model="m", context_window=9_000)


async def ask(llm: Any, kind: str) -> str:
    """Ask for one streamed answer, blocking (in a thread) or async."""
    return await asyncio.to_thread(say, llm) if kind == "blocking" else await asay(llm)


@pytest.fixture
def no_alarm() -> Iterator[None]:
    """Turn every warning of ours into an error, but not those of other tests' garbage."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        yield


@pytest.fixture
def short_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a burst count after a shorter wait, so that the tests are short."""
    monkeypatch.setattr(first_stream, "_LONG_WAIT", 0.1)


both = pytest.mark.parametrize("kind", ["blocking", "async"])


@both
@pytest.mark.usefixtures("no_alarm")
async def test_a_server_that_streams(kind: str) -> None:
    """After the first answer the repr says that the server streams."""
    async with serving(Wire(0.004)) as wire:
        llm = client(wire.base_url)
        assert OPEN in repr(llm)
        assert await ask(llm, kind) == TEXT
        assert YES in repr(llm)
        assert len(wire.bodies) == 1


@both
@pytest.mark.usefixtures("short_wait")
async def test_a_proxy_that_buffers(kind: str) -> None:
    """It is told in a warning with the address, and in the repr; once, however many answers."""
    async with serving(Buffering(in_one=True, wait=0.3)) as wire:
        llm = client(wire.base_url)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            # On a busy machine an answer may be too slow to be judged.
            for _ in range(20):
                assert await ask(llm, kind) == TEXT
                if NO in repr(llm):
                    break
            await ask(llm, kind)
        assert NO in repr(llm)
        (told,) = [str(each.message) for each in caught]
        assert f"{wire.base_url} does not stream" in told
        assert "proxy that buffers" in told


@pytest.mark.usefixtures("no_alarm", "short_wait")
async def test_a_slow_reader_does_not_make_it_stream() -> None:
    """A burst that is read slowly is not taken for a stream."""
    async with serving(Buffering(in_one=True)) as wire:
        llm = client(wire.base_url)

        def read() -> None:
            for _ in llm.stream_complete("Hi"):
                time.sleep(0.005)

        await asyncio.to_thread(read)
        assert YES not in repr(llm)


@both
async def test_a_server_that_ignores_stream(kind: str) -> None:
    """A JSON document is certain, however short and fast it is."""
    body = json.dumps(answer({"role": "assistant", "content": "Hi"})).encode()
    async with serving(Scripted(body, kind="application/json")) as wire:
        llm = client(wire.base_url)
        with pytest.warns(UserWarning, match="it ignores `stream`"):
            assert await ask(llm, kind) == "Hi"
        assert NO in repr(llm)


@pytest.mark.usefixtures("short_wait")
async def test_a_long_answer_in_one_event() -> None:
    """One event with a whole page is no stream; one with a line proves nothing."""
    for text, told in ((TEXT * 5, NO), (TEXT, OPEN)):
        wire = Buffering(in_one=True)
        wire.chunks = [chunk({"content": text}), chunk({}, "stop")]
        async with serving(wire):
            llm = client(wire.base_url)
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                await asay(llm)
                await asay(llm)
            assert told in repr(llm)
            assert len(caught) == (told == NO)


@pytest.mark.usefixtures("short_wait")
@both
async def test_a_later_answer_that_streams_counts(kind: str) -> None:
    """When the proxy no longer buffers, the repr says so."""
    async with serving(Buffering(in_one=True)) as wire:
        llm = client(wire.base_url)
        await ask(llm, kind)
        wire.in_one, wire.gap = False, 0.004
        await ask(llm, kind)
        assert YES in repr(llm)


# --- no false alarm


@both
@pytest.mark.usefixtures("no_alarm")
async def test_a_short_answer_proves_nothing(serve: Serve, kind: str) -> None:
    """Two chunks that arrive together are no sign."""
    llm = connect(serve().base_url)
    assert await ask(llm, kind) == "Hello"
    assert OPEN in repr(llm)


@pytest.mark.usefixtures("no_alarm")
async def test_fast_servers_are_not_accused() -> None:
    """One with no delay at all, and one that thinks long and then writes 1,000 chunks a second."""
    for wire in (Wire(0), Buffering(in_one=False, gap=0.0008, wait=1.2)):
        async with serving(wire):
            llm = client(wire.base_url)
            assert await asay(llm) == TEXT
            assert "not sure" not in repr(llm)


@pytest.mark.usefixtures("no_alarm", "short_wait")
async def test_a_queue_is_not_a_buffer() -> None:
    """Among other requests a long wait proves nothing: a server may answer them in turn."""
    async with serving(Buffering(in_one=True)) as wire:
        llm = client(wire.base_url)
        assert await asyncio.gather(*[asay(llm) for _ in range(5)]) == [TEXT] * 5
        assert OPEN in repr(llm)


@both
@pytest.mark.usefixtures("no_alarm")
async def test_the_simulated_model_without_delay(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At speed=0 it is not accused, by its address or by its name."""
    ours = simulated(speed=0)
    monkeypatch.setenv("NBKIT_API_KEY", ours.simulator.api_key)
    for llm in (connect(ours.simulator.base_url, model=ours.model), ours):
        for _ in range(5):
            await ask(llm, kind)
        assert NO not in repr(llm)


@pytest.mark.process
@pytest.mark.usefixtures("no_alarm", "short_wait")
async def test_our_own_delay_is_not_the_servers() -> None:
    """What arrives while this process is busy is read at once; that is not the server's fault."""
    with beside(gap=0.005) as base_url:
        llms = [connect(base_url, model=f"m{n}", context_window=9_000) for n in range(3)]
        for llm, turns in zip(llms, (0.05, 0.0), strict=False):
            asking = asyncio.create_task(asay(llm))
            await asyncio.sleep(turns)
            time.sleep(0.4)  # noqa: ASYNC251 - a cell that computes
            assert await asking == TEXT
        for number, _ in enumerate(llms[2].stream_complete("Hi")):
            time.sleep(0.4 if number == 0 else 0)  # noqa: ASYNC251 - a reader that is slow
    assert not any("not sure" in repr(llm) or NO in repr(llm) for llm in llms)


async def test_a_stopped_answer_decides_nothing() -> None:
    """Breaking off the first answer leaves the question open, and the next one is watched."""
    async with serving(Wire(0.004)) as wire:
        llm = client(wire.base_url)
        answering = await llm.astream_complete("Hi")
        await anext(answering)
        await answering.aclose()
        assert OPEN in repr(llm)
        await asyncio.sleep(0)
        await asay(llm)
        assert YES in repr(llm)
