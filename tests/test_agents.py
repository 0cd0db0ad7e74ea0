"""The run of an agent as a stream: its answer, its thoughts, the calls of its tools."""

import asyncio
import gc
import time
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.agent.workflow import AgentWorkflow, FunctionAgent, ReActAgent

import nbkit
from nbkit.models.providers import SimulatedOpenAI
from nbkit.streaming.errors import StreamMisused
from tests.asked_agents import BOTH, PRODUCT, agent, multiply, weather


@pytest.fixture(autouse=True)
def no_complaint_from_python() -> Iterator[None]:
    """Fail where Python warns of a coroutine that nobody awaited."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", RuntimeWarning)
        yield
        gc.collect()
    assert not [str(one.message) for one in told if "never awaited" in str(one.message)]


@pytest.mark.parametrize("kind", [FunctionAgent, ReActAgent])
async def test_the_answer_is_text_and_the_tools_are_steps(kind: Any) -> None:
    """The text is what the agent answers; tools, sources and thoughts are beside it."""
    answer = await nbkit.stream(agent(kind).run(user_msg=BOTH))
    assert answer.text.startswith("The warranty of the Lumina One lasts 24 months")
    assert answer.text.endswith("It is sunny in Oslo.")
    assert answer.text == answer.response.response.content
    assert [(s.tool, s.arguments, s.state) for s in answer.steps] == [
        ("handbook", {"input": "How long is the warranty"}, "done"),
        ("weather", {"city": "Oslo"}, "done"),
    ]
    assert answer.steps[1].result == "It is sunny in Oslo."
    assert answer.steps[1].agent == "Agent"
    assert answer.sources[0].node.metadata["file_name"] == "warranty.md"
    assert ("Action: weather" in answer.thought) == (kind is ReActAgent)
    assert answer.trace.requests == (3 if kind is ReActAgent else 2)


async def test_tools_of_one_turn_run_at_the_same_time() -> None:
    """Two calls of one turn overlap; their steps say so."""
    question = "What's the weather in Paris and Lima today?"
    first, second = (await nbkit.stream(agent().run(user_msg=question))).steps
    assert first.end is not None
    assert second.end is not None
    assert second.start < first.end
    assert (first.seconds or 0) + (second.seconds or 0) > 1.5 * (second.end - first.start)


@pytest.mark.parametrize("kind", ["run", "function", "partial", "coroutine function", "coroutine"])
async def test_every_way_to_pass_a_run(kind: str) -> None:
    """A run, or a function that begins one; then the clock starts before it."""
    asked = agent(FunctionAgent, multiply)

    async def begun() -> Any:
        return asked.run(user_msg=PRODUCT)

    sources: dict[str, Any] = {
        "run": lambda: asked.run(user_msg=PRODUCT),
        "function": lambda: lambda: asked.run(user_msg=PRODUCT),
        "partial": lambda: partial(asked.run, user_msg=PRODUCT),
        "coroutine function": lambda: begun,
        "coroutine": begun,
    }
    stream = nbkit.stream(sources[kind]())
    chunks = [chunk async for chunk in stream]
    assert "".join(chunks) == stream.text == "42"
    assert stream.answer is not None
    assert stream.answer.trace.requests == 2
    assert stream.answer.trace.model == asked.llm.model


async def test_tokens_are_counted_over_all_requests(instant: SimulatedOpenAI) -> None:
    """The counts of a run are the sums of what its requests used, as the server says."""
    asked = FunctionAgent(tools=[multiply], llm=instant)
    answer = await nbkit.stream(asked.run(user_msg=PRODUCT))
    rows = instant.simulator.requests(instant.model)
    assert answer.trace.requests == len(rows) == 2
    assert answer.trace.prompt_tokens == sum(row["prompt_tokens"] for row in rows)
    assert answer.trace.tokens == sum(row["tokens_sent"] for row in rows)
    assert answer.trace.tpot is None  # tools ran between the tokens


async def test_one_reader_a_run() -> None:
    """A run that was read or awaited is refused, and a handler is not read twice."""
    run = agent(FunctionAgent, multiply).run(user_msg=PRODUCT)
    await nbkit.stream(run)
    with pytest.raises(StreamMisused, match="already been read, or awaited"):
        await nbkit.stream(run)
    awaited = agent(FunctionAgent, multiply).run(user_msg=PRODUCT)
    await awaited
    with pytest.raises(StreamMisused, match="already been read, or awaited"):
        await nbkit.stream(awaited)


async def test_handoffs_name_the_agent() -> None:
    """One agent hands over to another: that is a step too, and each step says whose it is."""
    llm = nbkit.connect(speed=0)
    counts, forecasts = (
        FunctionAgent(name=name, description=purpose, tools=[tool], llm=llm)
        for name, purpose, tool in [
            ("counts", "Multiplies integers", multiply),
            ("forecasts", "Knows the weather in a city", weather),
        ]
    )
    workflow = AgentWorkflow(agents=[forecasts, counts], root_agent="forecasts")
    answer = await nbkit.stream(workflow.run(user_msg=PRODUCT))
    assert [(step.agent, step.tool, step.state) for step in answer.steps] == [
        ("forecasts", "handoff", "done"),
        ("counts", "multiply", "done"),
    ]
    assert answer.steps[0].arguments["to_agent"] == "counts"
    assert answer.text == "42"


async def test_an_agent_that_does_not_stream_gives_its_answer_whole() -> None:
    """With `streaming=False` the answer is one chunk."""
    asked = FunctionAgent(tools=[multiply], llm=nbkit.connect(speed=0), streaming=False)
    answer = await nbkit.stream(asked.run(user_msg=PRODUCT))
    assert (answer.text, answer.trace.chunks) == ("42", 1)


async def test_a_batch_of_runs() -> None:
    """A batch takes an agent or a function that begins runs; each outcome has its steps."""
    questions = ["What is 2 times 3?", "What is 4 times 5?"]
    asked = agent(FunctionAgent, multiply)
    for ask in (asked, lambda question: asked.run(user_msg=question)):
        outcomes = await nbkit.run_batch(questions, ask, progress=False)
        assert [outcome.value.text for outcome in outcomes] == ["6", "20"]
        assert outcomes[0].value.steps[0].tool == "multiply"


async def test_a_batch_remembers_steps_but_not_results(tmp_path: Path) -> None:
    """A journal has each run's steps and times; results of tools and thoughts are not kept."""
    asked = agent(FunctionAgent, multiply, thinking_tokens=4)
    journal = tmp_path / "run.jsonl"
    for _ in range(2):
        [outcome] = await nbkit.run_batch([PRODUCT], asked, journal=journal, progress=False)
    answer = outcome.value
    assert [(s.tool, s.arguments, s.state, s.result) for s in answer.steps] == [
        ("multiply", {"a": 6, "b": 7}, "done", None)
    ]
    assert answer.trace.requests == 2
    assert answer.trace.ttft < answer.trace.ttfo
    assert "The user" not in journal.read_text("utf-8")


async def test_an_experiment_with_agents() -> None:
    """An agent is measured like an engine, its requests counted."""
    experiment = await nbkit.measure(
        [PRODUCT], {"agent": agent(FunctionAgent, multiply)}, repeat=2, progress=False
    )
    assert [request.trace.requests for request in experiment.requests_of("agent")] == [2, 2]


async def test_fifty_agents_at_once_do_not_wait_for_each_other() -> None:
    """Fifty runs complete, and the time in their tools is not the sum of them."""
    asked = agent(FunctionAgent, weather)
    start = time.perf_counter()
    runs = [nbkit.stream(asked.run(user_msg="Weather in Oslo?")) for _ in range(50)]
    answers = await asyncio.gather(*runs)
    assert {answer.text for answer in answers} == {"It is sunny in Oslo."}
    assert [answer.steps[0].state for answer in answers] == ["done"] * 50
    in_tools = 50 * 0.2  # what they sleep; a step's own times are those of reading its events
    assert time.perf_counter() - start < in_tools / 2
