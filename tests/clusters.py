"""Clusters of Dask for tests, and what their workers ask."""

import asyncio
import os
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
    with cluster_of_two(processes=False, protocol="tcp") as cluster, Client(cluster) as client:
        yield client


def cluster_of_two(**settings: Any) -> LocalCluster:
    chosen = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    return LocalCluster(**{**chosen, "silence_logs": 50, **settings})


async def wait_until(condition: Callable[[], bool], seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


class MakeAsk:
    """What a worker calls; keys come from its environment."""

    def __init__(self, llm: SimulatedOpenAI) -> None:
        os.environ["NBKIT_API_KEY"] = llm.api_key
        self.address, self.model = llm.api_base, llm.model

    def __call__(self) -> Any:
        return nbkit.connect(self.address, model=self.model).acomplete
