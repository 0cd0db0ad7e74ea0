"""The offline embedding: same vectors by every way in, one model, a free event loop."""

import asyncio
import os
import signal
import threading

import numpy as np
import pytest
from llama_index.core.base.embeddings.base import BaseEmbedding

from nbkit.models import embedding
from nbkit.models.embedding import OfflineEmbedding

TEXTS = ["How long is the warranty?", "保修期多长？", "The arm reaches 38 cm.", ""]


@pytest.fixture
def model() -> OfflineEmbedding:
    return OfflineEmbedding()


def test_is_a_llama_index_embedding(model: OfflineEmbedding) -> None:
    """LlamaIndex takes it wherever it takes an embedding."""
    assert isinstance(model, BaseEmbedding)
    assert "universal-sentence-encoder" in model.model_name


def test_vectors_have_length_one(model: OfflineEmbedding) -> None:
    """Every vector has 512 numbers and length 1, even that of an empty text."""
    vectors = np.array(model.get_text_embedding_batch(TEXTS))
    assert vectors.shape == (4, 512)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


async def test_every_way_in_gives_the_same(model: OfflineEmbedding) -> None:
    """Sync, async, one by one and in a batch, as query and as text: one vector."""
    batch = model.get_text_embedding_batch(TEXTS)
    ways = [
        [model.get_text_embedding(text) for text in TEXTS],
        [await model.aget_text_embedding(text) for text in TEXTS],
        await model.aget_text_embedding_batch(TEXTS),
        [model.get_query_embedding(text) for text in TEXTS],
        [await model.aget_query_embedding(text) for text in TEXTS],
    ]
    for way in ways:
        np.testing.assert_allclose(way, batch, atol=1e-5)


def test_meaning_crosses_languages(model: OfflineEmbedding) -> None:
    """A question is nearer to its translation than to another question."""
    english, chinese, other = model.get_text_embedding_batch(
        ["How long is the warranty?", "保修期多长？", "What colours are there?"]
    )
    assert np.dot(english, chinese) > np.dot(english, other) + 0.2


def test_more_texts_than_a_batch_keep_their_order(model: OfflineEmbedding) -> None:
    """Batches are joined in order."""
    texts = [f"sentence number {n}" for n in range(3 * model.embed_batch_size + 1)]
    vectors = model.get_text_embedding_batch(texts)
    assert len(vectors) == len(texts)
    np.testing.assert_allclose(vectors[-1], model.get_text_embedding(texts[-1]), atol=1e-5)


@pytest.mark.parametrize("kind", ["query", "text", "batch"])
async def test_event_loop_runs_during_an_embedding(
    kind: str, model: OfflineEmbedding, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a vector is computed, the event loop does other things."""
    loop_ran = threading.Event()
    real = embedding._encode

    def encode(texts: list[str]) -> list[list[float]]:
        # On the event loop's own thread nobody could set this, and it would time out.
        assert loop_ran.wait(5), "the event loop was blocked"
        return real(texts)

    monkeypatch.setattr(embedding, "_encode", encode)
    asyncio.get_running_loop().call_later(0.01, loop_ran.set)
    if kind == "query":
        await model.aget_query_embedding(f"never asked before: {kind}")
    elif kind == "text":
        await model.aget_text_embedding("some text")
    else:
        await model.aget_text_embedding_batch(["some text"] * 3)


async def test_a_query_asked_again_computes_nothing(
    model: OfflineEmbedding, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same query twice is computed once, by whichever instance and way it is asked."""
    first = model.get_query_embedding("asked twice")
    monkeypatch.setattr(embedding, "_encode", lambda _: pytest.fail("computed again"))
    assert model.get_query_embedding("asked twice") == first
    assert await OfflineEmbedding().aget_query_embedding("asked twice") == first


def test_a_caller_may_change_its_vector(model: OfflineEmbedding) -> None:
    """What one caller does to its vector is not seen by the next."""
    first = model.get_query_embedding("mine")
    kept = list(first)
    first[0] = 99.0
    assert model.get_query_embedding("mine") == kept


def test_memory_of_queries_is_bounded(
    model: OfflineEmbedding, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The queries asked last are remembered, and no more than 512 of them."""
    monkeypatch.setattr(embedding, "_remembered", {})
    monkeypatch.setattr(embedding, "_encode", lambda texts: [[1.0]] * len(texts))
    for number in range(600):
        model.get_query_embedding(str(number))
    assert list(embedding._remembered) == [str(number) for number in range(88, 600)]


def test_many_threads_share_one_model(model: OfflineEmbedding) -> None:
    """Threads get right vectors, and the model is loaded once."""
    want = model.get_text_embedding("shared")
    embedding.load_encoder.cache_clear()
    got: list[list[float]] = []
    threads = [
        threading.Thread(target=lambda: got.append(OfflineEmbedding().get_text_embedding("shared")))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_allclose(got, [want] * 8, atol=1e-6)
    assert embedding.load_encoder.cache_info().misses == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_can_embed(model: OfflineEmbedding) -> None:
    """A child forked after the first embedding does not hang."""
    model.get_text_embedding("parent")
    child = os.fork()
    if child == 0:
        signal.alarm(10)
        code = 1
        try:
            code = 0 if len(model.get_text_embedding("child")) == 512 else 2
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
