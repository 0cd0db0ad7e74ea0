"""OpenAI's Responses protocol: how an answer ended, which LlamaIndex's client does not report."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.llms.openai import OpenAIResponses

import nbkit
from nbkit.streaming.errors import AnswerTruncated, NoAnswer

# LlamaIndex looks at all attributes of an agent, pydantic's deprecated ones too.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

USAGE = {
    "input_tokens": 9,
    "input_tokens_details": {"cached_tokens": 4},
    "output_tokens": 7,
    "output_tokens_details": {"reasoning_tokens": 5},
    "total_tokens": 16,
}
ITEM = {"item_id": "i1", "output_index": 0, "content_index": 0}
THOUGHT = {"type": "response.reasoning_summary_text.delta", "summary_index": 0, **ITEM}
TEXT = {"type": "response.output_text.delta", "logprobs": [], **ITEM}
HELLO = [{**THOUGHT, "delta": "Greet."}, {**TEXT, "delta": "Hel"}, {**TEXT, "delta": "lo"}]


def _response(status: str, why: str | None = None) -> dict[str, Any]:
    part = {"type": "output_text", "text": "Hello", "annotations": []}
    said = {"type": "message", "id": "i1", "role": "assistant", "content": [part]}
    return {
        "id": "r1",
        "object": "response",
        "created_at": 1,
        "model": "gpt-4o-mini",
        "status": status,
        "output": [{**said, "status": "completed"}],
        "usage": USAGE,
        "tools": [],
        "error": None,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "incomplete_details": {"reason": why} if why else None,
    }


def _end(status: str, why: str | None = None) -> dict[str, Any]:
    return {"type": f"response.{status}", "response": _response(status, why)}


@pytest.fixture
async def model() -> AsyncIterator[Any]:
    """Make a model of a server that streams these events, or answers whole with the last one."""
    servers = []

    async def make(*events: dict[str, Any]) -> OpenAIResponses:
        async def answer(request: web.Request) -> web.StreamResponse:
            if not (await request.json())["stream"]:
                return web.json_response(events[-1]["response"])
            response = web.StreamResponse(headers={"content-type": "text/event-stream"})
            await response.prepare(request)
            for number, event in enumerate(events):
                data = json.dumps({**event, "sequence_number": number})
                await response.write(f"event: {event['type']}\ndata: {data}\n\n".encode())
            return response

        app = web.Application()
        app.router.add_post("/v1/responses", answer)
        servers.append(TestServer(app))
        await servers[-1].start_server()
        url = str(servers[-1].make_url("/v1"))
        return OpenAIResponses(model="gpt-4o-mini", api_base=url, api_key="none", max_retries=0)

    yield make
    for server in servers:
        await server.close()


async def test_a_whole_answer(model: Any) -> None:
    """Text, thoughts and the counts of tokens are those of the events."""
    llm = await model(*HELLO, _end("completed"))
    answer = await nbkit.stream(llm.astream_complete("Hello?"))
    trace = answer.trace
    assert (answer.text, answer.thought, trace.finish_reason) == ("Hello", "Greet.", "stop")
    counts = (trace.prompt_tokens, trace.cached_tokens, trace.tokens, trace.reasoning_tokens)
    assert counts == (9, 4, 7, 5)


@pytest.mark.parametrize(
    ("end", "told"),
    [
        ([_end("incomplete", "max_output_tokens")], "token limit"),
        ([_end("incomplete", "content_filter")], "provider cut the answer"),
        ([_end("failed")], "could not finish"),
        ([], "closed after 2 chunks"),
    ],
)
async def test_an_answer_that_is_cut(model: Any, end: list[dict[str, Any]], told: str) -> None:
    """Whatever ended it too early is an error that keeps the partial answer."""
    llm = await model(*HELLO, *end)
    with pytest.raises(AnswerTruncated, match=told) as raised:
        await nbkit.stream(llm.astream_complete("Hello?"))
    assert raised.value.answer.text == "Hello"
    run = FunctionAgent(tools=[], llm=llm).run(user_msg="Hello?")
    with pytest.raises(AnswerTruncated, match=told) as raised:
        await nbkit.stream(run)
    assert (raised.value.answer.text, raised.value.answer.thought) == ("Hello", "Greet.")


async def test_an_answer_in_one_piece(model: Any) -> None:
    """What is not streamed is judged the same."""
    whole = await nbkit.stream((await model(_end("completed"))).acomplete("Hello?"))
    assert (whole.text, whole.trace.tokens) == ("Hello", 7)
    with pytest.raises(AnswerTruncated, match="token limit"):
        llm = await model(_end("incomplete", "max_output_tokens"))
        await nbkit.stream(llm.acomplete("Hello?"))


async def test_no_answer(model: Any) -> None:
    """A call of a tool, or a refusal, is not an answer, and the error says which it was."""
    call = {"type": "function_call", "id": "i1", "call_id": "c1", "name": "add", "arguments": ""}
    added = {"type": "response.output_item.added", "output_index": 0, "item": call}
    llm = await model(added, _end("completed"))
    with pytest.raises(NoAnswer, match="called `add`"):
        await nbkit.stream(llm.astream_complete("Add."))
    refusal = {"type": "response.refusal.delta", "delta": "I will not.", **ITEM}
    with pytest.raises(NoAnswer, match="I will not"):
        llm = await model(refusal, _end("completed"))
        await nbkit.stream(llm.astream_complete("Do harm."))
