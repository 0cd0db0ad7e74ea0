"""Built indexes on disk, so that a second start does not embed again; never a reason to fail."""

import hashlib
import json
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from llama_index.core import StorageContext, VectorStoreIndex
from llama_index.core import __version__ as llama_index_version
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.data_structs import IndexDict

from nbkit.corpus import chunks, search
from nbkit.corpus.index import LeanIndex

FORMAT = 2
KEPT_PER_FOLDER = 3
_MANIFEST = "manifest.json"


def entry_for(folder: Path, files: dict[str, bytes], model: BaseEmbedding) -> Path | None:
    """The place for an index of exactly these files, or None if they cannot be identified."""
    if model.model_name == "unknown":
        return None
    key = hashlib.sha256(
        json.dumps(
            [
                FORMAT,
                llama_index_version,
                [chunks.CHUNK_SIZE, search.CHUNK_SHARE],
                [model.class_name(), model.model_name],
                {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
            ]
        ).encode()
    ).hexdigest()
    place = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()
    return root() / "indexes" / place[:16] / key[:32]


def root() -> Path:
    """The folder of everything nbkit keeps on disk."""
    import platformdirs

    chosen = os.environ.get("NBKIT_CACHE")
    return Path(chosen).expanduser() if chosen else Path(platformdirs.user_cache_dir("nbkit"))


def load(entry: Path, model: BaseEmbedding) -> VectorStoreIndex | None:
    """A saved index, or None when there is none or its files are not as they were written."""
    try:
        # FAISS may crash on a damaged file, so nothing is parsed before the sums agree.
        if json.loads((entry / _MANIFEST).read_bytes()) != _sums(entry):
            return None
        store = search.PassageStore.from_persist_dir(str(entry))
        storage = StorageContext.from_defaults(persist_dir=str(entry), vector_store=store)
        struct = storage.index_store.get_index_struct()
        assert isinstance(struct, IndexDict)
        index = LeanIndex(
            index_struct=struct,
            storage_context=storage,
            embed_model=model,
            transformations=[chunks.splitter()],
        )
    except (OSError, ValueError, KeyError, RuntimeError):
        return None
    with suppress(OSError):
        os.utime(entry)
    return index


def save(index: VectorStoreIndex, entry: Path) -> None:
    """Keep an index; when the folder cannot be written, or another kernel wins, do nothing."""
    draft = None
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=entry.parent))
        index.storage_context.persist(persist_dir=str(draft))
        (draft / _MANIFEST).write_text(json.dumps(_sums(draft)), encoding="utf-8")
        if entry.exists():
            # It did not load, so it is damaged; a folder cannot be renamed over another.
            entry.rename(draft / "damaged")
        draft.rename(entry)
        shutil.rmtree(entry / "damaged", ignore_errors=True)
        _prune(entry.parent)
    except (OSError, RuntimeError):  # FAISS reports a full disk as a RuntimeError
        if draft:
            shutil.rmtree(draft, ignore_errors=True)


def _sums(entry: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(entry.iterdir())
        if path.is_file() and path.name != _MANIFEST
    }


def _prune(folder: Path) -> None:
    """Keep the entries used last. Drafts count: one that another kernel is writing is new."""
    entries = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in entries[KEPT_PER_FOLDER:]:
        shutil.rmtree(old, ignore_errors=True)
