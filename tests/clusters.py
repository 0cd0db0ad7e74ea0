"""Clusters of Dask for tests, and what their workers ask."""

import asyncio
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from distributed import Client, LocalCluster

import nbkit
from nbkit.models.providers import SimulatedOpenAI

QUESTIONS = [f"What is {number} plus one?" for number in range(60)]


@pytest.fixture
def client() -> Iterator[Client]:
    """Two workers of one thread each, in this process."""
    with local_cluster(processes=False, protocol="tcp") as cluster, Client(cluster) as client:
        yield client


def local_cluster(**settings: Any) -> LocalCluster:
    chosen = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    return LocalCluster(**{**chosen, "silence_logs": 50, **settings})


async def wait_until(condition: Callable[[], bool], seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


_KERNEL = """
import asyncio, pickle, sys
import nbkit
from distributed import Client

async def main():
    scheduler, sent = sys.argv[1:]
    questions, make_ask, settings = pickle.loads(bytes.fromhex(sent))
    with Client(scheduler) as client:
        await nbkit.run_batch(questions, make_ask, client=client, progress=False, **settings)

asyncio.run(main())
"""


def start_kernel(
    scheduler: str, questions: list[str], make_ask: "MakeAsk", **settings: Any
) -> "subprocess.Popen[bytes]":
    """Run a batch on a cluster from a process of its own, which can be killed."""
    sent = pickle.dumps((questions, make_ask, settings)).hex()
    return subprocess.Popen([sys.executable, "-c", _KERNEL, scheduler, sent])


class MakeAsk:
    """What a worker calls; keys come from its environment."""

    def __init__(self, llm: SimulatedOpenAI) -> None:
        os.environ["NBKIT_API_KEY"] = llm.api_key
        self.address, self.model = llm.api_base, llm.model

    def __call__(self) -> Any:
        return nbkit.connect(self.address, model=self.model).acomplete
