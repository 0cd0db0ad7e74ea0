"""The offline embedding: vectors of text in English, Chinese and 14 more languages, no download."""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.bridge.pydantic import Field

from nbkit.simulator import encode, load_encoder


def _encode(texts: list[str]) -> list[list[float]]:
    rows: list[list[float]] = encode(texts).tolist()
    return rows


_remembered: dict[str, list[float]] = {}
"""Vectors of the last 512 queries; only the worker thread adds to it."""


def _encode_query(query: str) -> list[float]:
    if query not in _remembered:
        while len(_remembered) >= 512:
            del _remembered[next(iter(_remembered))]
        _remembered[query] = _encode([query])[0]
    return list(_remembered[query])


@cache
def _worker(process: int) -> ThreadPoolExecutor:
    """The thread of a process that runs the model, so that the event loop never waits for it.

    A forked child needs its own: it inherits the executor but not the thread.
    """
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="nbkit-embedding")


_HEARTBEAT = 0.1
"""Seconds."""

_worker(os.getpid())  # now, because two threads could create two


class OfflineEmbedding(BaseEmbedding):
    """Embeddings that need no key and no network, and that leave the event loop free.

    Google's Universal Sentence Encoder multilingual 3, computed on one thread; the weights are in
    an installed package. A vector has 512 floats and length 1, so an inner product is the cosine.
    All instances in a process share one model, which is loaded on first use or by `warm()`. The
    vectors of the last 512 queries are kept.
    Taught in notebook 00.

    Source: Yang et al. 2020, "Multilingual Universal Sentence Encoder for Semantic Retrieval".
    """

    model_name: str = Field(default="universal-sentence-encoder-multilingual-3")
    embed_batch_size: int = Field(default=32, gt=0, le=2048)

    @classmethod
    def class_name(cls) -> str:
        """The name that LlamaIndex stores and logs."""
        return "OfflineEmbedding"

    def warm(self) -> None:
        """Load the model now; about 2 s of CPU the first time in a process."""
        _worker(os.getpid()).submit(load_encoder).result()

    def _get_query_embedding(self, query: str) -> list[float]:
        return _worker(os.getpid()).submit(_encode_query, query).result()

    async def _aget_query_embedding(self, query: str) -> list[float]:
        # For a known query, skip the other thread, which would cost 0.2 ms.
        if (known := _remembered.get(query)) is not None:
            return list(known)
        return await asyncio.wrap_future(_worker(os.getpid()).submit(_encode_query, query))

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    async def _aget_text_embedding(self, text: str) -> list[float]:
        return (await self._aget_text_embeddings([text]))[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        vectors = _worker(os.getpid()).submit(_encode, texts)
        # A thread that waits without end may sleep through a Ctrl-C.
        while not wait([vectors], _HEARTBEAT).done:
            pass
        return vectors.result()

    async def _aget_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return await asyncio.wrap_future(_worker(os.getpid()).submit(_encode, texts))
