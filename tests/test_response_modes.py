"""LlamaIndex's response modes with the simulated model."""

import pytest
from llama_index.core import VectorStoreIndex
from llama_index.core.response_synthesizers import ResponseMode

import nbkit
from nbkit.corpus import CorpusError
from tests.simulated import simulated

QUESTION = "How long is the warranty?"
FACT = "24 months"
TEXT = [
    "refine",
    "compact",
    "tree_summarize",
    "simple_summarize",
    "accumulate",
    "compact_accumulate",
    "context_only",
]
SEVERAL = ("accumulate", "compact_accumulate")


@pytest.fixture(scope="module")
def index() -> VectorStoreIndex:
    """Give the handbook's index."""
    return nbkit.load_index("en")


def test_every_mode_is_tried() -> None:
    """A response mode that LlamaIndex adds must be added here."""
    assert {mode.value for mode in ResponseMode} == {*TEXT, "generation", "no_text"}


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("top_k", [1, 3])
@pytest.mark.parametrize("mode", TEXT)
async def test_modes_that_read_the_documents(
    index: VectorStoreIndex, mode: str, top_k: int, *, streaming: bool
) -> None:
    """The answer holds the fact in plain text, blocking and streamed, whatever the mode."""
    if streaming and mode in SEVERAL:
        return
    engine = index.as_query_engine(
        llm=simulated(speed=0), streaming=streaming, response_mode=mode, similarity_top_k=top_k
    )
    answer = await nbkit.stream(engine.aquery(QUESTION))
    assert FACT in answer.text
    assert "\\n" not in answer.text
    assert FACT in str(engine.query(QUESTION))
    assert len(answer.sources) == top_k


@pytest.mark.parametrize("mode", SEVERAL)
def test_modes_that_cannot_stream(index: VectorStoreIndex, mode: str) -> None:
    """Modes that join several answers say that they cannot stream, when the engine is made."""
    with pytest.raises(CorpusError, match=f"{mode} .*cannot stream"):
        index.as_query_engine(llm=simulated(speed=0), streaming=True, response_mode=mode)


@pytest.mark.parametrize("streaming", [False, True])
async def test_generation_has_no_documents(index: VectorStoreIndex, *, streaming: bool) -> None:
    """The mode that shows the model no document gets the answer that there are none."""
    engine = index.as_query_engine(
        llm=simulated(speed=0), streaming=streaming, response_mode="generation"
    )
    answer = await nbkit.stream(engine.aquery(QUESTION))
    assert "without any" in answer.text


@pytest.mark.parametrize("mode", ["no_text", "context_only"])
def test_modes_without_a_model_ask_none(
    index: VectorStoreIndex, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They give the sources without a request, and need no key of OpenAI's."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    llm = simulated(speed=0)
    llm.simulator.clear()
    found = index.as_query_engine(llm=llm, response_mode=mode).query(QUESTION)
    assert found.source_nodes[0].metadata["file_name"] == "warranty.md"
    assert llm.simulator.requests() == []


def test_an_unknown_mode_is_told(index: VectorStoreIndex) -> None:
    """A mode that does not exist is refused with those that do."""
    with pytest.raises(CorpusError, match=r"no response mode 'short' .*tree_summarize"):
        index.as_query_engine(llm=simulated(speed=0), response_mode="short")
