"""Agents in a conversation and behind a server."""

from collections.abc import Iterator
from contextlib import aclosing

import pytest
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.memory import Memory
from llama_index.core.workflow import Context

import nbkit
from nbkit.streaming.conversation import NotAChatEngine, TurnRunning
from nbkit.web.server import ServeError, Server
from tests.asked_agents import PRODUCT, agent, handbook, multiply
from tests.served import answer_to, text_of
from tests.simulated import simulated

# LlamaIndex looks at all attributes of an agent, pydantic's deprecated ones too.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


async def test_a_conversation_with_an_agent_remembers() -> None:
    """Each turn is answered with the earlier ones in memory; `clear` forgets them."""
    talk = nbkit.Conversation(agent(FunctionAgent, multiply))
    assert (await talk.turn(PRODUCT)).text == "42"
    assert (await talk.turn("What is 3 times 3?")).text == "9"
    assert talk.history == [
        ("user", PRODUCT),
        ("assistant", "42"),
        ("user", "What is 3 times 3?"),
        ("assistant", "9"),
    ]
    talk.clear()
    assert talk.history == []


async def test_a_new_question_is_not_the_old_one_again() -> None:
    """The simulated model calls tools for the new question only, if that has words of its own."""
    talk = nbkit.Conversation(agent(FunctionAgent, handbook()))
    await talk.turn("How do I return it?")
    again = await talk.turn("Is there a discount?")
    assert [step.arguments["input"] for step in again.steps] == ["Is there a discount"]


async def test_a_memory_of_ones_own_is_used() -> None:
    """An agent's conversation goes on from the memory it is given; a chat engine has its own."""
    memory = Memory.from_defaults(session_id="mine")
    await nbkit.Conversation(agent(FunctionAgent, multiply), memory).turn(PRODUCT)
    assert nbkit.Conversation(agent(FunctionAgent, multiply), memory).history[0] == (
        "user",
        PRODUCT,
    )
    engine = nbkit.load_index("en").as_chat_engine(llm=nbkit.connect(speed=0))
    with pytest.raises(NotAChatEngine, match="a memory of its own"):
        nbkit.Conversation(engine, memory)


async def test_a_context_is_used() -> None:
    """A conversation goes on from a context: its memory, and what tools keep there, after stops."""

    async def count(ctx: Context) -> str:
        """Count the calls of this tool."""
        async with ctx.store.edit_state() as state:
            state["calls"] = state.get("calls", 0) + 1
            return f"Calls: {state['calls']}"

    llm = nbkit.connect(speed=0)
    asked = FunctionAgent(tools=[count], llm=llm, initial_state={"theme": "lamps"})
    context = Context(asked)
    await asked.run(user_msg="Count the calls", ctx=context)
    talk = nbkit.Conversation(asked, context)
    earlier = talk.history
    assert [role for role, _ in earlier] == ["user", "assistant"]
    async for _ in (turn := talk.turn("Count the calls")):
        turn.cancel()
    assert (await talk.turn("Count the calls")).text == "Calls: 3"
    assert talk.history[:2] == earlier
    assert talk.history[3] == ("assistant", f"{turn.text}\n\n[interrupted]")
    assert talk.history[-1] == ("assistant", "Calls: 3")
    assert talk.context is not None
    assert await talk.context.store.get("calls") == 3


@pytest.mark.parametrize("when", ["before", "during"])
async def test_a_stopped_turn_of_an_agent_is_marked(when: str) -> None:
    """A turn stopped before or after the run began leaves the question and a marked answer."""
    llm = simulated(ttft=0.05, tokens_per_second=30, jitter=0, speed=1)
    talk = nbkit.Conversation(FunctionAgent(tools=[multiply], llm=llm))
    turn = talk.turn("Hello there!")
    with pytest.raises(TurnRunning):
        talk.turn("Too early")
    if when == "before":
        turn.cancel()
        await turn
    else:
        async with aclosing(aiter(turn)) as chunks:  # type: ignore[type-var]
            await anext(chunks)
    said = f"{turn.text}\n\n[interrupted]".lstrip()
    assert talk.history == [("user", "Hello there!"), ("assistant", said)]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server with an agent that thinks, for questions and for chats."""
    asked = agent(FunctionAgent, multiply, thinking_tokens=8)
    with nbkit.serve(asked, chat=lambda: asked) as running:
        yield running


@pytest.mark.parametrize("path", ["query", "chat"])
def test_a_served_agent_sends_its_thoughts_and_steps(server: Server, path: str) -> None:
    """The events name each tool when it begins and when it has ended, then comes the answer."""
    asked = {"question": PRODUCT} if path == "query" else {"message": PRODUCT}
    events = answer_to(server, path, **asked)
    steps = [event["data"] for event in events if event["event"] == "step"]
    assert steps[-1].pop("seconds") >= 0
    assert steps[-1] == {
        "number": 0,
        "tool": "multiply",
        "arguments": {"a": "6", "b": "7"},
        "agent": "Agent",
        "state": "done",
        "result": "42",
    }
    thought = "".join(e["data"]["text"] for e in events if e["event"] == "thinking")
    assert thought.startswith("The user asks: What is")
    assert text_of(events) == "42"
    done = events[-1]["data"]
    assert done["ttft"] < done["ttfo"]


def test_a_shared_agent_is_no_chat() -> None:
    """`chat=` takes a function: one agent would do, but each conversation begins with one."""
    with pytest.raises(ServeError, match="pass a function"):
        nbkit.serve(chat=agent(FunctionAgent, multiply))
