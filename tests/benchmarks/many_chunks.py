"""A query to an index of 10,000 chunks, how long it blocks the loop, and what one new file costs.

Queries are embedded by the offline model and differ all; the chunks, each with four paragraphs,
have random vectors, for 50,000 texts take the model minutes. A query is `aretrieve` on an idle
loop. A block is what `nbkit.watch_loop` sees, which is 10 ms or more.
"""

import asyncio
import os
import random
import statistics
import tempfile
import time
from pathlib import Path
from unittest.mock import patch

import numpy as np
from llama_index.core import VectorStoreIndex

from nbkit import load_index
from nbkit.corpus import search
from nbkit.loops import watch_loop
from nbkit.models.embedding import OfflineEmbedding

FILES, CHUNKS_OF_A_FILE, QUERIES = 100, 100, 300
GOAL = 15
WORDS = ["lamp", "light", "warm", "cold", "battery", "base", "arm", "switch", "cable", "paper"]
EMBEDDED: list[str] = []
"""All texts that were embedded."""


class RandomTexts(OfflineEmbedding):
    """The offline model for queries; for texts, random vectors of the same kind."""

    model_name: str = "random texts"

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        EMBEDDED.extend(texts)
        rows = np.random.default_rng(len(EMBEDDED)).normal(size=(len(texts), 512))
        return rows.tolist()  # type: ignore[no-any-return]


def _write(file: Path) -> None:
    """Write sections of four paragraphs, each a chunk."""
    with file.open("w") as out:
        for number in range(CHUNKS_OF_A_FILE):
            said = "\n\n".join(" ".join(random.choices(WORDS, k=100)) for _ in range(4))
            out.write(f"## Part {number}\n\n{said}\n\n")


def _timed_load(name: str, folder: Path) -> VectorStoreIndex:
    EMBEDDED.clear()
    began = time.perf_counter()
    index = load_index(folder, embed_model=RandomTexts())
    took = time.perf_counter() - began
    print(f"{name:28}{took:8.2f} s {len(EMBEDDED):8,} texts embedded")
    return index


async def _ask(name: str, index: VectorStoreIndex) -> None:
    retriever = index.as_retriever()
    await retriever.aretrieve(f"Is it warm, {name}?")
    times = []
    with watch_loop() as watch:
        for number in range(QUERIES):
            await asyncio.sleep(0.01)
            began = time.perf_counter()
            await retriever.aretrieve(f"How is lamp {number} repaired, {name}?")
            times.append(1000 * (time.perf_counter() - began))
    p90 = statistics.quantiles(times, n=10)[-1]
    print(
        f"{name:28}{statistics.median(times):8.1f} {p90:8.1f} {max(times):8.1f}"
        f"{len(watch.blocks):12} {1000 * watch.longest:10.1f}"
    )


def main() -> None:
    """Print both tables."""
    random.seed(0)
    with (
        tempfile.TemporaryDirectory() as place,
        patch.dict(os.environ, NBKIT_CACHE=str(Path(place, "cache"))),
    ):
        folder = Path(place, "folder")
        folder.mkdir()
        for number in range(FILES):
            _write(folder / f"{number}.md")
        _timed_load("the first time", folder)
        _write(folder / "7.md")
        _timed_load(f"one of {FILES} files changed", folder)
        index = _timed_load("again", folder)
        chunks, stored = len(index.docstore.docs), index.vector_store.client.ntotal
        print(f"\n{chunks:,} chunks with {stored:,} vectors, ms a query (goal: {GOAL}):")
        print(f"{'':28}{'median':>8} {'p90':>8} {'max':>8}{'blocks':>12} {'longest':>10}")
        asyncio.run(_ask("searched in a thread", index))
        with patch.object(search, "_WORTH_A_THREAD", 10 * stored):
            asyncio.run(_ask("searched on the loop", index))


if __name__ == "__main__":
    main()
