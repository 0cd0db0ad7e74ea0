"""A chat's memory that fails or has no room, and messages that do not fit."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from llama_index.core import Document, VectorStoreIndex
from llama_index.core.base.llms.types import ChatMessage, LLMMetadata
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.embeddings import MockEmbedding
from llama_index.core.memory import ChatMemoryBuffer, Memory

import nbkit
from nbkit import stream
from nbkit.models.providers import SimulatedOpenAI
from nbkit.streaming.errors import StreamBroken, StreamError
from nbkit.streaming.history import MemoryNotWritten
from nbkit.streaming.stream import TokenStream
from tests.wire import Wire, serving

QUESTION, NEXT = "How long is the warranty of the lamp?", "And the battery?"
LONG = "word " * 6000


class FullDisk(ChatMemoryBuffer):
    """A memory on a disk that is full as soon as it has taken so many messages."""

    room: int = 0

    async def aput(self, message: ChatMessage) -> None:
        if self.room <= 0:
            raise OSError(28, "No space left on device")
        self.room -= 1
        await super().aput(message)

    async def aput_messages(self, messages: list[ChatMessage]) -> None:
        for message in messages:
            await self.aput(message)

    def put(self, message: ChatMessage) -> None:
        raise OSError(28, "No space left on device")


class Small(SimulatedOpenAI):
    """The simulated model with a small context window."""

    @property
    def metadata(self) -> LLMMetadata:
        return super().metadata.model_copy(update={"context_window": 3000, "num_output": 256})


class Narrow(Wire):
    """A server that refuses what is longer than its model's context window."""

    async def talk(self, reader: Any, writer: Any) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        body = await reader.readexactly(length)
        self.bodies.append(body)
        if length < 5_000:
            await self._stream(writer)
        else:
            error = {"message": "This model's maximum context length is 4096 tokens."}
            error |= {"type": "invalid_request_error", "code": "context_length_exceeded"}
            text = json.dumps({"error": error}).encode()
            writer.write(b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\n")
            writer.write(b"connection: close\r\n")
            writer.write(b"content-length: %d\r\n\r\n%s" % (len(text), text))
        await writer.drain()
        writer.close()


def _memory(room: int) -> FullDisk:
    return FullDisk(room=room, token_limit=10_000, tokenizer_fn=str.split)


def _engine(memory: Any, **settings: Any) -> SimpleChatEngine:
    llm = nbkit.connect(**({"speed": 0} | settings))
    return SimpleChatEngine.from_defaults(llm=llm, memory=memory)


async def _failed(tokens: TokenStream, stop_at: int = 0) -> StreamError:
    def hear(_: str) -> None:
        if tokens.trace.chunks == stop_at:
            tokens.cancel()

    with pytest.raises(StreamError) as caught:
        await tokens.follow(hear)
    assert tokens.answer is caught.value.answer
    assert caught.value.answer.error is caught.value
    return caught.value


@pytest.mark.parametrize("plain", [False, True], ids=["conversation", "plain"])
@pytest.mark.parametrize("room", [0, 1], ids=["question", "answer"])
async def test_a_memory_that_cannot_be_written(room: int, plain: bool) -> None:
    """Whatever of a turn the memory does not take, the answer is kept and the error says why."""
    engine = _engine(_memory(room))
    ask = engine.astream_chat
    error = await _failed(stream(ask(QUESTION)) if plain else nbkit.Conversation(engine).turn(NEXT))
    assert "No space left on device" in str(error)
    assert "memory could not be written" in str(error)
    assert isinstance(error, MemoryNotWritten)
    assert isinstance(error.__cause__, OSError)
    assert bool(error.answer.text) == (room == 1)


async def test_a_blocking_memory_that_cannot_be_written() -> None:
    """The same holds for LlamaIndex's blocking calls."""
    engine = _engine(_memory(9))
    error = await _failed(stream(lambda: engine.stream_chat(QUESTION)))
    assert "No space left on device" in str(error)


async def test_a_stopped_turn_that_cannot_be_written() -> None:
    """Stopped midway, a turn whose memory fails keeps its partial answer and says both."""
    engine = _engine(_memory(1), speed=1, ttft=0.0, tokens_per_second=100.0)
    error = await _failed(nbkit.Conversation(engine).turn(QUESTION), stop_at=2)
    assert isinstance(error, MemoryNotWritten)
    assert error.answer.stopped
    assert error.answer.text


async def test_a_broken_turn_that_cannot_be_written() -> None:
    """Broken midway, such a turn says first what broke it, then that the memory failed."""
    engine = _engine(_memory(1), fault="cut", fault_after=3)
    error = await _failed(nbkit.Conversation(engine).turn(QUESTION))
    assert str(error).startswith("The stream broke after 3 chunks")
    assert "memory could not be written" in str(error)


@pytest.mark.parametrize("mode", ["context", "condense_plus_context"])
async def test_a_message_that_does_not_fit(mode: str) -> None:
    """A message too long for LlamaIndex's check is not remembered, and the next turn works."""
    index = VectorStoreIndex.from_documents(
        [Document(text="The warranty of the lamp lasts 24 months.")],
        embed_model=MockEmbedding(embed_dim=8),
    )
    made = nbkit.connect(speed=0)
    llm = Small.model_construct(**dict(made))
    llm.__pydantic_private__ = made.__pydantic_private__
    conversation = nbkit.Conversation(index.as_chat_engine(chat_mode=mode, llm=llm))
    first = await conversation.turn(QUESTION)
    before = conversation.history
    error = await _failed(conversation.turn(LONG))
    assert "context window" in str(error)
    assert "does not remember this message" in str(error)
    assert conversation.history == before
    second = await conversation.turn(NEXT)
    assert first.text
    assert second.state == "done"


@pytest.mark.parametrize(
    "memory", [Memory.from_defaults, ChatMemoryBuffer.from_defaults], ids=["Memory", "Buffer"]
)
@pytest.mark.parametrize("plain", [False, True], ids=["conversation", "plain"])
async def test_a_message_the_server_refuses(memory: Callable[..., Any], plain: bool) -> None:
    """A message that the server refuses as too long is taken back, and the next turn works."""
    async with serving(Narrow()) as wire:
        llm = nbkit.connect(wire.base_url, model="wire", context_window=32_768)
        engine = SimpleChatEngine.from_defaults(llm=llm, memory=memory(token_limit=100_000))
        conversation = nbkit.Conversation(engine)
        ask = engine.astream_chat
        first = await conversation.turn(QUESTION)
        error = await _failed(stream(ask(LONG)) if plain else conversation.turn(LONG))
        assert isinstance(error, StreamBroken)
        second = await conversation.turn(NEXT)
    roles = [role for role, _ in conversation.history]
    assert roles == ["user", "assistant"] * 2
    assert [text.strip() for _, text in conversation.history[1::2]] == [
        first.text.strip(),
        second.text.strip(),
    ]


@pytest.mark.parametrize("kind", ["Memory", "ChatMemoryBuffer"])
async def test_what_the_model_no_longer_sees_is_told(kind: str) -> None:
    """A memory without room gives the model no early messages; the conversation tells how many."""
    memory: Any
    if kind == "Memory":
        memory = Memory.from_defaults(token_limit=150, token_flush_size=20)
    else:
        memory = ChatMemoryBuffer.from_defaults(token_limit=100)
    async with serving(Wire()) as wire:
        llm = nbkit.connect(wire.base_url, model="wire", context_window=32_768)
        engine = SimpleChatEngine.from_defaults(llm=llm, memory=memory)
        conversation = nbkit.Conversation(engine)
        await conversation.turn(QUESTION)
        assert conversation.forgotten == 0
        for _ in range(3):
            before = conversation.forgotten
            await conversation.turn(NEXT)
        sent = json.loads(wire.bodies[-1])["messages"]
    assert conversation.forgotten > 0
    assert len(conversation.history) == 8
    # The last request held what was not forgotten by then, and its own question.
    assert len(sent) == 7 - before
    conversation.clear()
    assert conversation.forgotten == 0
