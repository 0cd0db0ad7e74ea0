"""OpenAI's chunks and answers out of JSON that only resembles them."""

from typing import Any

import pydantic
from openai.types.chat import ChatCompletion, ChatCompletionChunk

_NOT_YET = (None, "", "null")
"""What some servers send as finish reason while there is none."""
_TEXTS = ("message", "msg", "detail", "status_msg", "error_msg")


def chunk(data: dict[str, Any]) -> ChatCompletionChunk:
    """One chunk of a stream.

    Read here though they bend the protocol: `choices` or `delta` missing or null, content as a
    list of parts, a whole `message` in place of `delta`, tool calls without index, usage without
    a total.
    """
    try:
        return ChatCompletionChunk.model_validate(data)
    except pydantic.ValidationError:
        data = _straight(data, "delta", "chat.completion.chunk")
    try:
        return ChatCompletionChunk.model_validate(data)
    except pydantic.ValidationError:
        return ChatCompletionChunk.construct(**data)


def completion(data: dict[str, Any]) -> ChatCompletion:
    """An answer in one piece, read as leniently as a chunk."""
    try:
        return ChatCompletion.model_validate(data)
    except pydantic.ValidationError:
        data = _straight(data, "message", "chat.completion")
    try:
        return ChatCompletion.model_validate(data)
    except pydantic.ValidationError:
        return ChatCompletion.construct(**data)


def as_chunk(whole: ChatCompletion) -> ChatCompletionChunk:
    """An answer in one piece as a stream of one chunk."""
    data = whole.model_dump()
    choices = [{**one, "delta": one["message"]} for one in data["choices"]]
    return chunk({**data, "object": "chat.completion.chunk", "choices": choices})


def has_answer(data: Any) -> bool:
    """Tell whether this is part of an answer in OpenAI's protocol at all."""
    return isinstance(data, dict) and ("choices" in data or "usage" in data)


def error_in(data: Any, event: str = "") -> tuple[str, Any] | None:
    """The error that a server sent in an answer's place: its words, and what holds them."""
    if isinstance(data, list) and len(data) == 1:
        data = data[0]
    if not isinstance(data, dict):
        return (str(data), data) if event == "error" else None
    if error := data.get("error"):
        return _words(error) or "the server reported an error", error
    base = data.get("base_resp")  # MiniMax
    if isinstance(base, dict) and base.get("status_code"):
        return _words(base) or "the server reported an error", base
    told = event == "error" or "code" in data or "detail" in data or "error_code" in data
    if told and "choices" not in data and (words := _words(data)):
        return words, data
    return None


def _words(error: Any) -> str:
    if isinstance(error, str):
        return error
    found = [error[name] for name in _TEXTS if error.get(name)] if isinstance(error, dict) else []
    return str(found[0]) if found else ""


def _straight(data: dict[str, Any], part: str, kind: str) -> dict[str, Any]:
    choices = data.get("choices")
    return {
        "id": "",
        "created": 0,
        "model": "",
        **{name: value for name, value in data.items() if value is not None},
        "object": kind,
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
    if part == "message":
        message["role"] = "assistant"
    reason = choice.get("finish_reason")
    if reason in _NOT_YET:
        reason = "stop" if part == "message" else None  # what is in one piece is whole
    return {
        "index": index,
        **{name: value for name, value in choice.items() if value is not None},
        part: message,
        "finish_reason": reason,
    }


def _text(content: Any, kind: str) -> str | None:
    """The text of a message, which may be a string, a part, or a list of parts of one `kind`."""
    if content is None or isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(_part(one, kind) for one in content)
    return _part(content, kind)


def _part(part: Any, kind: str) -> str:
    if isinstance(part, dict):
        return _text(part.get(kind), "text") or ""
    return str(part) if kind == "text" else ""


def _usage(usage: Any) -> dict[str, Any] | None:
    if not isinstance(usage, dict):
        return None
    asked = usage.get("prompt_tokens", usage.get("input_tokens"))
    answered = usage.get("completion_tokens", usage.get("output_tokens"))
    if not isinstance(asked, int) or not isinstance(answered, int):
        return None
    return {
        "total_tokens": asked + answered,
        **usage,
        "prompt_tokens": asked,
        "completion_tokens": answered,
    }
