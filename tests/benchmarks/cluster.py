"""What a cluster of Dask gains and costs against one process, and whether its one rate holds.

`python -m tests.benchmarks cluster`. Ratios within one run on one machine: the simulated model and
the scheduler take their part of the same cores. NBKIT_QUESTIONS sets how many are asked (4,000).
"""

import asyncio
import os
import random
import resource
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from distributed import Client

import nbkit
from nbkit.batch.journal import Journal
from nbkit.loops import run
from tests.clusters import MakeAsk, local_cluster, start_kernel

MANY = int(os.environ.get("NBKIT_QUESTIONS", "4000"))
AT_ONCE = 64
QUIET = {"progress": False}


def questions(number: int) -> list[str]:
    """Questions that all differ."""
    return [f"How long is the warranty of lamp {n}?" for n in range(number)]


class MakeEngine(MakeAsk):
    """An engine of the handbook in each worker."""

    def __call__(self) -> Any:
        """What asks: retrieval here, then one request that does not stream."""
        llm = nbkit.connect(self.address, model=self.model)
        return nbkit.load_index("en").as_query_engine(llm=llm).aquery


def whole_slice(make_ask: Callable[[], Any], questions: list[str]) -> list[str]:
    """The bare task: a batch in one process, in a task of Dask, that returns only the texts."""
    if "ask" not in _kept:
        _kept["ask"] = make_ask()
    batch = nbkit.run_batch(questions, _kept["ask"], max_concurrency=AT_ONCE // 2, **QUIET)

    async def texts() -> list[str]:
        return [outcome.value.text for outcome in await batch]

    return run(texts())


_kept: dict[str, Any] = {}


async def _throughput() -> None:
    llm = nbkit.connect(speed=0)
    make_ask, asked = MakeEngine(llm), questions(MANY)
    here = make_ask()
    await nbkit.run_batch(questions(50), here, **QUIET)
    start = time.perf_counter()
    await nbkit.run_batch(asked, here, max_concurrency=AT_ONCE, **QUIET)
    one = time.perf_counter() - start
    with local_cluster(n_workers=2) as cluster, Client(cluster) as client:
        slices = [asked[place : place + 100] for place in range(0, MANY, 100)]
        await asyncio.to_thread(
            client.gather, client.map(whole_slice, [make_ask] * 2, slices[:2], pure=False)
        )
        start = time.perf_counter()
        tasks = client.map(whole_slice, [make_ask] * len(slices), slices, pure=False)
        await asyncio.to_thread(client.gather, tasks)
        bare = time.perf_counter() - start
        ask = {"client": client, "max_concurrency": AT_ONCE, **QUIET}
        await nbkit.run_batch(questions(200), make_ask, **ask)
        start = time.perf_counter()
        outcomes = await nbkit.run_batch(asked, make_ask, **ask)
        two = time.perf_counter() - start
    assert all(outcome.error is None for outcome in outcomes)
    first = min(outcome.attempt_starts[0] for outcome in outcomes)
    asking = start + two - first
    print(f"{MANY} questions, {AT_ONCE} in flight, engine of the handbook, instant model")
    print(f"  one process                     {MANY / one:7.0f} questions/s   1.00")
    print(f"  two workers, bare client.map    {MANY / bare:7.0f} questions/s   {one / bare:.2f}")
    print(f"  two workers, run_batch          {MANY / two:7.0f} questions/s   {one / two:.2f}")
    print(
        f"    of it, before the first question {two - asking:5.1f} s (each worker builds its own)"
    )
    print(
        f"    without that                  {MANY / asking:7.0f} questions/s   {one / asking:.2f}"
    )


async def _rate() -> None:
    llm = nbkit.connect(speed=1, ttft=0.2, tokens_per_second=500)
    make_ask, rate = MakeAsk(llm), 1200
    with local_cluster(n_workers=4) as cluster, Client(cluster) as client:

        async def come_and_go() -> None:
            for workers in (2, 4, 3, 4):
                await asyncio.sleep(8)
                await asyncio.to_thread(cluster.scale, workers)

        await nbkit.run_batch(questions(40), make_ask, client=client, **QUIET)
        llm.simulator.clear()
        moving = asyncio.create_task(come_and_go())
        outcomes = await nbkit.run_batch(
            questions(800),
            make_ask,
            client=client,
            max_concurrency=40,
            requests_per_minute=rate,
            **QUIET,
        )
        moving.cancel()
    starts = sorted(row["received"] for row in llm.simulator.requests(llm.model))
    lived = starts[-1] - starts[0]
    reached = len(starts) / lived * 60
    refused = sum(outcome.refused for outcome in outcomes)
    failed = sum(outcome.error is not None for outcome in outcomes)
    print(f"one rate of {rate}/min for 4 workers that come and go, n = {len(starts)} requests")
    print(f"  reached {reached / rate:.2f} of it, refused {refused}, failed {failed}")


async def _deaths() -> None:
    llm = nbkit.connect(speed=1, ttft=0.2, tokens_per_second=300)
    asked, folder = questions(300), Path(tempfile.mkdtemp())
    make_ask = MakeAsk(llm)
    with local_cluster(n_workers=3) as cluster, Client(cluster) as client:
        batch = nbkit.run_batch(
            asked,
            make_ask,
            client=client,
            max_concurrency=24,
            journal=folder / "run.jsonl",
            **QUIET,
        )
        task = asyncio.ensure_future(batch._run())
        for moment in sorted(random.sample(range(20, 250), 5)):
            while len(batch.outcomes) < moment:
                await asyncio.sleep(0.02)
            alive = [nanny.pid for nanny in cluster.workers.values() if nanny.pid]
            os.kill(random.choice(alive), signal.SIGKILL)
        outcomes = await task
    rows = Journal(folder / "run.jsonl").rows()
    lines = len((folder / "run.jsonl").read_text().splitlines()) - 1
    requests = len(llm.simulator.requests(llm.model))
    whole = sum(outcome.error is None for outcome in outcomes)
    print(f"kill -9 of a worker at 5 random moments, {len(asked)} questions, 24 in flight")
    print(f"  answered {whole}, rows in the journal {len(rows)} on {lines} lines")
    print(f"  requests {requests}: {requests - len(asked)} asked a second time")


def _kernel_deaths() -> None:
    llm = nbkit.connect(speed=1, ttft=0.2, tokens_per_second=300)
    make_ask = MakeAsk(llm)
    path = Path(tempfile.mkdtemp()) / "run.jsonl"
    moments = sorted(random.sample(range(10, 280), 5))
    llm.simulator.clear()
    with local_cluster(n_workers=3) as cluster:
        for moment in [*moments, None]:
            settings = {"max_concurrency": 24, "journal": str(path)}
            kernel = start_kernel(cluster.scheduler_address, questions(300), make_ask, **settings)
            while kernel.poll() is None and (moment is None or _rows(path) < moment):
                time.sleep(0.02)
            kernel.kill()
            kernel.wait()
    requests = len(llm.simulator.requests(llm.model))
    print(f"kill -9 of the kernel at 5 random moments ({moments} answered), 300 questions")
    print(f"  rows in the journal {len(Journal(path).rows())} on {_rows(path)} lines")
    print(f"  requests {requests}: {requests - 300} asked a second time")


def _rows(path: Path) -> int:
    return len(path.read_bytes().splitlines()) - 1 if path.exists() else 0


async def _memory() -> None:
    async def ask(number: int) -> int:
        return number

    def make_ask() -> Any:
        return ask

    peaks = []
    with local_cluster(n_workers=2) as cluster, Client(cluster) as client:
        for number in (1_000, 10_000, 100_000):
            async for _ in nbkit.iter_batch(
                iter(range(number)), make_ask, client=client, max_concurrency=200
            ):
                pass
            peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    print("peak memory of kernel and scheduler together (one process), with iter_batch")
    told = ", ".join(f"{peak:.0f} MB" for peak in peaks)
    print(f"  1,000, 10,000 and 100,000 questions: {told}")


def main() -> None:
    """Measure throughput, the rate, deaths and memory."""
    for part in (_throughput, _rate, _deaths, _memory):
        asyncio.run(part())
    _kernel_deaths()


if __name__ == "__main__":
    main()
