"""Turns of real chat engines on the simulated model, ended in every way at every moment."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from llama_index.core import Document, VectorStoreIndex
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.embeddings import MockEmbedding
from llama_index.core.memory import ChatMemoryBuffer, Memory
from llama_index.core.memory.memory import MessageStatus

import nbkit
from nbkit import stream
from nbkit.simulator import Simulator
from nbkit.streaming.answer import Answer
from nbkit.streaming.conversation import Conversation, NotAChatEngine, TurnRunning
from nbkit.streaming.errors import AnswerTruncated, StreamBroken, StreamMisused
from nbkit.streaming.stream import TokenStream
from tests.simulated import simulated

QUESTION = "How long is the warranty of the lamp?"
NEXT = "And the battery?"
FACTS = ["The warranty of the lamp lasts 24 months.", "The battery is covered for 12 months."]
SLOW = {"speed": 1, "ttft": 0.02, "tokens_per_second": 60.0, "jitter": 0.0}
SILENT = {"speed": 1, "ttft": 600.0}
EARLIER = [("user", "Hello?"), ("assistant", "Hello.")]
MARK = "[interrupted]"
every_mode = pytest.mark.parametrize(
    "mode", ["simple", "context", "condense_question", "condense_plus_context"]
)


class _Waiting(MockEmbedding):
    """An embedding that tells when it is asked, and then never answers."""

    async def _aget_query_embedding(self, query: str) -> list[float]:
        self.asked.set()
        await asyncio.Event().wait()
        return []

    @property
    def asked(self) -> asyncio.Event:
        return self.__dict__.setdefault("_asked", asyncio.Event())


@pytest.fixture(scope="module")
def index() -> VectorStoreIndex:
    documents = [Document(text=fact) for fact in FACTS]
    return VectorStoreIndex.from_documents(documents, embed_model=MockEmbedding(embed_dim=8))


@pytest.fixture
def server() -> Iterator[Simulator]:
    server = simulated().simulator
    server.clear()
    yield server
    server.clear()


def _chat(
    index: VectorStoreIndex, mode: str, earlier: list[tuple[str, str]] = EARLIER, **settings: Any
) -> Conversation:
    memory = [ChatMessage(role=role, content=text) for role, text in earlier]
    llm = nbkit.connect(**({"speed": 0} | settings))
    return Conversation(index.as_chat_engine(chat_mode=mode, llm=llm, chat_history=memory))


def _turn(question: str, answer: Answer) -> list[tuple[str, str]]:
    """What a reader saw of a turn."""
    seen = answer.text if answer.state == "done" else f"{answer.text}\n\n{MARK}".lstrip()
    return [("user", question), ("assistant", seen)]


async def _settled(tokens: TokenStream) -> Answer:
    """Read to the end and give the answer, whatever became of it."""
    try:
        return await tokens
    except (StreamBroken, AnswerTruncated) as error:
        return error.answer


async def _stop_when(tokens: TokenStream, come: Any) -> Answer:
    """Read until something has come, then stop."""
    reading = asyncio.ensure_future(_settled(tokens))
    async with asyncio.timeout(10):
        await come
    tokens.cancel()
    return await reading


async def _request_at(server: Simulator) -> None:
    while not await asyncio.to_thread(server.requests):
        await asyncio.sleep(0.01)


@every_mode
async def test_turns_follow_each_other(index: VectorStoreIndex, mode: str) -> None:
    """Turns that end by themselves leave question and answer, in order."""
    conversation = _chat(index, mode)
    first = await conversation.turn(QUESTION)
    second = await conversation.turn(NEXT)
    assert conversation.history == EARLIER + _turn(QUESTION, first) + _turn(NEXT, second)
    conversation.clear()
    assert conversation.history == []


@pytest.mark.parametrize("earlier", [[], EARLIER], ids=["first", "later"])
@every_mode
async def test_a_stop_while_the_model_is_silent(
    index: VectorStoreIndex, server: Simulator, mode: str, earlier: list[tuple[str, str]]
) -> None:
    """Stopped before a first token (in a later turn: while condensing), the question stays."""
    conversation = _chat(index, mode, earlier, **SILENT)
    answer = await _stop_when(conversation.turn(QUESTION), _request_at(server))
    assert answer.state == "stopped"
    assert conversation.history == [*earlier, ("user", QUESTION), ("assistant", MARK)]


@pytest.mark.parametrize("mode", ["context", "condense_question", "condense_plus_context"])
@pytest.mark.parametrize("plain", [False, True], ids=["conversation", "plain"])
async def test_a_stop_during_retrieval(mode: str, plain: bool) -> None:
    """Stopped while retrieving, before LlamaIndex has stored anything, the question stays."""
    embedding = _Waiting(embed_dim=8)
    index = VectorStoreIndex.from_documents([Document(text=FACTS[0])], embed_model=embedding)
    conversation = _chat(index, mode)
    engine = conversation.engine
    tokens = stream(engine.astream_chat(QUESTION)) if plain else conversation.turn(QUESTION)
    await _stop_when(tokens, embedding.asked.wait())
    assert conversation.history == [*EARLIER, ("user", QUESTION), ("assistant", MARK)]


async def test_a_stop_before_anything(index: VectorStoreIndex) -> None:
    """Stopped before it was read, a turn is remembered once it is read, and only then."""
    conversation = _chat(index, "context")
    tokens = conversation.turn(QUESTION)
    tokens.cancel()
    assert conversation.history == EARLIER
    assert (await tokens).state == "stopped"
    assert conversation.history == [*EARLIER, ("user", QUESTION), ("assistant", MARK)]


@every_mode
async def test_a_stop_midway(index: VectorStoreIndex, mode: str) -> None:
    """Stopped midway, the answer stays as far as it was read, and the next turn works."""
    conversation = _chat(index, mode, **SLOW)
    tokens = conversation.turn(QUESTION)
    async for _ in tokens:
        if tokens.trace.chunks == 3:
            tokens.cancel()
    answer = tokens.answer
    assert answer is not None
    assert answer.text
    assert conversation.history == EARLIER + _turn(QUESTION, answer)
    second = await conversation.turn(NEXT)
    assert second.state == "done"
    assert conversation.history == EARLIER + _turn(QUESTION, answer) + _turn(NEXT, second)


@pytest.mark.parametrize("plain", [False, True], ids=["conversation", "plain"])
@every_mode
async def test_a_stop_at_any_moment(index: VectorStoreIndex, mode: str, plain: bool) -> None:
    """Wherever a stop hits, in the middle of a memory's write too, no turn is lost or left open."""
    conversation = _chat(index, mode)
    expected = list(EARLIER)
    for steps in range(1, 120, 7):
        ask = conversation.engine.astream_chat
        tokens = stream(ask(QUESTION)) if plain else conversation.turn(QUESTION)
        reading = asyncio.ensure_future(_settled(tokens))
        for _ in range(steps + 2):  # until the engine has been asked
            await asyncio.sleep(0)
        tokens.cancel()
        expected += _turn(QUESTION, await reading)
        assert conversation.history == expected


@pytest.mark.parametrize("steps", range(1, 41, 5))
async def test_a_memory_survives_a_cancelled_call(index: VectorStoreIndex, steps: int) -> None:
    """Cancelled inside LlamaIndex's database, a call is finished; by itself it empties it."""
    conversation = _chat(index, "simple", earlier=[])
    first = await conversation.turn(QUESTION)
    memory = conversation.engine._memory  # type: ignore[attr-defined]
    writing = asyncio.ensure_future(memory.aput(ChatMessage(role="user", content=NEXT)))
    for _ in range(steps):
        await asyncio.sleep(0)
    writing.cancel()
    await asyncio.wait({writing})
    assert conversation.history[:2] == _turn(QUESTION, first)


@every_mode
async def test_a_stop_with_the_last_chunk(index: VectorStoreIndex, mode: str) -> None:
    """Stopped when all text had come, a turn is whole or marked, as its answer says."""
    whole = await _chat(index, mode).turn(QUESTION)
    conversation = _chat(index, mode)
    tokens = conversation.turn(QUESTION)

    def hear(_: str) -> None:
        if tokens.text == whole.text:
            tokens.cancel()

    answer = await tokens.follow(hear)
    assert answer.text == whole.text
    assert conversation.history == EARLIER + _turn(QUESTION, answer)


@pytest.mark.parametrize("fault", ["cut", "close", "error_event", "error", "refuse"])
@every_mode
async def test_a_failed_turn(
    index: VectorStoreIndex, server: Simulator, mode: str, fault: str
) -> None:
    """Whatever breaks a turn, its question and what was read of the answer stay; chat goes on."""
    conversation = _chat(index, mode, earlier=[], fault=fault, fault_after=3)
    answer = await _settled(conversation.turn(QUESTION))
    assert answer.error is not None
    assert bool(answer.text) == (fault in ("cut", "close", "error_event"))
    assert conversation.history == _turn(QUESTION, answer)
    llm = nbkit.connect(speed=0, fault=fault, fault_after=3)
    server.set(llm.metadata.model_name, fault=None)
    try:
        second = await conversation.turn(NEXT)
    finally:
        server.set(llm.metadata.model_name, fault=fault)
    assert conversation.history == _turn(QUESTION, answer) + _turn(NEXT, second)


async def test_other_memories(index: VectorStoreIndex) -> None:
    """A stopped turn is remembered in every kind of LlamaIndex's memories."""
    memory = ChatMemoryBuffer.from_defaults(token_limit=3000)
    llm = nbkit.connect(**SLOW)
    conversation = Conversation(index.as_chat_engine(chat_mode="simple", llm=llm, memory=memory))
    tokens = conversation.turn(QUESTION)
    answer = await _stop_when(tokens, tokens.opened.wait())
    assert conversation.history == _turn(QUESTION, answer)


async def test_archived_messages_stay_archived(index: VectorStoreIndex) -> None:
    """Marking a truncated answer does not bring back what a full memory had put away."""
    memory = Memory.from_defaults(token_limit=120, token_flush_size=20)
    llm = nbkit.connect(speed=0, fault="close", fault_after=3)
    conversation = Conversation(index.as_chat_engine(chat_mode="simple", llm=llm, memory=memory))
    for number in range(8):
        await memory.aput(ChatMessage(role="user", content=f"{number} " + "words " * 10))
        await memory.aput(ChatMessage(role="assistant", content="All right."))
    answer = await _settled(conversation.turn(QUESTION))
    assert conversation.history[-2:] == _turn(QUESTION, answer)
    archived = await memory.aget_all(status=MessageStatus.ARCHIVED)
    active = await memory.aget_all(status=MessageStatus.ACTIVE)
    assert archived
    assert [*archived, *active] == await memory.aget_all()
    assert len(conversation.history) == 18


async def test_one_turn_at_a_time(index: VectorStoreIndex) -> None:
    """While a turn has the engine, a second one is refused, here, elsewhere and in any thread."""
    conversation = _chat(index, "context", **SILENT)
    other = Conversation(conversation.engine)
    tokens = conversation.turn(QUESTION)
    assert other.running is tokens
    reading = asyncio.ensure_future(_settled(tokens))
    for second in (conversation, other):
        with pytest.raises(TurnRunning, match=r"still running .*How long is.*cancel"):
            second.turn(NEXT)
        with pytest.raises(TurnRunning):
            await asyncio.to_thread(second.turn, NEXT)
        with pytest.raises(TurnRunning):
            second.clear()
        with pytest.raises(TurnRunning):
            _ = second.history
    await tokens.opened.wait()
    tokens.cancel()
    await reading
    assert other.running is None
    assert other.history == [*EARLIER, ("user", QUESTION), ("assistant", MARK)]


async def test_a_refused_turn_loses_nothing(index: VectorStoreIndex) -> None:
    """A turn cancelled unread gives way; read during another it is refused, later it is not."""
    conversation = _chat(index, "context")
    early = conversation.turn(NEXT)
    early.cancel()
    tokens = conversation.turn(QUESTION)
    with pytest.raises(TurnRunning):
        await early
    expected = EARLIER + _turn(QUESTION, await tokens) + _turn(NEXT, await early)
    assert conversation.history == expected


async def test_a_forgotten_turn_frees_the_engine(index: VectorStoreIndex) -> None:
    """A turn nobody reads or holds does not lock its engine for good."""
    conversation = _chat(index, "context")
    conversation.turn(NEXT)
    assert (await conversation.turn(QUESTION)).state == "done"


async def test_other_engines_are_named(index: VectorStoreIndex) -> None:
    """What is not a chat engine gets the call that makes one."""
    llm = nbkit.connect(speed=0)
    for wrong in (index, index.as_query_engine(llm=llm), llm, None):
        with pytest.raises(NotAChatEngine, match=r'as_chat_engine\(chat_mode="context", llm=llm'):
            Conversation(wrong)  # type: ignore[arg-type]
    with pytest.raises(StreamMisused, match="pass a text"):
        _chat(index, "context").turn(" ")
