"""What is taken for an answer, and what is refused: of an agent, only a run is an answer."""

import asyncio
import gc
import warnings
from collections.abc import AsyncIterator, Iterator
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

REFUSED = r"which is not an answer — pass a run, `agent\.run\(user_msg=question\)`"
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


REFUSES: dict[str, Any] = {
    "agent": _agent,
    "agent workflow": lambda: AgentWorkflow(agents=[_agent()]),
    "run method": lambda: _agent().run,
    "events": lambda: Slow(timeout=None).run().stream_events(),
    "output": _output,
    "coroutine of an output": _asked,
}


async def _end() -> None:
    """Wait until the run that was begun has ended."""
    async with asyncio.timeout(5):
        while not ended:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("name", REFUSES)
async def test_what_is_not_a_run_is_refused(name: str) -> None:
    """An agent, its method, events and output are refused with the right call; no run goes on."""
    source = REFUSES[name]()
    await asyncio.sleep(0.01)
    with pytest.raises(StreamMisused, match=REFUSED):
        await nbkit.stream(source)
    if name == "events":
        await _end()


@pytest.mark.parametrize("name", ["agent", "events", "output"])
@pytest.mark.parametrize("among", [True, False], ids=["among others", "alone"])
async def test_show_all_refuses_them_too(name: str, among: bool) -> None:
    """Several answers at once are refused as one is, alone or among others."""
    source = REFUSES[name]()
    run = Slow(timeout=None).run()
    await asyncio.sleep(0.01)
    with pytest.raises(StreamMisused, match=REFUSED):
        nbkit.show_all({"one": run, "other": source} if among else source)
    if among or name == "events":
        await _end()
    await run.cancel_run()


async def test_a_batch_refuses_a_method_before_it_asks() -> None:
    """The method of an agent takes its question by name, so it is refused at once."""
    with pytest.raises(BatchMisused, match=REFUSED):
        nbkit.run_batch(["Hello?"], _agent().run)


async def test_a_batch_keeps_no_agents_output() -> None:
    """A function that gives what an agent gave is refused: its text may be partial."""
    with pytest.raises(BatchMisused, match=REFUSED):
        await nbkit.run_batch(["Hello?"], _asked, progress=False)


@pytest.mark.parametrize(
    ("ask", "error"),
    [(lambda: _agent().run, ExperimentError), (lambda: _asked, StreamMisused)],
    ids=["method", "output"],
)
async def test_measure_refuses_them_too(ask: Any, error: type[Exception]) -> None:
    """What is no answer is not measured."""
    with pytest.raises(error, match=REFUSED):
        await nbkit.measure(["Hello?"], ask(), progress=False)


async def test_a_method_is_no_chat_engine() -> None:
    """The method of an agent cannot be talked with or served, and the message says what can."""
    with pytest.raises(NotAChatEngine, match=REFUSED):
        nbkit.Conversation(_agent().run)
    with pytest.raises(ServeError, match=REFUSED):
        nbkit.serve(_agent().run)  # type: ignore[arg-type]


@pytest.mark.parametrize("measured", [False, True], ids=["stream", "measure"])
async def test_a_function_that_needs_the_loop_is_called_on_it(measured: bool) -> None:
    """A function without `async` that begins work on the event loop answers, too."""

    def ask(_: str = "") -> Any:
        async def text() -> list[str]:
            return ["one ", "two"]

        return asyncio.get_running_loop().create_task(text())

    if measured:
        experiment = await nbkit.measure(["Hello?"], ask, progress=False)
        [request] = experiment.requests_of()
        assert request.trace.sizes == [4, 3]
    else:
        assert (await nbkit.stream(lambda: ask())).text == "one two"


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
