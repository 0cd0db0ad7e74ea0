"""LLMs from `connect` at work: engines, loops, cancelling, servers that go."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from typing import Any

import httpx
import openai
import pytest
from llama_index.core import SummaryIndex
from llama_index.core.llms import ChatMessage
from llama_index.core.schema import TextNode

from nbkit.models.http import UnreachableError
from nbkit.models.providers import SimulatedOpenAI
from tests.simulated import simulated, wait_for

# --- through LlamaIndex

NODES = [TextNode(text="# Price\n\nThe kettle costs 49 EUR.", metadata={"file_path": "price.md"})]


def test_sync_query(instant: SimulatedOpenAI) -> None:
    """A query engine gets its answer from the context."""
    engine = SummaryIndex(NODES).as_query_engine(llm=instant)
    assert "49 EUR" in str(engine.query("How much is the kettle?"))


def test_sync_streaming(instant: SimulatedOpenAI) -> None:
    """A streaming query gives the same, in several pieces."""
    engine = SummaryIndex(NODES).as_query_engine(llm=instant, streaming=True)
    pieces = [p for p in engine.query("How much is the kettle?").response_gen if p]  # type: ignore[union-attr]
    assert len(pieces) > 3
    assert "49 EUR" in "".join(pieces)


async def test_async_query_and_streaming(instant: SimulatedOpenAI) -> None:
    """The same without blocking."""
    index = SummaryIndex(NODES)
    plain = await index.as_query_engine(llm=instant).aquery("How much is the kettle?")
    assert "49 EUR" in str(plain)
    answer: Any = await index.as_query_engine(llm=instant, streaming=True).aquery("Price?")
    assert "49 EUR" in "".join([piece async for piece in answer.async_response_gen()])


@pytest.mark.parametrize("mode", ["context", "condense_plus_context", "condense_question"])
async def test_chat_engines(instant: SimulatedOpenAI, mode: Any) -> None:
    """Every chat mode over an index finds the context in its own prompt."""
    engine = SummaryIndex(NODES).as_chat_engine(chat_mode=mode, llm=instant)
    await engine.achat("How much is the kettle?")
    reply = await engine.achat("Sorry, how much does the kettle cost?")
    assert "49 EUR" in str(reply)


async def test_refine_over_small_windows() -> None:
    """When the context does not fit, refining finds the fact wherever it is."""
    llm = simulated(speed=0, context_window=2000)
    filler = [TextNode(text="Tea should be brewed at eighty degrees. " * 60) for _ in range(3)]
    engine = SummaryIndex([filler[0], *NODES, *filler[1:]]).as_query_engine(llm=llm)
    assert "49 EUR" in str(await engine.aquery("How much is the kettle?"))


async def test_usage_reaches_the_caller(instant: SimulatedOpenAI) -> None:
    """The last chunk of a stream carries the token counts."""
    async for part in await instant.astream_chat([ChatMessage(content="Hello")]):
        last = part
    assert last.additional_kwargs["completion_tokens"] > 10


# --- loops, cancelling, servers that go


def test_two_loops_do_not_double_requests(instant: SimulatedOpenAI) -> None:
    """Two asyncio.run() of five requests each are ten requests at the server."""

    async def five() -> None:
        await asyncio.gather(*(instant.acomplete(f"question {n}") for n in range(5)))

    asyncio.run(five())
    asyncio.run(five())
    rows = instant.simulator.requests(instant.model)
    assert [row["status"] for row in rows] == ["done"] * 10


def test_loops_in_threads_at_once(instant: SimulatedOpenAI) -> None:
    """Several loops may use one client at the same time."""
    texts: list[str] = []

    async def three() -> None:
        done = await asyncio.gather(*(instant.acomplete("hello") for _ in range(3)))
        texts.extend(answer.text for answer in done)

    threads = [threading.Thread(target=lambda: asyncio.run(three())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(texts) == 9
    assert len(set(texts)) == 1


@pytest.mark.process
def test_a_script_ends_silently() -> None:
    """Loops closed, left open or run twice leave no complaint about connections on stderr."""
    code = (
        "import asyncio\n"
        "from nbkit.models.http import async_client\n"
        "from nbkit.simulator import current\n"
        "url = current().base_url; client = async_client(url, '')\n"
        "async def ask(): assert (await client.get(url + '/models')).status_code == 401\n"
        "asyncio.run(ask()); asyncio.run(ask())\n"
        "for close in (True, False):\n"
        "    loop = asyncio.new_event_loop(); loop.run_until_complete(ask())\n"
        "    if close: loop.close()\n"
        "asyncio.run(ask())\n"
    )
    command = [sys.executable, "-W", "default::ResourceWarning", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "Unclosed" not in done.stderr
    assert "Traceback" not in done.stderr


async def test_cancelling_ends_generation() -> None:
    """Cancelling a task in mid-stream stops the server within one token, ten times of ten."""
    llm = simulated(ttft=0.02, tokens_per_second=50, jitter=0)
    llm.simulator.clear()

    async def read(seen: list[str], enough: asyncio.Event) -> None:
        async for part in await llm.astream_chat([ChatMessage(content="Hello")]):
            if part.delta:
                seen.append(part.delta)
            if len(seen) == 4:
                enough.set()

    counts = []
    for _ in range(10):
        seen: list[str] = []
        enough = asyncio.Event()
        task = asyncio.create_task(read(seen, enough))
        await enough.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        counts.append(len(seen))

    def ended() -> list[dict[str, Any]]:
        rows = llm.simulator.requests(llm.model)
        return [row for row in rows if row["status"] == "cancelled"]

    await asyncio.to_thread(wait_for, lambda: len(ended()) == 10)
    beyond = [row["tokens_sent"] - n for row, n in zip(ended(), counts, strict=True)]
    assert set(beyond) <= {0, 1}


async def test_a_lost_connection_is_not_a_timeout() -> None:
    """A connection closed without an answer is a connection error, not a timeout."""
    llm = simulated(speed=0, fault="refuse")
    with pytest.raises(openai.APIConnectionError) as caught:
        await llm.acomplete("hello")
    assert not isinstance(caught.value, openai.APITimeoutError)


async def test_a_cut_stream_is_a_transport_error() -> None:
    """A stream cut in the middle raises after the tokens that arrived."""
    llm = simulated(speed=0, fault="cut", fault_after=3)
    seen = []
    with pytest.raises(httpx.TransportError):
        async for part in await llm.astream_complete("hello"):
            if part.delta:
                seen.append(part.delta)  # noqa: PERF401
    assert len(seen) == 3


async def test_an_llm_whose_server_died_says_so() -> None:
    """After the server is killed the old LLM tells what to do, and connect gives a new one."""
    old = simulated(speed=0)
    old.complete("hello")
    os.kill(old.simulator.pid, signal.SIGKILL)
    wait_for(lambda: not old.simulator.alive)
    with pytest.raises(UnreachableError, match=r"nbkit\.connect\(\) again"):
        await old.acomplete("hello")
    with pytest.raises(UnreachableError, match=r"nbkit\.connect\(\) again"):
        old.complete("hello")
    new = simulated(speed=0)
    assert new is not old
    assert new.complete("hello").text


def test_importing_is_light() -> None:
    """Importing nbkit.models does not import LlamaIndex."""
    code = (
        "import sys, nbkit.models; "
        "sys.exit('llama_index' in sys.modules or 'openai' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
