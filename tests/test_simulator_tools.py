"""The simulated model with tools: which it calls, how that travels, and what it thinks."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import openai
import pytest

from nbkit.simulator import Simulator, tokenize
from nbkit.simulator.planned_reply import reply
from nbkit.simulator.prompts import PromptMessage
from nbkit.simulator.tools import Call, Offer


def _tool(name: str, description: str, **fields: Any) -> dict[str, Any]:
    """A tool as it is in a request; each field is required."""
    schema = {"type": "object", "properties": fields, "required": list(fields)}
    function = {"name": name, "description": description, "parameters": schema}
    return {"type": "function", "function": function}


TEXT, WHOLE, NUMBER = {"type": "string"}, {"type": "integer"}, {"type": "number"}
# None of these is about the handbook.
WEATHER = _tool("get_weather", "The weather in a city today.", city=TEXT)
MULTIPLY = _tool("multiply", "Multiply two integers and return the product.", a=WHOLE, b=WHOLE)
TIMETABLE = _tool("timetable", "Answers questions about trains and their prices.", input=TEXT)
ORDER = _tool("order_status", "Look up the state of an order.", order_number=TEXT)
TOOLS = [WEATHER, MULTIPLY, TIMETABLE, ORDER]


def _calls(question: str, tools: Sequence[Any] = TOOLS, **body: Any) -> list[tuple[str, Any]]:
    offer = Offer.read({"tools": tools, **body})
    calls = reply([PromptMessage("user", question)], offer).calls
    return [(call.name, json.loads(call.arguments)) for call in calls]


@pytest.mark.parametrize("size", [1, 7, 60, 300])
@pytest.mark.parametrize("question", ["What is 6 times 7?", "保修期多长？"])
def test_thoughts_have_the_size_that_is_asked_for(question: str, size: int) -> None:
    """As many tokens as asked for, whatever there is to think about."""
    thought = reply([PromptMessage("user", question)], Offer(), thinking=size).thought
    assert len(tokenize(thought)) == size


@pytest.mark.parametrize(
    ("question", "calls"),
    [
        ("What is the weather in Oslo?", [("get_weather", {"city": "Oslo"})]),
        ("What is 6 times 7?", [("multiply", {"a": 6, "b": 7})]),
        ("Where is my order 48213?", [("order_status", {"order_number": "48213"})]),
        ("When does the night train leave?", None),
        ("Hello!", []),
        ("Write a poem about the sea", []),
    ],
)
def test_a_tool_is_chosen_by_meaning(question: str, calls: list[tuple[str, Any]] | None) -> None:
    """The tool nearest to the question is called with what the question says, or none."""
    asked = question.strip("?")
    assert _calls(question) == ([("timetable", {"input": asked})] if calls is None else calls)


def test_two_parts_are_two_calls_at_once() -> None:
    """A question of two parts, or with two names for one tool, has two calls."""
    both = _calls("What is 12 times 12, and what is the weather in Rome?")
    assert both == [("multiply", {"a": 12, "b": 12}), ("get_weather", {"city": "Rome"})]
    cities = _calls("What's the weather in Paris and Lima today?")
    assert cities == [("get_weather", {"city": "Paris"}), ("get_weather", {"city": "Lima"})]
    one = _calls("What's the weather in Paris and Lima today?", parallel_tool_calls=False)
    assert one == cities[:1]


def test_a_chinese_question_calls_tools_too() -> None:
    """Parts, tools and arguments are found in Chinese as in English."""
    weather = _tool("weather", "查询一个城市今天的天气", city=TEXT)
    train = _tool("train", "回答关于火车和票价的问题", query=TEXT)
    calls = _calls("北京天气怎么样？另外去上海的火车票多少钱？", [weather, train])
    assert calls == [("weather", {"city": "北京"}), ("train", {"query": "去上海的火车票多少钱"})]


def test_a_tool_is_not_called_without_its_numbers() -> None:
    """A tool that needs two numbers is not called for a question that has none."""
    assert _calls("Can you multiply?", [MULTIPLY]) == []


def test_a_choice_in_the_request_is_followed() -> None:
    """`tool_choice` none, required, or one function decide before the meaning does."""
    assert _calls("What is 6 times 7?", tool_choice="none") == []
    named = {"type": "function", "function": {"name": "get_weather"}}
    assert _calls("What is 6 times 7?", tool_choice=named)[0][0] == "get_weather"
    assert _calls("Hello!", tool_choice="required")


def test_a_schema_is_filled_from_a_text() -> None:
    """Structured output: each field has what the text says about it."""
    bike = _tool(
        "Bike",
        "A bicycle",
        price={"type": "number", "description": "price in euros"},
        colours={"type": "array", "items": TEXT, "description": "colours it comes in"},
        frame={"$ref": "#/$defs/Frame"},
    )
    frame = {"type": "object", "properties": {"weight": NUMBER}, "required": ["weight"]}
    bike["function"]["parameters"]["$defs"] = {"Frame": frame}
    text = "The bike costs 850 euros. It comes in red and blue. Its weight is 11.5 kilograms."
    [(_, filled)] = _calls(text, [bike], tool_choice="required")
    assert filled["price"] == 850
    assert filled["frame"] == {"weight": 11.5}
    assert filled["colours"][0] == "It comes in red and blue."


def _asks(*more: tuple[str, str]) -> list[PromptMessage]:
    return [PromptMessage("user", "What is 6 times 7?"), *(PromptMessage(*m) for m in more)]


def test_results_are_answered_from() -> None:
    """After a tool's result the model answers with it, and calls no tool again."""
    offer = Offer.read({"tools": TOOLS})
    said = reply(_asks(("assistant", ""), ("tool", "42")), offer)
    assert (said.text, said.calls) == ("42", ())
    again = reply(_asks(("assistant", ""), ("tool", "42"), ("user", "And 3 times 3?")), offer)
    assert again.calls == (Call("multiply", '{"a": 3, "b": 3}'),)


def test_faults_of_tool_calls() -> None:
    """Broken arguments, a tool nobody offered, the same call for ever."""
    offer = Offer.read({"tools": TOOLS})
    [broken] = reply(_asks(), offer, fault="bad_json").calls
    with pytest.raises(ValueError, match="Expecting"):
        json.loads(broken.arguments)
    [unknown] = reply(_asks(), offer, fault="unknown_tool").calls
    assert unknown.name not in [tool.name for tool in offer.tools]
    for results in range(3):
        messages = _asks(*[("tool", "42")] * results)
        assert reply(messages, offer, fault="same_call").calls == reply(_asks(), offer).calls


REACT = (
    "You have access to the following tools:\n> Tool Name: multiply\nTool Description: Multiply "
    'two integers\nTool Args: {"properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}, '
    '"required": ["a", "b"], "type": "object"}\n'
)


def test_a_react_agent_is_answered_in_its_own_format() -> None:
    """Tools told in words are called in words, one after the other, and then answered."""
    messages = [PromptMessage("system", REACT), PromptMessage("user", "What is 6 times 7?")]
    called = reply(messages, Offer()).text
    assert called.startswith("Thought: ")
    assert called.endswith('Action: multiply\nAction Input: {"a": 6, "b": 7}')
    messages += [PromptMessage("assistant", called), PromptMessage("user", "Observation: 42")]
    assert reply(messages, Offer()).text.endswith("\nAnswer: 42")


QUESTION = "What is 12 times 12, and what is the weather in Rome?"


def _request(model: str, *more: Any) -> dict[str, Any]:
    messages: Any = [{"role": "user", "content": QUESTION}, *more]
    return {"model": model, "messages": messages, "tools": TOOLS}


def test_calls_stream_in_pieces(client: openai.OpenAI, model: Callable[..., str]) -> None:
    """Over the wire: thoughts, then each call's name, then its arguments in pieces."""
    options: Any = {"include_usage": True}
    request: Any = _request(model(thinking_tokens=10))
    chunks = list(client.chat.completions.create(**request, stream=True, stream_options=options))
    whole = client.chat.completions.create(**request)
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    thoughts = [getattr(delta, "reasoning_content", None) for delta in deltas]
    assert len(list(filter(None, thoughts))) == 10
    pieces = [piece for delta in deltas for piece in delta.tool_calls or ()]
    named = {piece.index: piece.function.name for piece in pieces if piece.id and piece.function}
    assert named == {0: "multiply", 1: "get_weather"}
    told = {n: "".join(p.function.arguments for p in pieces if p.index == n) for n in named}  # type: ignore[union-attr,misc]
    assert told == {0: '{"a": 12, "b": 12}', 1: '{"city": "Rome"}'}
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "tool_calls"
    message: Any = whole.choices[0].message
    assert whole.choices[0].finish_reason == "tool_calls"
    assert {n: c.function.arguments for n, c in enumerate(message.tool_calls)} == told
    assert message.reasoning_content == "".join(filter(None, thoughts))
    usage = chunks[-1].usage
    assert usage is not None
    assert usage.completion_tokens_details is not None
    assert usage.completion_tokens_details.reasoning_tokens == 10
    arguments = sum(len(tokenize(text)) for text in told.values())
    assert usage.completion_tokens == 10 + len(told) + arguments


def test_a_conversation_sent_again_is_cached(
    client: openai.OpenAI, model: Callable[..., str]
) -> None:
    """Tokens of messages that were sent before count as cached, if the model keeps them."""

    def counted(name: str, *more: Any) -> tuple[int, int]:
        usage = client.chat.completions.create(**_request(name, *more)).usage
        assert usage is not None
        assert usage.prompt_tokens_details is not None
        return usage.prompt_tokens, usage.prompt_tokens_details.cached_tokens or 0

    more = {"role": "assistant", "content": "144."}, {"role": "user", "content": "Are you sure?"}
    without, caching = model(), model(prefix_cache=True)
    assert [counted(without)[1], counted(without, *more)[1]] == [0, 0]
    size, cached = counted(caching)
    longer, found = counted(caching, *more)
    assert cached == 0
    assert found == size < longer


def test_cached_tokens_do_not_delay_the_first_token(
    client: openai.OpenAI, simulator: Simulator, model: Callable[..., str]
) -> None:
    """The first token waits only for the tokens that the model has not seen."""
    name = model(prefix_cache=True, speed=1, jitter=0, ttft=0, ttft_per_1k_prompt_tokens=2)
    for _ in range(2):
        client.chat.completions.create(**_request(name), max_tokens=1)
    first, again = simulator.requests(name)
    due = 2 * first["prompt_tokens"] / 1000
    assert first["first_token"] - first["received"] >= due
    assert again["cached_tokens"] == again["prompt_tokens"]
    assert again["first_token"] - again["received"] < due


def test_what_cannot_be_read_is_refused(client: openai.OpenAI, model: Callable[..., str]) -> None:
    """Tools without a name get 400 with a sentence."""
    tools: Any = [{"type": "function", "function": {}}]
    with pytest.raises(openai.BadRequestError, match="must be a function with a name"):
        client.chat.completions.create(**{**_request(model()), "tools": tools})
