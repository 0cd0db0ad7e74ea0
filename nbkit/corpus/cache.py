"""Indexes on disk, so that a second start need not embed again; errors are ignored."""

import hashlib
import json
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import cast

from llama_index.core import StorageContext
from llama_index.core import __version__ as llama_index_version
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.data_structs import IndexDict

from nbkit.corpus import chunks, kept, reading, search, vectors
from nbkit.corpus.index import LeanIndex
from nbkit.corpus.reading import File
from nbkit.corpus.search import Built

KEPT_PER_FOLDER = 3
_MISSING = "missing.json"


def entry_for(folder: Path, files: dict[str, File], model: BaseEmbedding) -> Path | None:
    """The folder for an index of exactly these files; `None` if the model has no name."""
    made_by = vectors.identity(model)
    if made_by is None:
        return None
    made_of = [
        [llama_index_version, chunks.CHUNK_SIZE, search.CHUNK_SHARE],
        made_by,
        reading.readers(),
        {name: file.digest for name, file in files.items()},
    ]
    place = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()
    return kept.root() / "indexes" / place[:16] / kept.key(made_of)


def load(entry: Path, model: BaseEmbedding) -> Built | None:
    """A saved index, and what is missing in it; `None` if there is none or it cannot be read."""
    try:
        missing = json.loads((entry / _MISSING).read_bytes())
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
    return Built(index, missing)


def save(built: Built, entry: Path) -> None:
    """Save an index; does nothing if that fails or another kernel has just saved it."""
    draft = None
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=entry.parent))
        built.index.storage_context.persist(persist_dir=str(draft))
        (draft / _MISSING).write_text(json.dumps(built.missing), "utf-8")
        if entry.exists():  # it did not load; a folder cannot be renamed over another
            entry.rename(draft / "damaged")
        draft.rename(entry)
        shutil.rmtree(entry / "damaged", ignore_errors=True)
        entries = sorted(entry.parent.iterdir(), key=lambda path: path.stat().st_mtime)
        for old in entries[:-KEPT_PER_FOLDER]:
            shutil.rmtree(old, ignore_errors=True)
    except (OSError, RuntimeError):  # FAISS reports a full disk as a RuntimeError
        pass
    finally:  # also when it is stopped
        if draft:
            shutil.rmtree(draft, ignore_errors=True)
