"""What nbkit spares, nobody may notice: same nodes, same requests, same answers, same events."""

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import faiss
import openai
import pytest
from llama_index.core import (
    PromptHelper,
    PromptTemplate,
    Settings,
    VectorStoreIndex,
    get_response_synthesizer,
)
from llama_index.core.bridge.pydantic import Field
from llama_index.core.instrumentation import get_dispatcher  # type: ignore[attr-defined]
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.utilities.token_counting import TokenCounter
from llama_index.core.vector_stores.types import VectorStoreQuery
from llama_index.llms.openai_like import OpenAILike

from nbkit import load_index
from nbkit.models import lean as shortcuts
from nbkit.models.clients import sdk_clients
from nbkit.models.providers import USAGE, CompatibleServer
from tests.wire import WORDS, Wire, answer, chunk, serving

QUESTIONS = [
    "How do I return the lamp?",
    "How long is the warranty?",
    "Which payments do you take?",
]
OWN_PROMPT = PromptTemplate("Only from this: {context_str}\nSay briefly: {query_str}")
PLAIN: list[Any] = [{"role": "user", "content": "Hello"}]
PARTS: list[Any] = [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}]


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    """Give a server that keeps what it is asked."""
    async with serving(Wire()) as running:
        yield running


@pytest.fixture(scope="module")
def lean() -> VectorStoreIndex:
    """Give the index as nbkit sets it up."""
    return load_index("en")


@pytest.fixture(scope="module")
def plain(lean: VectorStoreIndex) -> VectorStoreIndex:
    """Give LlamaIndex's own index over the same store."""
    return VectorStoreIndex(
        index_struct=lean.index_struct,
        storage_context=lean.storage_context,
        embed_model=lean._embed_model,
    )


def plain_llm(wire: Wire, window: int = 32_000) -> OpenAILike:
    """Give LlamaIndex's client as it comes, but for retries."""
    return OpenAILike(**_settings(wire, window), max_retries=0)


def lean_llm(wire: Wire, window: int = 32_000) -> CompatibleServer:
    """Give the client as `connect` sets it up."""
    clients = sdk_clients(wire.base_url, "none", "")
    return CompatibleServer(**_settings(wire, window), max_retries=0, **clients)


def _settings(wire: Wire, window: int) -> dict[str, Any]:
    return {
        "model": "wire",
        "api_base": wire.base_url,
        "api_key": "none",
        "is_chat_model": True,
        "context_window": window,
        "additional_kwargs": USAGE,
    }


async def ask(engine: Any, *questions: str) -> list[tuple[str, list[tuple[str, float]]]]:
    """Give answers and sources; all questions are asked before the first answer is read."""
    responses = await asyncio.gather(*map(engine.aquery, questions))
    return await asyncio.gather(*map(_read, responses))


async def _read(response: Any) -> tuple[str, list[tuple[str, float]]]:
    sources = [(node.node_id, node.score) for node in response.source_nodes]
    if hasattr(response, "async_response_gen"):
        return "".join([piece async for piece in response.async_response_gen()]), sources
    return str(response), sources


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("window", [32_000, 2_300], ids=["roomy", "tight"])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"similarity_top_k": 4},
        {"text_qa_template": OWN_PROMPT},
        {"response_mode": "refine"},
        {"response_mode": "tree_summarize"},
    ],
)
async def test_the_same_goes_over_the_wire(
    plain: VectorStoreIndex,
    lean: VectorStoreIndex,
    wire: Wire,
    *,
    streaming: bool,
    window: int,
    settings: dict[str, Any],
) -> None:
    """Requests are those of LlamaIndex's own set-up, byte for byte; so are answers and sources."""
    theirs = plain.as_query_engine(llm=plain_llm(wire, window), streaming=streaming, **settings)
    want = await ask(theirs, *QUESTIONS)
    wanted, wire.bodies = wire.bodies, []
    ours = lean.as_query_engine(llm=lean_llm(wire, window), streaming=streaming, **settings)
    assert await ask(ours, *QUESTIONS) == want
    assert sorted(wire.bodies) == sorted(wanted)
    assert want[0][0] == "".join(WORDS)


async def test_a_tight_window_is_filled_as_before(lean: VectorStoreIndex, wire: Wire) -> None:
    """Context that does not fit the window is cut into several requests."""
    engine = lean.as_query_engine(llm=lean_llm(wire, 2_000), similarity_top_k=4)
    await engine.aquery(QUESTIONS[0])
    assert len(wire.bodies) > 1


@pytest.mark.parametrize("window", [32_000, 2_300], ids=["roomy", "tight"])
async def test_a_query_starts_no_thread(
    lean: VectorStoreIndex, wire: Wire, window: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counting tokens needs no thread, whether or not the context fits the window."""
    engine = lean.as_query_engine(llm=lean_llm(wire, window), streaming=True)
    await ask(engine, QUESTIONS[0])
    started: list[str] = []
    real = threading.Thread.start

    def start(thread: threading.Thread) -> None:
        started.append(thread.name)
        real(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    await ask(engine, QUESTIONS[0])
    assert started == []


async def test_what_the_user_sets_is_used(
    lean: VectorStoreIndex, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A synthesizer or prompt helper of one's own is not replaced."""
    llm = lean_llm(wire)
    own = get_response_synthesizer(llm=llm, response_mode="refine")  # type: ignore[arg-type]
    engine: Any = lean.as_query_engine(llm=llm, response_synthesizer=own)
    assert engine._response_synthesizer is own
    helper = lean.as_query_engine(llm=llm)._response_synthesizer._prompt_helper  # type: ignore[attr-defined]
    monkeypatch.setattr(Settings, "_prompt_helper", helper)
    engine = lean.as_query_engine(llm=llm)
    assert engine._response_synthesizer._prompt_helper is helper


class _Listener(BaseEventHandler):
    heard: list[str] = Field(default_factory=list)

    def handle(self, event: Any, **_: Any) -> None:
        self.heard.append(type(event).__name__)


@pytest.mark.parametrize("streaming", [False, True])
async def test_instrumentation_hears_the_same(
    plain: VectorStoreIndex, lean: VectorStoreIndex, wire: Wire, *, streaming: bool
) -> None:
    """LlamaIndex's own events come in the same order and number."""
    listener = _Listener()
    handlers = get_dispatcher().event_handlers
    handlers.append(listener)
    try:
        for index, llm in ((plain, plain_llm(wire)), (lean, lean_llm(wire))):
            listener.heard.append("start")
            await ask(index.as_query_engine(llm=llm, streaming=streaming), QUESTIONS[0])
    finally:
        handlers.remove(listener)
    half = len(listener.heard) // 2
    assert listener.heard[:half] == listener.heard[half:]
    assert "LLMChatEndEvent" in listener.heard


async def _both(wire: Wire, **request: Any) -> list[Any]:
    """Give what the SDK's client and ours make of one request."""
    results: list[Any] = []
    for made in (lambda client: client, shortcuts.lean_client):
        plain_client = openai.AsyncOpenAI(base_url=wire.base_url, api_key="none", max_retries=0)
        async with made(plain_client) as client:
            got = await client.chat.completions.create(model="wire", **request)
            results.append([part async for part in got] if request.get("stream") else got)
    return results


@pytest.mark.parametrize("messages", [PLAIN, PARTS, PLAIN + PARTS])
async def test_the_client_sends_and_gives_the_same(wire: Wire, messages: list[Any]) -> None:
    """Whatever the messages are made of, requests and answers are those of the SDK's client."""
    options: dict[str, Any] = {"temperature": 0.1, "extra_body": {"top_k": 3}, "messages": messages}
    whole = await _both(wire, **options)
    assert whole[0] == whole[1]
    streamed = await _both(wire, **options, stream=True)
    assert streamed[0] == streamed[1]
    assert len(streamed[1]) > len(WORDS)
    assert wire.bodies[0] == wire.bodies[1]
    assert wire.bodies[2] == wire.bodies[3]


async def test_servers_that_bend_the_protocol_are_read(wire: Wire) -> None:
    """Unknown finish reasons are passed on, as by the SDK; missing fields, unlike there, filled."""
    wire.chunks = [{"choices": [{"delta": {"content": "Hi"}}]}, chunk({}, "eos_token")]
    wire.answer = answer({"content": "Hi"}, "eos_token")
    streamed = await _both(wire, messages=PLAIN, stream=True)
    for first, last in streamed:
        assert first.choices[0].delta.content == "Hi"
        assert last.choices[0].finish_reason == "eos_token"
    assert streamed[1][0].choices[0].index == 0
    for whole in await _both(wire, messages=PLAIN):
        assert whole.choices[0].message.content == "Hi"
        assert whole.choices[0].finish_reason == "eos_token"


def test_searching_leaves_the_threads_of_faiss_alone(lean: VectorStoreIndex) -> None:
    """The number of threads that FAISS uses elsewhere is what it was before a search."""
    before = faiss.omp_get_max_threads()
    try:
        faiss.omp_set_num_threads(3)
        vector = lean._embed_model.get_query_embedding("lamp")
        lean.vector_store.query(VectorStoreQuery(query_embedding=vector, similarity_top_k=2))
        assert faiss.omp_get_max_threads() == 3
    finally:
        faiss.omp_set_num_threads(before)


@pytest.mark.parametrize("streaming", [False, True])
async def test_without_the_shortcuts_the_same_is_asked_and_answered(
    lean: VectorStoreIndex, wire: Wire, monkeypatch: pytest.MonkeyPatch, *, streaming: bool
) -> None:
    """Where a library has lost a part that a shortcut needs, its own code sends and gives equal."""
    shortcut = lean.as_query_engine(llm=lean_llm(wire), streaming=streaming)
    want = await ask(shortcut, *QUESTIONS)
    wanted, wire.bodies = wire.bodies, []
    monkeypatch.setattr(shortcuts, "engine_fits", lambda: False)
    monkeypatch.setattr(shortcuts, "client_fits", lambda client: False)
    stock: Any = lean.as_query_engine(llm=lean_llm(wire), streaming=streaming)
    assert type(stock._response_synthesizer._prompt_helper) is PromptHelper
    assert await ask(stock, *QUESTIONS) == want
    assert sorted(wire.bodies) == sorted(wanted)


def test_lost_parts_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The shortcuts fit the libraries that are installed, and not ones without what they need."""
    assert shortcuts.engine_fits()
    client = openai.OpenAI(api_key="none")
    assert shortcuts.client_fits(client)
    shortcuts.engine_fits.cache_clear()
    monkeypatch.setattr(TokenCounter, "aestimate_tokens_in_messages", None)
    assert not shortcuts.engine_fits()
    shortcuts.engine_fits.cache_clear()
    monkeypatch.setattr(type(client.chat.completions), "create", lambda self: None)
    assert not shortcuts.client_fits(openai.OpenAI(api_key="none"))
