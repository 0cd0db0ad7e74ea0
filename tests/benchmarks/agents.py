"""What `nbkit.stream(agent.run(…))` adds to a bare loop over the events of the run.

In one process, in turns: the loop that joins the deltas of `stream_events()`, and `nbkit.stream`.
Both ask the simulated model without waiting; CPU is that of this process, the model has its own.
The last line asks fifty agents at once, each with a tool that waits.
"""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

from llama_index.core.agent.workflow import AgentStream, FunctionAgent

import nbkit
from tests.asked_agents import multiply

ROUNDS, MANY, WAIT = 60, 50, 0.5
QUESTION = "What do the notes say about brightness?"


async def notes(topic: str) -> str:
    """All notes on a topic."""
    return " ".join(f"Note {n} says that a lamp of {n} lumens is fine." for n in range(40))


async def waiting(city: str) -> str:
    """The weather in a city today."""
    await asyncio.sleep(WAIT)
    return f"It is sunny in {city}."


async def _bare(run: Any, first: Callable[[], None]) -> str:
    text = ""
    async for event in run.stream_events():
        if isinstance(event, AgentStream) and event.delta:
            if not text:
                first()
            text += event.delta
    await run
    return text


async def _streamed(run: Any, first: Callable[[], None]) -> str:
    text = ""
    async for chunk in nbkit.stream(run):
        if not text:
            first()
        text += chunk
    return text


async def _timed(
    read: Callable[[Any, Callable[[], None]], Awaitable[str]], agent: Any
) -> tuple[float, float]:
    """Seconds to the first delta of the answer, and seconds of CPU for the whole run."""
    firsts: list[float] = []
    began, cpu = time.perf_counter(), time.process_time()
    await read(agent.run(user_msg=QUESTION), lambda: firsts.append(time.perf_counter()))
    return firsts[0] - began, time.process_time() - cpu


async def _measure() -> None:
    llm = nbkit.connect(speed=0)
    agent = FunctionAgent(tools=[notes, multiply], llm=llm)
    taken: dict[str, list[tuple[float, float]]] = {"bare loop": [], "nbkit.stream": []}
    ways = {"bare loop": _bare, "nbkit.stream": _streamed}
    for number in range(ROUNDS + 5):
        for name in sorted(ways, reverse=bool(number % 2)):
            taken[name].append(await _timed(ways[name], agent))
    middle = {
        name: [1000 * statistics.median(column) for column in zip(*rows[5:], strict=True)]
        for name, rows in taken.items()
    }
    for name, (first, cpu) in middle.items():
        print(f"{name:13} first delta {first:6.2f} ms   CPU {cpu:6.2f} ms   (median of {ROUNDS})")
    (first, cpu), (later, more) = middle.values()
    print(f"added         first delta {later - first:6.2f} ms   CPU {more / cpu - 1:6.1%}")
    print("goals                        1.00 ms          10.0%")
    agent = FunctionAgent(tools=[waiting], llm=llm)
    began = time.perf_counter()
    runs = [nbkit.stream(agent.run(user_msg="Weather in Oslo?")) for _ in range(MANY)]
    answers = await asyncio.gather(*runs)
    complete = sum(answer.text == "It is sunny in Oslo." for answer in answers)
    took = time.perf_counter() - began
    print(f"{complete} of {MANY} agents at once complete in {took:.2f} s; a tool waits {WAIT} s")


def main() -> None:
    """Print both, their difference, and fifty at once."""
    asyncio.run(_measure())


if __name__ == "__main__":
    main()
