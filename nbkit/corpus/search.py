"""A vector index of chunks: a query is compared with each paragraph, and the result is its chunk.

A chunk has one vector per paragraph and one for its headings; its score is the best of them. Each
vector is a weighted mean of the passage's and the chunk's embedding, so a score is the same mean of
two cosines. `python -m tests.benchmarks.retrieval` measures the effect.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import faiss
import numpy as np
from llama_index.core import StorageContext, VectorStoreIndex
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.schema import BaseNode, MetadataMode
from llama_index.core.utils import get_tokenizer
from llama_index.core.vector_stores.types import VectorStoreQuery, VectorStoreQueryResult
from llama_index.vector_stores.faiss import FaissVectorStore

from nbkit.corpus import chunks, reading
from nbkit.corpus.index import LeanIndex
from nbkit.models.embedding import OfflineEmbedding

if TYPE_CHECKING:
    from numpy.typing import NDArray

# A chunk's share in the vectors of its paragraphs; chosen like CHUNK_SIZE.
CHUNK_SHARE = 1 / 3

_WORTH_A_BAR = 200
"""Texts. Fewer are fast, and a progress bar leaves an empty widget in a saved notebook."""


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


def build(folder: Path, files: dict[str, bytes], model: BaseEmbedding) -> VectorStoreIndex:
    """A new index of these files. Raises `CorpusError`."""
    texts = reading.texts(folder, files)
    nodes = [node for name, text in texts.items() for node in chunks.nodes(name, text)]
    parts = [
        [node.get_metadata_str(MetadataMode.EMBED), *chunks.passages(node.text)] for node in nodes
    ]
    warm(model)
    vectors = _embed(
        [node.get_content(MetadataMode.EMBED) for node in nodes]
        + [passage for several in parts for passage in several],
        model,
    )
    owners = np.repeat(np.arange(len(nodes)), [len(several) for several in parts])
    whole, own = vectors[: len(nodes)], vectors[len(nodes) :]
    mixed = CHUNK_SHARE * whole[owners] + (1 - CHUNK_SHARE) * own

    first = np.searchsorted(owners, np.arange(len(nodes)))
    for node, row in zip(nodes, mixed[first], strict=True):
        node.embedding = row.tolist()
    store = PassageStore(faiss.IndexIDMap(faiss.IndexFlatIP(vectors.shape[1])))
    index = LeanIndex(
        nodes=nodes,
        embed_model=model,
        storage_context=StorageContext.from_defaults(vector_store=store),
        transformations=[chunks.splitter()],
    )
    others = np.delete(np.arange(len(owners)), first)
    if len(others):
        store.client.add_with_ids(mixed[others], owners[others])
    return index


def _embed(texts: list[str], model: BaseEmbedding) -> "NDArray[np.float32]":
    many = len(texts) >= _WORTH_A_BAR
    vectors = np.array(model.get_text_embedding_batch(texts, show_progress=many), dtype=np.float32)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: NDArray[np.float32] = vectors / np.maximum(norms, 1e-12)
    return unit
