"""What 1,000 answers that stream at once through one event loop cost, and whether all arrive.

Each answer comes word by word from a server of its own process. Bare HTTP clients read the same
answers; their throughput is what the machine allows. A timer that ticks with the CPU time used
says which package the CPU was spent in, libraries of Python's own counted to their caller.
"""

import asyncio
import gc
import json
import os
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import aiohttp
import httpx

from nbkit import connect, load_index, stream
from nbkit.corpus import load_questions
from tests import wire

STREAMS = 1000
GAP = 0.05
GOAL = 0.05
TICK = 0.002
"""Seconds of CPU."""
STREAM = "nbkit's stream and trace"
TEXT = "".join(wire.WORDS)
BODY = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "word " * 1500}]}
_PACKAGES = (
    ("/nbkit/models/", "nbkit's client"),
    ("/nbkit/corpus/", "nbkit's index"),
    ("/nbkit/", STREAM),
    ("/llama_index", "LlamaIndex"),
    ("/openai/", "openai"),
    ("/httpx", "HTTP"),
    ("/aiohttp/", "HTTP"),
    ("/asyncio/base_events.py", "the event loop"),
)

Ask = Callable[[int], Awaitable[str]]


def _owner(frame: FrameType | None) -> str:
    while frame is not None:
        for part, name in _PACKAGES:
            if part in frame.f_code.co_filename:
                return name
        frame = frame.f_back
    return "other"


@contextmanager
def _sampling() -> Iterator[Counter[str]]:
    """Count ticks of CPU time by the package that used them."""
    ticks: Counter[str] = Counter()
    before = signal.signal(signal.SIGPROF, lambda _, frame: ticks.update([_owner(frame)]))
    signal.setitimer(signal.ITIMER_PROF, TICK, TICK)
    try:
        yield ticks
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


async def _measure(label: str, ask: Ask) -> tuple[float, Counter[str]]:
    """Read all streams at once; print a row, give answers a second and the ticks."""
    await ask(0)  # warm up
    gc.collect()
    start, cpu = time.perf_counter(), time.process_time()
    with _sampling() as ticks:
        texts = await asyncio.gather(*map(ask, range(STREAMS)), return_exceptions=True)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    whole = sum(text == TEXT for text in texts)
    print(
        f"{label:26}{whole:9,}{seconds:10.1f}{STREAMS / seconds:12.0f}{1000 * cpu / STREAMS:12.2f}"
    )
    return STREAMS / seconds, ticks


def _text(body: bytes) -> str:
    rows = [json.loads(row[6:]) for row in body.split(b"\n\n") if row.startswith(b"data: {")]
    return "".join(row["choices"][0]["delta"].get("content", "") for row in rows if row["choices"])


async def _bare_httpx(base_url: str) -> float:
    limits = httpx.Limits(max_connections=STREAMS)
    async with httpx.AsyncClient(limits=limits, timeout=60) as client:

        async def ask(_: int) -> str:
            async with client.stream("POST", f"{base_url}/chat/completions", json=BODY) as response:
                return _text(b"".join([part async for part in response.aiter_bytes()]))

        return (await _measure("bare httpx", ask))[0]


async def _bare_aiohttp(base_url: str) -> float:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=STREAMS)) as client:

        async def ask(_: int) -> str:
            async with client.post(f"{base_url}/chat/completions", json=BODY) as response:
                return _text(b"".join([part async for part in response.content.iter_any()]))

        return (await _measure("bare aiohttp", ask))[0]


async def _nbkit(base_url: str) -> tuple[float, Counter[str]]:
    os.environ |= {"OPENAI_BASE_URL": base_url, "OPENAI_API_KEY": "none"}
    index = load_index("en")
    # Said here, it is not asked from a server that knows no such question.
    llm = connect("openai", model="gpt-4o-mini", context_window=128_000)
    engine = index.as_query_engine(llm=llm, streaming=True)
    questions = [row.question for row in load_questions("en")]
    for question in questions:
        index._embed_model.get_query_embedding(question)

    async def ask(number: int) -> str:
        return (await stream(engine.aquery(questions[number % len(questions)]))).text

    return await _measure("nbkit.stream(aquery)", ask)


async def _compare() -> None:
    print(f"{'':26}{'complete':>9}{'seconds':>10}{'answers/s':>12}{'CPU ms each':>12}")
    with wire.beside(GAP) as base_url:
        await _bare_aiohttp(base_url)
        bare = await _bare_httpx(base_url)
        ours, ticks = await _nbkit(base_url)
    print(f"throughput against bare httpx: {100 * ours / bare:.0f} %. Where the CPU goes:")
    total = ticks.total()
    for name, count in ticks.most_common():
        print(f"  {name:26}{100 * count / total:6.1f} %")
    own = ticks[STREAM]
    print(f"{STREAM}: {100 * own / ticks['LlamaIndex']:.1f} % of LlamaIndex's", end="   ")
    print(f"(goal: at most {100 * GOAL:.0f} %)")
    print(f"  and {100 * own / (total - own):.1f} % of LlamaIndex's, its client's and the loop's")


def main() -> None:
    """Print completed streams, throughput and CPU for bare clients and for nbkit."""
    asyncio.run(_compare())


if __name__ == "__main__":
    main()
