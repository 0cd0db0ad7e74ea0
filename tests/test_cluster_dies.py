"""A batch on Dask whose workers, kernel or scheduler die in the middle."""

import asyncio
import os
import signal
from collections import Counter
from pathlib import Path

import pytest
from distributed import Client

import nbkit
from nbkit.batch.journal import Journal
from nbkit.batch.outcome import BatchError
from tests.clusters import QUESTIONS, MakeAsk, local_cluster, start_kernel, wait_until
from tests.clusters import client as client
from tests.simulated import simulated


async def test_a_scheduler_that_is_gone(tmp_path: Path) -> None:
    """The run ends with an error; its journal has what was answered, and a new cluster the rest."""
    llm = simulated(speed=1, ttft=0.05, tokens_per_second=400, jitter=0)
    make_ask, path = MakeAsk(llm), tmp_path / "run.jsonl"
    with local_cluster(processes=False) as cluster, Client(cluster, timeout="2s") as client:
        run = nbkit.run_batch(QUESTIONS, make_ask, client=client, journal=path, progress=False)
        task = asyncio.ensure_future(run._run())
        await wait_until(lambda: len(run.outcomes) >= 5)
        await asyncio.to_thread(cluster.close)
        with pytest.raises(BatchError, match="start a new cluster"):
            await task
    answered = len(Journal(path).rows())
    assert 5 <= answered < len(QUESTIONS)
    llm.simulator.clear()
    llm.simulator.set(llm.model, speed=0)
    with local_cluster(processes=False) as cluster, Client(cluster) as client:
        outcomes = await nbkit.run_batch(
            QUESTIONS, make_ask, client=client, journal=path, progress=False
        )
    assert sum(outcome.resumed for outcome in outcomes) == answered
    assert len(llm.simulator.requests(llm.model)) == len(QUESTIONS) - answered
    assert len(Journal(path).rows()) == len(QUESTIONS)


@pytest.mark.process
@pytest.mark.cluster
async def test_killed_workers_cost_only_what_they_had_not_answered(tmp_path: Path) -> None:
    """Kill -9 of workers in the middle: the union is complete, nothing twice in the journal."""
    llm = simulated(speed=1, ttft=0.1, tokens_per_second=300, jitter=0)
    make_ask, path = MakeAsk(llm), tmp_path / "run.jsonl"
    with local_cluster() as cluster, Client(cluster) as client:
        run = nbkit.run_batch(
            QUESTIONS, make_ask, client=client, max_concurrency=8, journal=path, progress=False
        )
        task = asyncio.ensure_future(run._run())
        for answered in (5, 25):
            await wait_until(lambda least=answered: len(run.outcomes) >= least, seconds=60)
            processes = await asyncio.to_thread(client.run, os.getpid)
            os.kill(next(iter(processes.values())), signal.SIGKILL)
        async with asyncio.timeout(120):
            outcomes = await task
    assert [outcome.item for outcome in outcomes if outcome.error is None] == QUESTIONS
    lines = path.read_text().splitlines()
    assert len(lines) == 1 + len(QUESTIONS)
    assert len(llm.simulator.requests(llm.model)) <= len(QUESTIONS) + 2 * 8


@pytest.mark.process
async def test_requests_of_a_killed_kernel_end(tmp_path: Path, client: Client) -> None:
    """Kill -9 of the kernel: the workers stop asking, and its journal resumes elsewhere."""
    llm = simulated(speed=1, ttft=0.2, tokens_per_second=200, jitter=0)
    make_ask, path = MakeAsk(llm), tmp_path / "run.jsonl"
    llm.simulator.clear()
    kernel = start_kernel(client.cluster.scheduler_address, QUESTIONS, make_ask, journal=str(path))
    try:
        await wait_until(lambda: path.exists() and len(path.read_bytes().splitlines()) > 5, 60)
    finally:
        kernel.kill()
        kernel.wait()
    await wait_until(
        lambda: all(row["ended"] is not None for row in llm.simulator.requests(llm.model))
    )
    asked = len(llm.simulator.requests(llm.model))
    assert asked < len(QUESTIONS)
    assert not [name for name in client.cluster.scheduler.plugins if name.startswith("nbkit")]
    answered = len(Journal(path).rows())
    llm.simulator.set(llm.model, speed=0)
    outcomes = await nbkit.run_batch(
        QUESTIONS, make_ask, client=client, journal=path, progress=False
    )
    assert Counter(outcome.resumed for outcome in outcomes)[True] == answered
    assert len(Journal(path).rows()) == len(QUESTIONS)
