"""How a reply ended, and whether it holds an answer at all."""

import json
from typing import Any

import pytest

import nbkit
from nbkit import stream
from nbkit.batch.retries import can_succeed_later
from nbkit.streaming.errors import AnswerTruncated, StreamError
from tests.asked import HELLO, STOP, ask, whole_too
from tests.wire import Scripted, answer, chunk, events, serving


@pytest.mark.parametrize(
    ("reason", "says", "later"),
    [
        ("length", "token limit .*`max_tokens`", False),
        ("MAX_TOKENS", "token limit", False),
        ("model_context_window_exceeded", "token limit", False),
        ("content_filter", "provider cut .*rephrase", False),
        ("content_filter: RECITATION", "provider cut", False),
        ("sensitive", "provider cut", False),
        ("network_error", "could not finish .*ask again", True),
        ("insufficient_system_resource", "could not finish", True),
        ("error", "could not finish", True),
        ("gone_fishing", "'gone_fishing', so the answer may be incomplete", False),
    ],
)
@whole_too
async def test_every_end_but_a_good_one_is_told(
    reason: str, says: str, later: bool, call: str
) -> None:
    """A closed list of good ends; all else is an error with the text kept, retried if it can be."""
    body = events(HELLO, chunk({}, reason))
    if "whole" in call:
        body = json.dumps(answer({"role": "assistant", "content": "Hello"}, reason)).encode()
    with pytest.raises(AnswerTruncated, match=says) as caught:
        await ask(Scripted(body, kind="application/json" if "whole" in call else ""), call)
    assert caught.value.answer.text == "Hello"
    assert can_succeed_later(caught.value) is later


@pytest.mark.parametrize("reason", ["stop", "eos", "eos_token", "end_turn", "COMPLETE", "STOP"])
@whole_too
async def test_good_ends_are_good(reason: str, call: str) -> None:
    """The synonyms that servers of the protocol send for "stop" are whole answers."""
    body = events(HELLO, chunk({}, reason))
    if "whole" in call:
        body = json.dumps(answer({"role": "assistant", "content": "Hello"}, reason)).encode()
    got = await ask(Scripted(body, kind="application/json" if "whole" in call else ""), call)
    assert (got.state, got.trace.finish_reason) == ("done", reason)


TOOL = [{"index": 0, "id": "1", "type": "function", "function": {"name": "look", "arguments": ""}}]
NO_ANSWERS = {
    "a thought": ({"reasoning_content": "Let me think."}, "stop", "thought .*'Let me think.'"),
    "a thought of vLLM's": ({"reasoning": "Let me think."}, "stop", "thought .*'Let me think.'"),
    "a refusal": ({"refusal": "I will not."}, "stop", "refused to answer: 'I will not.'"),
    "a tool call": ({"tool_calls": TOOL}, "tool_calls", "called `look` instead of answering"),
    "nothing": ({"content": ""}, "stop", r"empty answer \(finish reason 'stop'\)"),
}


@whole_too
@pytest.mark.parametrize(("message", "reason", "says"), NO_ANSWERS.values(), ids=NO_ANSWERS)
async def test_a_reply_without_an_answer_is_told(
    message: dict[str, Any], reason: str, says: str, call: str
) -> None:
    """Only a thought, a refusal, a tool call or nothing at all never passes for an answer."""
    body = events(chunk(message), chunk({}, reason))
    if "whole" in call:
        body = json.dumps(answer({"role": "assistant", **message}, reason)).encode()
    with pytest.raises(AnswerTruncated, match=says) as caught:
        await ask(Scripted(body, kind="application/json" if "whole" in call else ""), call)
    assert not caught.value.answer.text
    if "'" in says and "finish" not in says:
        assert caught.value.kept in ("Let me think.", "I will not.")  # type: ignore[attr-defined]


@pytest.mark.parametrize("chat_mode", ["simple", "context"])
@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("message", [{"refusal": "I will not."}, {"content": ""}])
async def test_nothing_empty_enters_a_memory(
    message: dict[str, Any], streaming: bool, chat_mode: Any
) -> None:
    """After a reply without an answer the memory holds the question and a mark, once each."""
    body = events(chunk(message), STOP)
    if not streaming:
        body = json.dumps(answer({"role": "assistant", "content": "", **message})).encode()
    wire = Scripted(body, kind="text/event-stream" if streaming else "application/json")
    async with serving(wire):
        llm = nbkit.connect(wire.base_url, model="m", context_window=32_768)
        index = nbkit.load_index("en")
        engine = index.as_chat_engine(chat_mode=chat_mode, llm=llm)
        call = engine.astream_chat if streaming else engine.achat
        with pytest.raises(StreamError):
            await stream(call("Will you?"))
    said = [(one.role.value, one.content) for one in engine.chat_history]
    assert said == [("user", "Will you?"), ("assistant", "[interrupted]")]


async def test_a_refusal_is_no_empty_response() -> None:
    """LlamaIndex's "Empty Response" for a reply without text does not pass for an answer."""
    wire = Scripted(
        json.dumps(answer({"role": "assistant", "refusal": "I will not."})).encode(),
        kind="application/json",
    )
    async with serving(wire):
        llm = nbkit.connect(wire.base_url, model="m", context_window=32_768)
        engine = nbkit.load_index("en").as_query_engine(llm=llm)
        with pytest.raises(AnswerTruncated, match="refused to answer"):
            await stream(engine.aquery("Will you?"))
