"""OpenAI's chunks and answers, made from JSON that is similar but not equal to OpenAI's."""

from typing import Any, TypeVar

import pydantic
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from nbkit.language import say

_Reply = TypeVar("_Reply", ChatCompletion, ChatCompletionChunk)
_TEXTS = ("message", "msg", "detail", "status_msg", "error_msg")


def chunk(data: dict[str, Any]) -> ChatCompletionChunk:
    """One chunk of a stream.

    Accepted: `choices` or `delta` missing or null, content as a list of parts, a whole `message`
    in place of `delta`, tool calls without index, usage without a total.
    """
    return _lenient(ChatCompletionChunk, data, "delta")


def completion(data: dict[str, Any]) -> ChatCompletion:
    """A complete answer; accepts the same differences as `chunk`."""
    return _lenient(ChatCompletion, data, "message")


def as_chunk(whole: ChatCompletion) -> ChatCompletionChunk:
    """A complete answer as a single chunk."""
    data = whole.model_dump()
    choices = [{**one, "delta": one["message"]} for one in data["choices"]]
    return chunk({**data, "object": "chat.completion.chunk", "choices": choices})


def error_in(data: Any, event: str = "") -> tuple[str, Any] | None:
    """The error that a server sent instead of an answer: its message and its object."""
    if isinstance(data, list) and len(data) == 1:
        data = data[0]
    if not isinstance(data, dict):
        return (str(data), data) if event == "error" else None
    base = data.get("base_resp")  # MiniMax
    failed = isinstance(base, dict) and base.get("status_code")
    if error := data.get("error") or (base if failed else None):
        return _words(error) or say("the server reported an error"), error
    told = event == "error" or data.keys() & {"code", "detail", "error_code"}
    if told and "choices" not in data and (words := _words(data)):
        return words, data
    return None


def _words(error: Any) -> str:
    if isinstance(error, dict):
        return next((str(error[name]) for name in _TEXTS if error.get(name)), "")
    return error if isinstance(error, str) else ""


def _lenient(kind: type[_Reply], data: dict[str, Any], part: str) -> _Reply:
    try:
        return kind.model_validate(data)
    except pydantic.ValidationError:
        data = _completed(data, part)
    try:
        return kind.model_validate(data)
    except pydantic.ValidationError:
        return kind.construct(**data)


def _completed(data: dict[str, Any], part: str) -> dict[str, Any]:
    choices = data.get("choices")
    return {
        "id": "",
        "created": 0,
        "model": "",
        **_without_nulls(data),
        "object": "chat.completion" if part == "message" else "chat.completion.chunk",
        "usage": _usage(data.get("usage")),
        "choices": [
            _choice(one, index, part)
            for index, one in enumerate(choices if isinstance(choices, list) else [])
            if isinstance(one, dict)
        ],
    }


def _choice(choice: dict[str, Any], index: int, part: str) -> dict[str, Any]:
    message = choice.get(part) or choice.get("message") or choice.get("delta") or {}
    if not isinstance(message, dict):
        message = {"content": message}
    content = message.get("content", choice.get("text"))
    message = {**message, "content": _text(content, "text")}
    if isinstance(content, list) and (thought := _text(content, "thinking")):
        message["reasoning_content"] = thought
    if calls := message.get("tool_calls"):
        message["tool_calls"] = [
            {"index": number, **call} for number, call in enumerate(calls) if isinstance(call, dict)
        ]
    whole = part == "message"
    if whole:
        message["role"] = "assistant"
    reason = choice.get("finish_reason")
    if reason in (None, "", "null"):
        reason = "stop" if whole else None
    return {"index": index, **_without_nulls(choice), part: message, "finish_reason": reason}


def _text(content: Any, kind: str) -> str | None:
    """The text of a message: a string, a part, or the parts of one `kind` in a list."""
    if content is None or isinstance(content, str):
        return content
    if isinstance(content, dict):
        return _text(content.get(kind), "text") or ""
    if isinstance(content, list):
        return "".join(
            (_text(one, kind) or "") for one in content if kind == "text" or isinstance(one, dict)
        )
    return str(content)


def _usage(usage: Any) -> dict[str, Any] | None:
    if not isinstance(usage, dict):
        return None
    asked = usage.get("prompt_tokens", usage.get("input_tokens"))
    answered = usage.get("completion_tokens", usage.get("output_tokens"))
    if not isinstance(asked, int) or not isinstance(answered, int):
        return None
    counted = {"prompt_tokens": asked, "completion_tokens": answered}
    return {"total_tokens": asked + answered, **usage, **counted}


def _without_nulls(data: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in data.items() if value is not None}
