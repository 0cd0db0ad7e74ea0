"""The local model: time to its first token, tokens a second beside bare httpx, stops, memory.

Needs `make local`. On a busy machine the figures are those of the machine, not of the model.
"""

import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import httpx
import psutil

import nbkit
from nbkit.models.providers import LocalModel
from nbkit.streaming.errors import AnswerTruncated

STARTS = 5
ROUNDS = 5
TOKENS, STOPS = 128, 20
PROMPT = "Tell me a long story about a lighthouse, a ship and {} sailors."

_START = """
import asyncio, time
import nbkit
import llama_index.core
begin = time.perf_counter()
llm = nbkit.connect("local")
connected = time.perf_counter()

async def main():
    async for _ in nbkit.stream(llm.astream_complete("What is the capital of France?")):
        return time.perf_counter()

print(connected - begin, asyncio.run(main()) - begin)
"""


def _starts() -> None:
    connected, first = [], []
    for _ in range(STARTS):
        done = subprocess.run(
            [sys.executable, "-c", _START], capture_output=True, text=True, check=True
        )
        times = [float(word) for word in done.stdout.split()]
        connected.append(times[0])
        first.append(times[1])
    print(f'from connect("local"), LlamaIndex imported, medians of {STARTS} new processes:')
    print(f"  model ready {statistics.median(connected):5.2f} s")
    print(f"  first token {statistics.median(first):5.2f} s (at most {max(first):.2f})")


async def _through_nbkit(llm: LocalModel, prompt: str) -> int:
    running = nbkit.stream(llm.astream_complete(prompt, extra_body={"ignore_eos": True}))
    with suppress(AnswerTruncated):  # as intended: all answers have the same length
        await running
    assert running.answer is not None
    return running.answer.trace.tokens or 0


async def _through_httpx(client: httpx.AsyncClient, llm: LocalModel, prompt: str) -> int:
    asked = {
        "model": llm.model,
        "messages": [{"role": "user", "content": prompt}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0,
        "max_tokens": TOKENS,
        "ignore_eos": True,
    }
    last = ""
    async with client.stream("POST", "chat/completions", json=asked) as response:
        async for line in response.aiter_lines():
            if line.startswith("data: {"):
                last = line
    return int(json.loads(last.removeprefix("data: "))["usage"]["completion_tokens"])


async def _rate(ask: Callable[[str], Awaitable[int]], streams: int) -> float:
    """Tokens a second of all streams together, from the first request to the last token."""
    begin = time.perf_counter()
    tokens = await asyncio.gather(*(ask(PROMPT.format(number)) for number in range(streams)))
    assert list(tokens) == [TOKENS] * streams, tokens
    return sum(tokens) / (time.perf_counter() - begin)


async def _rates(llm: LocalModel) -> None:
    headers = {"Authorization": f"Bearer {llm.server.api_key}"}
    base = {"base_url": llm.server.base_url, "trust_env": False, "timeout": 300}
    async with httpx.AsyncClient(headers=headers, **base) as client:
        ways: dict[str, Callable[[str], Awaitable[int]]] = {
            "httpx": lambda prompt: _through_httpx(client, llm, prompt),
            "nbkit": lambda prompt: _through_nbkit(llm, prompt),
        }
        print(f"tokens a second, {TOKENS} a stream, medians of {ROUNDS} rounds in turns:")
        for streams in (1, 2, 4):
            for ask in ways.values():
                await _rate(ask, streams)  # warm up: prompts are in the cache from now on
            rates: dict[str, list[float]] = {name: [] for name in ways}
            for _ in range(ROUNDS):
                for name, ask in ways.items():
                    rates[name].append(await _rate(ask, streams))
            bare, ours = (statistics.median(rates[name]) for name in ("httpx", "nbkit"))
            print(
                f"  {streams} at once: nbkit {ours:6.1f}, bare httpx {bare:6.1f}, "
                f"ratio {ours / bare:.2f}   (goal: at least 0.95)",
                flush=True,
            )


async def _stops(llm: LocalModel) -> None:
    """How long the server goes on after a Stop, at twenty moments of an answer."""
    headers, took = {"Authorization": f"Bearer {llm.server.api_key}"}, []
    root = llm.server.base_url.removesuffix("/v1")
    async with httpx.AsyncClient(headers=headers, trust_env=False) as client:
        for number in range(STOPS):
            running = nbkit.stream(llm.astream_complete(PROMPT.format(number)))
            async for _ in running:
                if running.trace.chunks > 2 * number:
                    running.cancel()
            stopped = time.perf_counter()
            while any(slot["is_processing"] for slot in (await client.get(f"{root}/slots")).json()):
                await asyncio.sleep(0.001)
            took.append(1000 * (time.perf_counter() - stopped))
    told = f"median {statistics.median(took):.0f} ms, at most {max(took):.0f} ms"
    print(f"from Stop to a free place at the server, {STOPS} stops: {told}")


def main() -> None:
    """Print the four tables."""
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    _starts()
    llm = nbkit.connect("local", temperature=0, max_tokens=TOKENS)
    assert isinstance(llm, LocalModel)
    process = psutil.Process(llm.server.pid)
    idle = process.memory_info().rss
    asyncio.run(_rates(llm))
    asyncio.run(_stops(nbkit.connect("local", temperature=0)))  # type: ignore[arg-type]
    print(f"{llm!r}")
    print(f"memory: {idle / 1e6:.0f} MB when loaded, {process.memory_info().rss / 1e6:.0f} after")


if __name__ == "__main__":
    main()
