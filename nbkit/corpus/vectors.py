"""The vectors of texts: those of a file that has not changed are not computed again."""

import io
import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from llama_index.core.base.embeddings.base import BaseEmbedding
from tqdm import tqdm

from nbkit.corpus import kept, reading

if TYPE_CHECKING:
    from numpy.typing import NDArray

KIND = "vectors"
"""The kind under which they are kept."""
_WORTH_A_BAR = 200
"""Texts. Fewer are embedded in seconds, and a bar stays in a saved notebook."""
_TOGETHER = 64
"""Texts between two moves of the progress bar, or more if the model takes more at once."""


def identity(model: BaseEmbedding) -> list[object] | None:
    """What tells the vectors of a model from those of others; `None` if it has no name."""
    if model.model_name == "unknown":
        return None
    return [model.class_name(), model.model_name, getattr(model, "dimensions", None)]


def of_files(files: list[list[str]], model: BaseEmbedding) -> "list[NDArray[np.float32]]":
    """For each file's texts, one row of length 1 per text.

    Those of a file are kept as soon as it is done, so that after a stop the work goes on there.
    """
    made_by = identity(model)
    names = [kept.key(made_by, texts) if made_by else None for texts in files]
    known = [_recalled(name, len(texts)) for name, texts in zip(names, files, strict=True)]
    new = [texts for texts, rows in zip(files, known, strict=True) if rows is None]
    rows = _embedded(list(itertools.chain.from_iterable(new)), model)
    result = []
    for texts, name, ready in zip(files, names, known, strict=True):
        if ready is None:
            ready = np.array(list(itertools.islice(rows, len(texts))))
            _keep(name, ready)
        result.append(ready)
    return result


def _embedded(texts: list[str], model: BaseEmbedding) -> "Iterator[NDArray[np.float32]]":
    # A bar of text: a widget would leave an empty place in a saved notebook.
    few, delay = len(texts) < _WORTH_A_BAR, reading.BAR_AFTER
    with tqdm(total=len(texts), desc="Embedding", unit="text", delay=delay, disable=few) as bar:
        step = max(_TOGETHER, model.embed_batch_size)
        for start in range(0, len(texts), step):
            batch = model.get_text_embedding_batch(texts[start : start + step])
            rows = np.array(batch, dtype=np.float32)
            bar.update(len(rows))
            yield from rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def _recalled(name: str | None, count: int) -> "NDArray[np.float32] | None":
    content = kept.recall(KIND, name) if name else None
    try:
        rows = np.load(io.BytesIO(content or b""), allow_pickle=False)
    except (ValueError, EOFError):  # nothing was kept, or it is damaged
        return None
    return rows if rows.ndim == 2 and len(rows) == count else None


def _keep(name: str | None, rows: "NDArray[np.float32]") -> None:
    if name:
        content = io.BytesIO()
        np.save(content, rows, allow_pickle=False)
        kept.keep(KIND, name, content.getvalue())
