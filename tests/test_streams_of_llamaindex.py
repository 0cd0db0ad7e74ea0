"""Real engines on the real client, answered by the simulated model over real sockets."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from llama_index.core import Document, VectorStoreIndex
from llama_index.core.embeddings import MockEmbedding

import nbkit
from nbkit import simulator, stream
from nbkit.streaming.answer import Answer
from nbkit.streaming.errors import AnswerTruncated, StreamBroken
from nbkit.streaming.stream import TokenStream

QUESTION = "How long is the warranty of the lamp?"
FACTS = ["The warranty of the lamp lasts 24 months.", "The battery is covered for 12 months."]
SLOW = {"ttft": 0.05, "tokens_per_second": 12.0, "jitter": 0.0, "ttft_per_1k_prompt_tokens": 0.0}


@pytest.fixture(scope="module")
def index() -> VectorStoreIndex:
    documents = [Document(text=fact) for fact in FACTS]
    return VectorStoreIndex.from_documents(documents, embed_model=MockEmbedding(embed_dim=8))


@pytest.fixture
def server() -> Iterator[simulator.Simulator]:
    server = simulator.current()
    server.clear()
    yield server
    server.clear()


def _engine(index: VectorStoreIndex, *, streaming: bool = True, **latency: Any) -> Any:
    llm = nbkit.connect(**({"speed": 0} | latency))
    return index.as_query_engine(llm=llm, streaming=streaming)


def _chat(index: VectorStoreIndex, mode: str = "context", **latency: Any) -> Any:
    llm = nbkit.connect(**({"speed": 0} | latency))
    return index.as_chat_engine(chat_mode=mode, llm=llm)


async def _record(server: simulator.Simulator, *finished: str) -> dict[str, Any]:
    """Wait until the server's last request has reached one of the states; returns its record."""
    async with asyncio.timeout(5):
        while True:
            rows = await asyncio.to_thread(server.requests)
            if rows and rows[-1]["status"] in finished:
                return rows[-1]
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("way", ["aquery", "query", "made", "amade"])
async def test_every_way_of_querying(index: VectorStoreIndex, way: str, streaming: bool) -> None:
    """Query engines give the same text, sources and usage however they are asked."""
    engine = _engine(index, streaming=streaming)
    sources: dict[str, Any] = {
        "aquery": lambda: engine.aquery(QUESTION),
        "query": lambda: lambda: engine.query(QUESTION),
        "made": lambda: engine.query(QUESTION),
    }
    made = await engine.aquery(QUESTION) if way == "amade" else sources[way]()
    answer = await stream(made)
    assert "24 months" in answer.text
    assert {node.text for node in answer.sources} == set(FACTS)
    assert (answer.trace.chunks > 5) is streaming
    if streaming or way in ("aquery", "query"):
        assert answer.trace.finish_reason == "stop"
        assert answer.trace.tokens is not None
    if streaming:
        assert answer.trace.tokens == answer.trace.chunks


@pytest.mark.parametrize(
    "mode", ["context", "condense_plus_context", "condense_question", "simple"]
)
@pytest.mark.parametrize("way", ["astream_chat", "stream_chat", "achat", "made", "amade"])
async def test_every_way_of_chatting(index: VectorStoreIndex, mode: str, way: str) -> None:
    """Chat engines stream through the same call, and their history holds what was shown."""
    engine = _chat(index, mode)
    if way == "amade":
        answer = await stream(await engine.astream_chat(QUESTION))
    elif way == "made":
        answer = await stream(engine.stream_chat(QUESTION))
    elif way == "stream_chat":
        answer = await stream(lambda: engine.stream_chat(QUESTION))
    else:
        answer = await stream(getattr(engine, way)(QUESTION))
    if mode != "simple":
        assert "24 months" in answer.text
        assert answer.sources
    history = engine.chat_history
    assert [message.role for message in history] == ["user", "assistant"]
    assert history[-1].content.strip() == answer.text.strip()


@pytest.mark.parametrize("call", ["stream_complete", "astream_complete", "complete", "acomplete"])
async def test_every_way_of_completing(call: str) -> None:
    """A bare model's completions stream as well as an engine's answers."""
    llm = nbkit.connect(speed=0)
    answer = await stream(getattr(llm, call)("Who are you?"))
    assert "simulated" in answer.text.lower()


@pytest.mark.parametrize("call", ["query", "aquery"])
async def test_a_stop_ends_generation_within_a_token(
    index: VectorStoreIndex, server: simulator.Simulator, call: str
) -> None:
    """After `cancel()` the server sends at most one token more; the partial is kept."""
    await stream(_engine(index).aquery(QUESTION))  # the first one loads for a second
    engine = _engine(index, speed=1, **SLOW)
    source = engine.aquery(QUESTION) if call == "aquery" else lambda: engine.query(QUESTION)
    tokens = stream(source)
    async for _ in tokens:
        if tokens.trace.chunks == 4:
            tokens.cancel()
    record = await _record(server, "cancelled", "done")
    assert record["status"] == "cancelled"
    assert tokens.answer is not None
    assert tokens.answer.stopped
    assert tokens.answer.trace.chunks <= record["tokens_sent"] <= tokens.answer.trace.chunks + 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("call", ["stream_chat", "astream_chat"])
async def test_a_stopped_chat_remembers_what_was_seen(
    index: VectorStoreIndex, server: simulator.Simulator, call: str
) -> None:
    """A stopped turn ends generation, and stays in the history as far as it was shown."""
    engine = _chat(index, speed=1, **SLOW)
    if call == "astream_chat":
        tokens = stream(engine.astream_chat(QUESTION))
    else:
        tokens = stream(lambda: engine.stream_chat(QUESTION))
    async for _ in tokens:
        if tokens.trace.chunks == 4:
            break
    async with asyncio.timeout(5):
        while tokens.answer is None:
            await asyncio.sleep(0.01)
    record = await _record(server, "cancelled", "done")
    assert record["status"] == "cancelled"
    user, reply = engine.chat_history
    assert (user.role, reply.role) == ("user", "assistant")
    assert reply.content == f"{tokens.answer.text}\n\n[interrupted]"


async def test_a_chat_goes_on_after_an_error(index: VectorStoreIndex) -> None:
    """After a broken turn the history has no dangling question, and the next turn works."""
    engine = _chat(index, fault="cut", fault_after=3)
    with pytest.raises(StreamBroken):
        await stream(engine.astream_chat(QUESTION))
    assert [message.role for message in engine.chat_history] == ["user", "assistant"]
    assert engine.chat_history[-1].content.endswith("[interrupted]")


@pytest.mark.parametrize(
    ("fault", "error", "says"),
    [
        ("cut", StreamBroken, r"broke after 3 chunks .* kept in `\.answer`"),
        ("error_event", StreamBroken, r"broke after 3 chunks"),
        ("close", AnswerTruncated, r"closed after 3 chunks, before the model said"),
        ("error", StreamBroken, r"HTTP 500"),
        ("refuse", StreamBroken, r"connection to the model.s server at .* was lost"),
    ],
)
@pytest.mark.parametrize("call", ["query", "aquery"])
async def test_trouble_is_said_not_swallowed(
    index: VectorStoreIndex, fault: str, error: type[Exception], says: str, call: str
) -> None:
    """Whatever breaks a stream is one clear error with the partial answer, sync or async."""
    engine = _engine(index, fault=fault, fault_after=3)
    source = engine.aquery(QUESTION) if call == "aquery" else lambda: engine.query(QUESTION)
    with pytest.raises(error, match=says) as caught:
        await stream(source)
    partial = 3 if fault in ("cut", "error_event", "close") else 0
    assert caught.value.answer.trace.chunks == partial  # type: ignore[attr-defined]
    assert bool(caught.value.answer.text) is bool(partial)  # type: ignore[attr-defined]


async def test_the_token_limit_is_an_error(index: VectorStoreIndex) -> None:
    """An answer the model cut at its token limit does not pass for a whole one."""
    llm = nbkit.connect(speed=0)
    source = await llm.astream_complete("Who are you?", max_tokens=3)
    with pytest.raises(AnswerTruncated, match="max_tokens"):
        await stream(source)


async def test_a_server_that_went_away_is_named(index: VectorStoreIndex) -> None:
    """An engine whose simulator died says so; a new `connect()` brings a new one."""
    engine = _engine(index)
    simulator.current().stop()
    with pytest.raises(StreamBroken, match=r"Nobody answers at .* run nbkit\.connect\(\) again"):
        await stream(engine.aquery(QUESTION))
    assert (await stream(_engine(index).aquery(QUESTION))).state == "done"


async def test_many_streams_keep_apart(index: VectorStoreIndex) -> None:
    """Streams that run at once hear only their own model calls."""
    engine = _engine(index)
    chat = _chat(index)
    sources = [engine.aquery(QUESTION) for _ in range(20)] + [chat.astream_chat(QUESTION)]
    answers = await asyncio.gather(*(_await(stream(source)) for source in sources))
    assert {answer.trace.finish_reason for answer in answers} == {"stop"}
    assert all(answer.trace.tokens == answer.trace.chunks for answer in answers)


async def _await(tokens: TokenStream) -> Answer:
    return await tokens


async def test_an_engine_without_a_hit(index: VectorStoreIndex) -> None:
    """With nothing retrieved LlamaIndex answers by itself, and that is an answer like any other."""

    async def nothing() -> AsyncIterator[str]:
        return
        yield

    assert (await stream(nothing())).text == ""
    empty = VectorStoreIndex([], embed_model=MockEmbedding(embed_dim=8))
    answer = await stream(_engine(empty).aquery(QUESTION))
    assert answer.text == "Empty Response"
    assert answer.sources == []
