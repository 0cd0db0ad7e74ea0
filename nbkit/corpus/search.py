"""A vector index of chunks: a query is compared with each paragraph, and the result is its chunk.

A chunk has one vector per paragraph and one for its headings; its score is the best of them. Each
vector is a weighted mean of the passage's and the chunk's embedding, so a score is the same mean of
two cosines. `python -m tests.benchmarks.retrieval` measures the effect.
"""

import asyncio
import contextlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import faiss
import numpy as np
from llama_index.core import StorageContext, VectorStoreIndex
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.schema import BaseNode, MetadataMode, TextNode
from llama_index.core.utils import get_tokenizer
from llama_index.core.vector_stores.types import VectorStoreQuery, VectorStoreQueryResult
from llama_index.vector_stores.faiss import FaissVectorStore

from nbkit.corpus import chunks, kept, reading, vectors
from nbkit.corpus.index import LeanIndex
from nbkit.corpus.reading import File
from nbkit.models.embedding import OfflineEmbedding

# A chunk's share in the vectors of its paragraphs; chosen like CHUNK_SIZE.
CHUNK_SHARE = 1 / 3

_WORTH_A_THREAD = 5_000
"""Vectors. Fewer are searched in 1 ms or less, and a thread would cost 0.2 ms."""


class PassageStore(FaissVectorStore):
    """A FAISS store in which a node may have several vectors; its score is the best of them.

    `faiss_index` is an `IndexIDMap` with one id per node. The search is exact.
    """

    def __init__(self, faiss_index: Any) -> None:
        super().__init__(faiss_index=faiss_index)

    def add(self, nodes: Sequence[BaseNode], **_: Any) -> list[str]:
        """Add one vector per node; returns the ids, under which more vectors can be added."""
        first = self.client.ntotal
        ids = np.arange(first, first + len(nodes))
        if nodes:
            vectors = np.array([node.get_embedding() for node in nodes], dtype=np.float32)
            self.client.add_with_ids(vectors, ids)
        return [str(number) for number in ids]

    def query(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """The `similarity_top_k` nodes with the best vectors, best first."""
        wanted = query.similarity_top_k
        best: dict[str, float] = {}
        width = wanted
        while True:
            width *= 4  # the best vectors may all belong to one node
            wider = VectorStoreQuery(
                query_embedding=query.query_embedding,
                similarity_top_k=min(width, self.client.ntotal),
                filters=query.filters,
            )
            with _one_thread():
                found = super().query(wider, **kwargs)
            for node, score in zip(found.ids or [], found.similarities or [], strict=True):
                best.setdefault(node, float(score))
            if len(best) >= wanted or width >= self.client.ntotal:
                break
        top = list(best.items())[:wanted]
        return VectorStoreQueryResult(
            ids=[node for node, _ in top], similarities=[score for _, score in top]
        )

    async def aquery(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """The same; the event loop does not wait for a long search."""
        if self.client.ntotal < _WORTH_A_THREAD:
            return self.query(query, **kwargs)
        return await asyncio.to_thread(self.query, query, **kwargs)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Let FAISS use one thread: its threads on other cores stay busy for milliseconds."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def warm(model: BaseEmbedding) -> None:
    """Load now what the first query needs; calls no remote service."""
    if isinstance(model, OfflineEmbedding):
        model.warm()
    # The tokenizer is part of LlamaIndex, unless TIKTOKEN_CACHE_DIR is set.
    with contextlib.suppress(OSError):
        get_tokenizer()("warm")


@dataclass(frozen=True)
class Built:
    """An index, and what is missing in it: why, by the name of the file."""

    index: VectorStoreIndex
    missing: dict[str, str]


class FileChunks(NamedTuple):
    """The nodes of a file, and the passages of each."""

    nodes: list[TextNode]
    passages: list[list[str]]

    @property
    def texts(self) -> list[str]:
        """All that is embedded: the nodes, then the passages."""
        whole = [node.get_content(MetadataMode.EMBED) for node in self.nodes]
        return [*whole, *itertools.chain.from_iterable(self.passages)]


def build(
    folder: Path, files: dict[str, File], missing: dict[str, str], model: BaseEmbedding
) -> Built:
    """A new index of these files; embeds those that are new. Raises `CorpusError`.

    `missing` tells of files that are not among them.
    """
    texts = reading.texts(folder, files)
    unread = {name: text.missing for name, text in texts.items() if text.missing}
    cut = [_file_chunks(name, text.pages) for name, text in texts.items() if text.pages]
    if not cut:
        raise reading.nothing_read(folder, missing | unread)
    warm(model)
    rows = vectors.of_files([file.texts for file in cut], model)
    kept.trim(reading.TEXTS, vectors.KIND)

    nodes = [node for file in cut for node in file.nodes]
    counts = [len(several) for file in cut for several in file.passages]
    whole = np.concatenate([row[: len(file.nodes)] for row, file in zip(rows, cut, strict=True)])
    own = np.concatenate([row[len(file.nodes) :] for row, file in zip(rows, cut, strict=True)])
    owners = np.repeat(np.arange(len(nodes)), counts)
    mixed = CHUNK_SHARE * whole[owners] + (1 - CHUNK_SHARE) * own

    first = np.searchsorted(owners, np.arange(len(nodes)))
    for node, row in zip(nodes, mixed[first], strict=True):
        node.embedding = row.tolist()
    store = PassageStore(faiss.IndexIDMap(faiss.IndexFlatIP(mixed.shape[1])))
    index = LeanIndex(
        nodes=nodes,
        embed_model=model,
        storage_context=StorageContext.from_defaults(vector_store=store),
        transformations=[chunks.splitter()],
    )
    others = np.delete(np.arange(len(owners)), first)
    if len(others):
        store.client.add_with_ids(mixed[others], owners[others])
    return Built(index, unread)


def _file_chunks(name: str, pages: list[str]) -> FileChunks:
    nodes = chunks.nodes(name, pages)
    headings = [node.get_metadata_str(MetadataMode.EMBED) for node in nodes]
    bodies = [chunks.passages(node.text) for node in nodes]
    return FileChunks(nodes, [[head, *body] for head, body in zip(headings, bodies, strict=True)])
