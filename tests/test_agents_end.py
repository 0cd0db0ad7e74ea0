"""How the run of an agent ends: stopped in any phase, or out of time; and people it asks."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from llama_index.core.agent.workflow import AgentStream, FunctionAgent
from llama_index.core.memory import Memory
from llama_index.core.workflow import (
    Context,
    HumanResponseEvent,
    InputRequiredEvent,
    StartEvent,
    StopEvent,
    Workflow,
    step,
)

import nbkit
from nbkit.streaming.errors import StreamBroken, StreamMisused
from nbkit.streaming.stream import TokenStream
from tests.asked_agents import PRODUCT, agent, multiply
from tests.simulated import simulated

# LlamaIndex looks at all attributes of an agent, pydantic's deprecated ones too.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

# In which phase of the run it is stopped: a model that thinks, a tool that runs, an answer.
PHASES: dict[str, Callable[[TokenStream], bool]] = {
    "thinking": lambda stream: len(stream.thought) > 20,
    "tool": lambda stream: bool(stream.steps) and stream.steps[-1].state == "running",
    "answer": lambda stream: len(stream.text) > 10,
}
tool_ended: list[bool] = []


async def slow_weather(city: str) -> str:
    """The weather in a city today."""
    try:
        await asyncio.sleep(0.3)
        tool_ended.append(True)
    except asyncio.CancelledError:
        tool_ended.append(False)
        raise
    return f"It is sunny in {city} and all of its suburbs, as it has been for weeks now."


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("how", ["cancel", "leave the loop", "cancel the task"])
async def test_a_stop_ends_the_run(phase: str, how: str) -> None:
    """Stopped in any phase: the request ends within a token, the tool ends, nothing goes on."""
    tool_ended.clear()
    await nbkit.stream(
        agent(FunctionAgent, multiply).run(user_msg=PRODUCT)
    )  # imports what it needs
    llm = simulated(ttft=0.05, tokens_per_second=50, jitter=0, thinking_tokens=12, speed=1)
    llm.simulator.clear()
    memory = Memory.from_defaults(session_id=f"{phase} {how}")
    asked = FunctionAgent(tools=[slow_weather], llm=llm)
    stream = nbkit.stream(lambda: asked.run(user_msg="Weather in Oslo?", memory=memory))
    await _stop(stream, PHASES[phase], how)
    async with asyncio.timeout(5):
        while any(row["ended"] is None for row in llm.simulator.requests(llm.model)):
            await asyncio.sleep(0.01)
    rows = llm.simulator.requests(llm.model)
    assert len(rows) == (2 if phase == "answer" else 1)
    ended = rows[-1]
    assert ended["status"] == ("done" if phase == "tool" else "cancelled")
    if phase == "tool":
        assert tool_ended == [False]
    else:
        # Twelve thoughts and the answer are what the reader can have seen of this request.
        assert ended["tokens_sent"] < ended["tokens_planned"]
    # Nobody waits for the end of a stream whose loop was left: its memory follows a little later.
    async with asyncio.timeout(5):
        while len(messages := await memory.aget_all()) < 2:
            await asyncio.sleep(0.01)
    assert [(m.role.value, m.content) for m in messages] == [
        ("user", "Weather in Oslo?"),
        ("assistant", f"{stream.text}\n\n[interrupted]".lstrip()),
    ]
    llm.simulator.set(llm.model, speed=0)
    again = await nbkit.stream(asked.run(user_msg="Weather in Oslo?", memory=memory))
    llm.simulator.set(llm.model, speed=1)
    assert again.text.startswith("It is sunny")


async def _stop(stream: TokenStream, is_reached: Callable[[], bool] | Any, how: str) -> None:
    """Read a stream until a phase is reached, then end it in one of three ways."""
    reading: Awaitable[Any]

    async def leave() -> None:
        async for _ in stream:
            if is_reached(stream):
                return

    if how == "leave the loop" and is_reached is PHASES["answer"]:
        await leave()
        return
    reading = asyncio.create_task(stream)
    async with asyncio.timeout(10):
        while not is_reached(stream):
            await asyncio.sleep(0.002)
    if how == "cancel the task":
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        return
    stream.cancel()
    assert (await reading).stopped


async def test_a_stop_reaches_the_server_within_a_token() -> None:
    """Of twenty stops, each at another moment, none lets the server write a further token."""
    llm = simulated(ttft=0.02, tokens_per_second=40, jitter=0, thinking_tokens=4, speed=1)
    asked = FunctionAgent(tools=[multiply], llm=llm)
    late = 0
    for number in range(20):
        llm.simulator.clear()
        stream = nbkit.stream(lambda: asked.run(user_msg="Tell me a story"))
        reading = asyncio.create_task(stream)
        while len(stream.trace.thoughts) + stream.trace.chunks <= number % 8:
            await asyncio.sleep(0.002)
        stream.cancel()
        answer = await reading
        seen = len(answer.trace.thoughts) + answer.trace.chunks
        async with asyncio.timeout(5):
            while (row := llm.simulator.requests(llm.model)[-1])["ended"] is None:
                await asyncio.sleep(0.002)
        late += row["tokens_sent"] > seen + 1
    assert late == 0


async def test_a_run_out_of_time_is_an_error_with_its_steps() -> None:
    """An agent that takes longer than its own limit says so; the steps are kept."""
    llm = nbkit.connect(speed=0)
    asked = FunctionAgent(tools=[slow_weather], llm=llm, timeout=0.2)
    with pytest.raises(StreamBroken, match="within its time limit") as raised:
        await nbkit.stream(asked.run(user_msg="Weather in Oslo?"))
    assert raised.value.answer.steps[0].state == "running"


class Asks(Workflow):
    """A workflow that asks a person before it answers."""

    @step
    async def ask(self, ctx: Context, event: StartEvent) -> InputRequiredEvent:
        return InputRequiredEvent(prefix="Shall I?")  # type: ignore[call-arg]

    @step
    async def answer(self, ctx: Context, event: HumanResponseEvent) -> StopEvent:
        said = event.response
        ctx.write_event_to_stream(
            AgentStream(delta=f"You said {said}.", response="", current_agent_name="A")
        )
        return StopEvent(result=f"You said {said}.")


async def test_a_person_is_asked_and_not_timed() -> None:
    """A run that waits for a person says what it asks; the wait is no latency."""
    stream = nbkit.stream(lambda: Asks().run())
    with pytest.raises(StreamMisused, match="Nothing was asked"):
        stream.reply("too early")
    reading = asyncio.create_task(stream)
    async with asyncio.timeout(5):
        while stream.question is None:
            await asyncio.sleep(0.01)
    assert stream.question == "Shall I?"
    await asyncio.sleep(0.3)
    stream.reply("yes")
    answer = await reading
    trace = answer.trace
    assert answer.text == "You said yes."
    assert stream.question is None
    assert trace.waited >= 0.3
    assert trace.end_to_end == pytest.approx(trace.arrivals[-1] - trace.start - trace.waited)


async def test_a_tool_that_asks_a_person_is_one_step() -> None:
    """LlamaIndex runs such a tool again after the reply; it is the same call."""

    async def order(ctx: Context, item: str) -> str:
        """Order an item."""
        asked = InputRequiredEvent(prefix=f"Buy {item}?")  # type: ignore[call-arg]
        reply = await ctx.wait_for_event(HumanResponseEvent, waiter_event=asked, waiter_id=item)
        return f"Ordered: {reply.response}"

    stream = nbkit.stream(lambda: agent(FunctionAgent, order).run(user_msg="Order a lamp"))
    reading = asyncio.create_task(stream)
    async with asyncio.timeout(5):
        while stream.question is None:
            await asyncio.sleep(0.01)
    stream.reply("yes")
    answer = await reading
    assert [(one.tool, one.state, one.result) for one in answer.steps] == [
        ("order", "done", "Ordered: yes")
    ]
