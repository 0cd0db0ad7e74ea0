"""Indexes on disk, so that a second start need not embed again; errors are ignored."""

import hashlib
import json
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import cast

from llama_index.core import StorageContext, VectorStoreIndex
from llama_index.core import __version__ as llama_index_version
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.data_structs import IndexDict

from nbkit.corpus import chunks, search
from nbkit.corpus.index import LeanIndex

FORMAT = 3
KEPT_PER_FOLDER = 3


def entry_for(folder: Path, files: dict[str, bytes], model: BaseEmbedding) -> Path | None:
    """The folder for an index of exactly these files; `None` if the model has no name."""
    if model.model_name == "unknown":
        return None
    made_of = [
        [FORMAT, llama_index_version, chunks.CHUNK_SIZE, search.CHUNK_SHARE],
        [model.class_name(), model.model_name],
        {name: _digest(content) for name, content in files.items()},
    ]
    place, key = _digest(os.fsencode(folder.resolve())), _digest(json.dumps(made_of).encode())
    return root() / "indexes" / place[:16] / key[:32]


def root() -> Path:
    """The folder of everything that nbkit keeps on disk."""
    import platformdirs

    chosen = os.environ.get("NBKIT_CACHE")
    return Path(chosen).expanduser() if chosen else Path(platformdirs.user_cache_dir("nbkit"))


def load(entry: Path, model: BaseEmbedding) -> VectorStoreIndex | None:
    """A saved index; `None` if there is none or it cannot be read."""
    try:
        store = search.PassageStore.from_persist_dir(str(entry))
        storage = StorageContext.from_defaults(persist_dir=str(entry), vector_store=store)
        index = LeanIndex(
            index_struct=cast("IndexDict", storage.index_store.get_index_struct()),
            storage_context=storage,
            embed_model=model,
            transformations=[chunks.splitter()],
        )
    except (OSError, ValueError, KeyError, RuntimeError):  # FAISS raises the last
        return None
    with suppress(OSError):
        os.utime(entry)
    return index


def save(index: VectorStoreIndex, entry: Path) -> None:
    """Save an index; does nothing if that fails or another kernel has just saved it."""
    draft = None
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=entry.parent))
        index.storage_context.persist(persist_dir=str(draft))
        if entry.exists():  # it did not load; a folder cannot be renamed over another
            entry.rename(draft / "damaged")
        draft.rename(entry)
        shutil.rmtree(entry / "damaged", ignore_errors=True)
        entries = sorted(entry.parent.iterdir(), key=lambda path: path.stat().st_mtime)
        for old in entries[:-KEPT_PER_FOLDER]:
            shutil.rmtree(old, ignore_errors=True)
    except (OSError, RuntimeError):  # FAISS reports a full disk as a RuntimeError
        if draft:
            shutil.rmtree(draft, ignore_errors=True)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
