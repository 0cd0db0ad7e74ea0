"""A simulator for tests, models on it, and the real openai client."""

import json
import time
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import httpx
import openai
import pytest

from nbkit import connect
from nbkit.models.providers import SimulatedOpenAI
from nbkit.simulator import Simulator

QUESTION: list[Any] = [{"role": "user", "content": "What can you do?"}]
_numbers = count()


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    """One server for all tests; each test has models of its own."""
    running = Simulator()
    yield running
    running.stop()


@pytest.fixture
def model(simulator: Simulator) -> Callable[..., str]:
    """Make a model with the settings given, everything else without waiting."""

    def make(**settings: Any) -> str:
        name = f"m{next(_numbers)}"
        simulator.set(name, **{"speed": 0, **settings})
        return name

    return make


@pytest.fixture(scope="module")
def client(simulator: Simulator) -> Iterator[openai.OpenAI]:
    """Give the real openai client, without retries."""
    with openai.OpenAI(
        api_key=simulator.api_key, base_url=simulator.base_url, max_retries=0
    ) as made:
        yield made


@pytest.fixture
def instant() -> SimulatedOpenAI:
    """Give the simulated model without waiting, its record of requests emptied."""
    llm = simulated(speed=0)
    llm.simulator.clear()
    return llm


def simulated(**settings: Any) -> SimulatedOpenAI:
    """Connect to the simulated model."""
    llm = connect(**settings)
    assert isinstance(llm, SimulatedOpenAI)
    return llm


def wait_for(condition: Callable[[], bool], timeout: float = 5) -> None:
    """Look every 10 ms until a condition holds."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "the condition did not come true in time"
        time.sleep(0.01)


def raw(simulator: Simulator, model: str, **body: Any) -> tuple[httpx.Response, list[Any]]:
    """Post a streaming request and give the response with its data lines, parsed."""
    response = httpx.post(
        f"{simulator.base_url}/chat/completions",
        headers={"Authorization": f"Bearer {simulator.api_key}"},
        json={"model": model, "messages": QUESTION, "stream": True, **body},
        trust_env=False,
    )
    lines = [x.removeprefix("data: ") for x in response.text.split("\n\n") if x]
    return response, [x if x == "[DONE]" else json.loads(x) for x in lines]
