"""What is taken for an answer, and what is refused: agents above all, until they are streamed."""

import asyncio
import gc
import warnings
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
from llama_index.core.agent.workflow import AgentOutput, AgentWorkflow, FunctionAgent
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.workflow import StartEvent, StopEvent, Workflow, step
from pydantic import BaseModel

import nbkit
from nbkit.batch.outcome import BatchMisused
from nbkit.experiment.measurements import ExperimentError
from nbkit.streaming.conversation import NotAChatEngine
from nbkit.streaming.errors import StreamMisused
from nbkit.web.server import ServeError

REFUSED = "agents are not streamed yet — read the events"
ended: list[str] = []


class Slow(Workflow):
    """A workflow that never comes to its end."""

    @step
    async def run_it(self, event: StartEvent) -> StopEvent:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("run")
        return StopEvent(result="never")


class Model(BaseModel):
    """A model, which can be iterated over, as all of pydantic's can."""

    text: str = "word"


class Words:
    """A stream of the reader's own, which has nothing but `__iter__`."""

    def __iter__(self) -> Iterator[str]:
        yield from ["one ", "two"]


@pytest.fixture(autouse=True)
def no_complaint_from_python() -> Iterator[None]:
    """Fail where Python warns of a coroutine that nobody awaited."""
    ended.clear()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        yield
        gc.collect()
    assert not [str(one.message) for one in told if "never awaited" in str(one.message)]


def _agent() -> FunctionAgent:
    return FunctionAgent(llm=nbkit.connect(speed=0), tools=[])


def _output() -> AgentOutput:
    message = ChatMessage(role="assistant", content="An answer.")
    return AgentOutput(response=message, current_agent_name="Agent")


async def _asked(_: str = "") -> Any:
    return _output()


async def _running(_: str = "") -> Any:
    return Slow(timeout=None).run()


AGENTS: dict[str, Any] = {
    "agent": _agent,
    "agent workflow": lambda: AgentWorkflow(agents=[_agent()]),
    "run method": lambda: _agent().run,
    "partial": lambda: partial(_agent().run, user_msg="Hello?"),
    "run": lambda: Slow(timeout=None).run(),
    "events": lambda: Slow(timeout=None).run().stream_events(),
    "output": _output,
    "coroutine of an output": _asked,
    "coroutine of a run": _running,
    "function of a run": lambda: _running,
}


RUNS = {"run", "events", "coroutine of a run", "function of a run"}


async def _end(name: str) -> None:
    """Wait until the run that was begun has ended."""
    async with asyncio.timeout(5):
        while name in RUNS and not ended:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("name", AGENTS)
async def test_an_agent_is_refused(name: str) -> None:
    """Whatever comes of an agent is refused with what to do now, and no run goes on unseen."""
    source = AGENTS[name]()
    await asyncio.sleep(0.01)
    with pytest.raises(StreamMisused, match=REFUSED):
        await nbkit.stream(source)
    await _end(name)


@pytest.mark.parametrize("name", ["agent", "run", "events", "output"])
@pytest.mark.parametrize("among", [True, False], ids=["among others", "alone"])
async def test_show_all_refuses_an_agent(name: str, among: bool) -> None:
    """Several answers at once are refused as one is, alone or among others."""
    source = AGENTS[name]()
    await asyncio.sleep(0.01)
    with pytest.raises(StreamMisused, match=REFUSED):
        nbkit.show_all({"one": Words(), "other": source} if among else source)
    await _end(name)


@pytest.mark.parametrize("wrong", [_agent, lambda: _agent().run], ids=["agent", "run"])
async def test_a_batch_refuses_an_agent_before_it_asks(wrong: Any) -> None:
    """An agent given as the function of a batch is refused at once."""
    with pytest.raises(BatchMisused, match=REFUSED):
        nbkit.run_batch(["Hello?"], wrong())


@pytest.mark.parametrize("name", ["_asked", "_running", "run"])
async def test_a_batch_keeps_no_agents_output(name: str) -> None:
    """A function that gives what an agent gave, or a run, is refused; the run ends."""

    def run(_: str) -> Any:
        return Slow(timeout=None).run()

    ask = {"_asked": _asked, "_running": _running, "run": run}[name]
    with pytest.raises(BatchMisused, match=REFUSED):
        await nbkit.run_batch(["Hello?"], ask, progress=False)
    await _end("" if name == "_asked" else "run")


@pytest.mark.parametrize(
    ("ask", "error"),
    [
        (_agent, ExperimentError),
        (lambda: _agent().run, ExperimentError),
        (lambda: _asked, StreamMisused),
        (lambda: _running, StreamMisused),
    ],
    ids=["agent", "run", "output", "a run"],
)
async def test_measure_refuses_an_agent(ask: Any, error: type[Exception]) -> None:
    """Nothing of an agent is measured."""
    with pytest.raises(error, match=REFUSED):
        await nbkit.measure(["Hello?"], ask(), progress=False)


async def test_an_agent_is_no_chat_engine() -> None:
    """An agent cannot be talked with or served, and the message says what can."""
    with pytest.raises(NotAChatEngine, match=REFUSED):
        nbkit.Conversation(_agent())  # type: ignore[arg-type]
    with pytest.raises(ServeError, match=REFUSED):
        nbkit.serve(_agent())  # type: ignore[arg-type]
    with pytest.raises(ServeError, match=REFUSED):
        nbkit.serve(chat=_agent())  # type: ignore[arg-type]


@pytest.mark.parametrize("measured", [False, True], ids=["stream", "measure"])
async def test_a_function_that_needs_the_loop(measured: bool) -> None:
    """A blocking function that begins work on the event loop is told to be async."""

    def ask(_: str = "") -> Any:
        return asyncio.get_running_loop().create_future()

    with pytest.raises(StreamMisused, match="async def"):
        if measured:
            await nbkit.measure(["Hello?"], ask, progress=False)
        else:
            await nbkit.stream(lambda: ask())


@pytest.mark.parametrize(
    "wrong",
    [
        Model(),
        {"a", "b"},
        {"a": 1}.keys(),
        {"a": 1}.values(),
        bytearray(b"word"),
        np.array(["a", "b"]),
        np.zeros(0),
        range(0),
        [b"word"],
        iter([1, 2]),
        [None],
    ],
    ids=lambda wrong: type(wrong).__name__,
)
async def test_what_is_merely_iterable_is_no_answer(wrong: Any) -> None:
    """A container or a model, empty or not, is not taken for a stream of text."""
    with pytest.raises(StreamMisused, match=r"pass an answer|which is not an answer"):
        await nbkit.stream(wrong)


async def test_a_stream_of_ones_own_is_an_answer() -> None:
    """An object that gives text when it is iterated over is read like a generator."""

    class Later:
        async def __aiter__(self) -> AsyncIterator[str]:
            for word in Words():
                yield word

    for source in (Words(), Later(), ("one ", "two")):
        assert (await nbkit.stream(source)).text == "one two"
