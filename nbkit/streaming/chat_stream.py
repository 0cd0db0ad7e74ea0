"""The model's answer on its way into LlamaIndex's chat memory."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

from llama_index.core.base.llms.types import ChatResponse
from llama_index.core.chat_engine.types import StreamingAgentChatResponse

from nbkit.streaming.history import ChatTurn
from nbkit.wording import Joining


def watch_answer(response: StreamingAgentChatResponse, turn: ChatTurn) -> None:
    """Have whole characters written to the memory, and the turn told when the model has ended."""
    if response.achat_stream is not None:
        response.achat_stream = _awatched(response.achat_stream, turn)  # type: ignore[assignment]
    if response.chat_stream is not None:
        response.chat_stream = _watched(response.chat_stream, turn)  # type: ignore[assignment]


async def _awatched(stream: Any, turn: ChatTurn) -> AsyncIterator[ChatResponse]:
    joining, last = Joining(), None
    async for last in stream:
        last.delta = joining.add(last.delta or "")
        yield last
    for rest in _rest(joining, last):
        yield rest
    turn.answered = True


def _watched(stream: Any, turn: ChatTurn) -> Iterator[ChatResponse]:
    joining, last = Joining(), None
    for last in stream:
        last.delta = joining.add(last.delta or "")
        yield last
    yield from _rest(joining, last)
    turn.answered = True


def _rest(joining: Joining, last: ChatResponse | None) -> Iterator[ChatResponse]:
    if last is not None and (half := joining.end()):
        yield last.model_copy(update={"delta": half})
