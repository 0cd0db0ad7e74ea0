"""What can go wrong in the run of an agent: its tools, its model, its end."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from llama_index.core.agent.workflow import AgentWorkflow, FunctionAgent
from llama_index.core.base.llms.types import ImageBlock, TextBlock
from llama_index.core.llms import MockLLM

import nbkit
from nbkit.displays.agent_steps import step_rows
from nbkit.streaming.errors import AnswerTruncated, StreamBroken
from tests.asked_agents import PRODUCT, agent, multiply
from tests.simulated import simulated

# LlamaIndex looks at all attributes of an agent, pydantic's deprecated ones too.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def _returns(result: Any) -> Callable[[str], Any]:
    def weather(city: str) -> Any:
        """The weather in a city today."""
        return result

    return weather


async def test_an_image_is_named() -> None:
    """A step whose tool returned an image says so, beside the text."""
    picture = ImageBlock(image=b"\x89PNG\r\n\x1a\n", image_mimetype="image/png")
    for result, told in [(picture, "[image]"), ([TextBlock(text="sunny"), picture], "sunny")]:
        asked = agent(FunctionAgent, _returns(result))
        answer = await nbkit.stream(asked.run(user_msg="Weather in Oslo?"))
        assert answer.steps[0].result == told
        assert answer.text


async def test_a_result_of_a_megabyte_is_too_long_for_the_model() -> None:
    """The error names the results of tools; the step keeps all of it, and a screen a part."""
    asked = agent(FunctionAgent, _returns("sunny " * 170_000))
    with pytest.raises(StreamBroken, match="shorter results of tools") as raised:
        await nbkit.stream(asked.run(user_msg="Weather in Oslo?"))
    steps = raised.value.answer.steps
    assert len(steps[0].result or "") > 1_000_000
    assert len(str(step_rows(steps))) < 3_000


async def test_an_agent_without_tools_answers() -> None:
    """It is a chat: one request, no steps."""
    answer = await nbkit.stream(FunctionAgent(llm=nbkit.connect(speed=0)).run(user_msg="Hello!"))
    assert (answer.state, answer.steps, answer.trace.requests) == ("done", [], 1)


async def test_a_model_that_cannot_call_tools() -> None:
    """LlamaIndex's error becomes a sentence with what to use, and no word of a chat."""
    asked = FunctionAgent(tools=[multiply], llm=MockLLM())
    with pytest.raises(StreamBroken, match="ReActAgent") as raised:
        await nbkit.stream(asked.run(user_msg=PRODUCT))
    assert "chat" not in str(raised.value)


async def test_a_tool_that_blocks_is_named() -> None:
    """`watch_loop` names the line of a tool that blocks the event loop."""

    async def blocks(city: str) -> str:
        """The weather in a city today."""
        time.sleep(0.3)  # noqa: ASYNC251
        return "sunny"

    with nbkit.watch_loop(threshold=0.2) as watch:
        await nbkit.stream(agent(FunctionAgent, blocks).run(user_msg="Weather in Oslo?"))
    assert "time.sleep(0.3)" in watch.blocks[0].where


async def test_agents_that_hand_over_for_ever() -> None:
    """A loop of handoffs ends at the limit of iterations, with its steps."""
    llm = nbkit.connect(speed=0)
    agents: list[Any] = [
        FunctionAgent(name=name, description="Knows the weather in a city", llm=llm)
        for name in ("one", "two")
    ]
    run = AgentWorkflow(agents=agents, root_agent="one").run(
        user_msg="Weather in Oslo?", max_iterations=4
    )
    with pytest.raises(StreamBroken, match="again and again") as raised:
        await nbkit.stream(run)
    assert [step.agent for step in raised.value.answer.steps] == ["one", "two", "one"]


def failing(city: str) -> str:
    """The weather in a city today."""
    raise ValueError(f"no station in {city}")


async def test_a_tool_that_raises_is_a_failed_step() -> None:
    """The run goes on with the error, as LlamaIndex has it; the step says what was raised."""
    answer = await nbkit.stream(agent(FunctionAgent, failing).run(user_msg="Weather in Oslo?"))
    [step] = answer.steps
    assert (step.state, step.error, step.result) == ("failed", "no station in Oslo", None)
    assert answer.state == "done"


@pytest.mark.parametrize(
    ("fault", "error"), [("bad_json", "argument"), ("unknown_tool", "not found")]
)
async def test_a_call_that_cannot_be_made_is_a_failed_step(fault: str, error: str) -> None:
    """Broken arguments and unknown tools are steps with what was wrong."""
    answer = await nbkit.stream(agent(FunctionAgent, multiply, fault=fault).run(user_msg=PRODUCT))
    [step] = answer.steps
    assert step.state == "failed"
    assert error in (step.error or "")


async def test_an_endless_run_is_an_error_with_its_steps() -> None:
    """An agent that calls its tool for ever ends at its limit, and says so in one sentence."""
    asked = agent(FunctionAgent, multiply, fault="same_call")
    with pytest.raises(StreamBroken, match="called tools again and again") as raised:
        await nbkit.stream(asked.run(user_msg=PRODUCT, max_iterations=4))
    assert len(raised.value.answer.steps) == 3
    assert raised.value.answer.state == "failed"


async def test_an_answer_that_is_cut_is_truncated() -> None:
    """A last request that ends at the token limit is an error with the partial answer."""
    llm = simulated(speed=0).model_copy(update={"max_tokens": 5})
    with pytest.raises(AnswerTruncated, match="token limit") as raised:
        await nbkit.stream(FunctionAgent(tools=[multiply], llm=llm).run(user_msg="Hello there!"))
    assert raised.value.answer.text == "None of the tools I"


async def test_a_server_that_fails_is_told_in_words() -> None:
    """A server error in a run is a StreamBroken, as with a query."""
    with pytest.raises(StreamBroken, match="500"):
        await nbkit.stream(agent(FunctionAgent, multiply, fault="error").run(user_msg=PRODUCT))
