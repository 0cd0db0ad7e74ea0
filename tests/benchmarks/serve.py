"""What serving adds to an answer, whether 200 readers get theirs, and what 1,000 leave behind.

The readers are in a process of their own, and so is the model.
"""

import asyncio
import gc
import os
import re
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import psutil
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

import nbkit
from nbkit.models.providers import SimulatedOpenAI
from nbkit.web.server import Server
from tests import wire
from tests.readers import read
from tests.served import Scripted
from tests.simulated import simulated

ASKED = 60
READERS = 200
GAP = 0.2
CYCLES = 1_000
WORDS = [f"word{number} " for number in range(3_000)]
QUESTION = {"question": "How do I return it?"}


def main() -> None:
    """Print the four tables."""
    _first_token()
    _many_readers()
    _throughput()
    _cycles()


def _ask(server: Server, readers: int, times: int, **order: Any) -> list[dict[str, Any]]:
    order = {"url": f"{server.url}/query", "headers": server.headers, "body": QUESTION, **order}
    answers: list[dict[str, Any]] = read(readers, times, **order)["answers"]
    return answers


def _first_token() -> None:
    llm = simulated(ttft=0.05, tokens_per_second=200, jitter=0)
    engine = nbkit.load_index("en").as_query_engine(llm=llm, streaming=True)
    with nbkit.serve(engine) as server:
        _ask(server, 1, 5)  # warm up
        answers = _ask(server, 1, ASKED)
    added = [1000 * (answer["arrivals"][0] - answer["data"]["ttft"]) for answer in answers]
    _, middle, _ = statistics.quantiles(added, n=4)
    print(f"TTFT at a reader − TTFT at the engine, {ASKED} answers one by one:")
    print(f"  median {middle:.1f} ms, most {max(added):.1f} ms   (goal: median at most 5 ms)")


def _many_readers() -> None:
    print(f"{READERS} readers at once, a word each {1000 * GAP:.0f} ms from the model:")
    with wire.beside(GAP) as base_url:
        with _shell(base_url) as (url, headers):
            order = {"url": f"{url}/query", "headers": headers, "body": QUESTION}
            read(1, 2, **order)
            _tell("nbkit serve", read(READERS, 1, **order)["answers"])
        with _hosted(base_url) as llm:
            engine = nbkit.load_index("en").as_query_engine(llm=llm, streaming=True)
            with nbkit.serve(engine, max_concurrency=READERS) as server:
                _ask(server, 1, 2)
                _tell("beside a kernel's other objects", _ask(server, READERS, 1))


def _tell(where: str, answers: list[dict[str, Any]]) -> None:
    whole = sum(answer["event"] == "done" for answer in answers)
    gaps = sorted(
        after - before for answer in answers for before, after in pairwise(answer["arrivals"])
    )
    p50, p99 = gaps[len(gaps) // 2], gaps[99 * len(gaps) // 100]
    print(f"  {where}: {whole} have the whole answer; longest gap {1000 * gaps[-1]:.0f} ms,")
    print(
        f"    p50 {1000 * p50:.0f} ms, p99 {1000 * p99:.0f} ms = {p99 / p50:.2f} × p50"
        "   (goal: at most 3 ×)"
    )


@contextmanager
def _shell(base_url: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Serve the handbook from a shell; gives the address, and the headers that open it."""
    command = [sys.executable, "-m", "nbkit", "serve", "--llm", base_url, "--model", "wire"]
    command += ["--max-concurrency", str(READERS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = None
        while found is None:
            found = re.search(r"(http://\S+)/#(\S+)", process.stdout.readline())
        try:
            yield found[1], {"Authorization": f"Bearer {found[2]}"}
        finally:
            process.kill()


@contextmanager
def _hosted(base_url: str) -> Iterator[Any]:
    before = {name: os.environ.get(name) for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY")}
    os.environ |= {"OPENAI_BASE_URL": base_url, "OPENAI_API_KEY": "none"}
    try:
        yield nbkit.connect("openai")
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


async def _words(_question: str = "") -> AsyncIterator[str]:
    for word in WORDS:
        yield word


async def _bare(scope: Scope, receive: Receive, send: Send) -> None:
    """Do what a first attempt does: send the same words, with nothing around them."""
    while (await receive()).get("more_body"):
        pass
    await StreamingResponse(_words(), media_type="text/plain")(scope, receive, send)


def _throughput() -> None:
    rates: dict[str, list[float]] = {"bare": [], "ours": []}
    with nbkit.serve(Scripted(_words)) as ours, nbkit.serve(Scripted(_words)) as bare:
        bare._uvicorn.config.loaded_app = _bare
        for _ in range(5):
            for name, server in (("bare", bare), ("ours", ours)):
                order = {"url": f"{server.url}/query", "headers": server.headers, "body": QUESTION}
                result = read(20, 5, **order)
                characters = sum(answer["characters"] for answer in result["answers"])
                assert characters == 100 * sum(map(len, WORDS)), characters
                events = len(result["answers"][0].get("arrivals", ()))
                rates[name].append(characters / result["seconds"])
    bare_rate, our_rate = (statistics.median(rates[name]) for name in ("bare", "ours"))
    print(f"{len(WORDS):,} words as fast as they go, 20 readers, 5 runs each in turns:")
    print(f"  bare StreamingResponse {bare_rate / 1e6:.2f} million characters/s")
    print(f"  nbkit.serve            {our_rate / 1e6:.2f} million characters/s", end="")
    print(f", what is ready at once in one event: {events} events")
    print(f"  ratio {our_rate / bare_rate:.2f}   (goal: at least 0.9)")


def _state(server: Server, llm: SimulatedOpenAI) -> dict[str, float]:
    end = time.monotonic() + 5
    while server.streaming and time.monotonic() < end:
        time.sleep(0.01)
    time.sleep(0.5)
    gc.collect()
    process, stats = psutil.Process(), llm.simulator.stats()
    return {
        "memory, MB": process.memory_info().rss / 1e6,
        "threads": threading.active_count(),
        "files and sockets": process.num_fds(),
        "tasks": len(asyncio.all_tasks(server._loop)),
        "model slots in use": stats["in_flight"] + stats["queued"],
    }


def _cycles() -> None:
    llm = simulated(ttft=0.01, tokens_per_second=100, jitter=0, seed=1)
    engine = nbkit.load_index("en").as_query_engine(llm=llm, streaming=True)
    with nbkit.serve(engine) as server:
        _ask(server, 4, CYCLES // 8, leave=True)  # warm up
        before = _state(server, llm)
        _ask(server, 4, CYCLES // 4, leave=True)
        after = _state(server, llm)
    print(f"{CYCLES:,} times: connect, read to the first token, go away (after {CYCLES // 2}):")
    for name, value in before.items():
        print(f"  {name:20}{value:8.1f} →{after[name]:8.1f}")


if __name__ == "__main__":
    main()
