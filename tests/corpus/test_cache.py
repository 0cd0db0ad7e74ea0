"""Indexes are kept on disk, and whatever happens to them there is never an error."""

import shutil
import threading
from pathlib import Path

import pytest
from llama_index.core import MockEmbedding
from llama_index.vector_stores.faiss import FaissVectorStore

from nbkit.corpus import cache, load_index, reading, search
from tests.corpus.conftest import NOTE, names


def entries(cache_folder: Path) -> list[Path]:
    return sorted((cache_folder / "indexes").glob("*/*"))


def built(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Record each build from here on."""
    record: list[Path] = []
    real = search.build

    def build(folder: Path, *rest: object) -> search.Built:
        record.append(folder)
        return real(folder, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(search, "build", build)
    return record


def test_a_second_start_does_not_build(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An index is kept, and answers as the built one did."""
    want = [(hit.node_id, hit.score) for hit in load_index(folder).as_retriever().retrieve("food")]
    builds = built(monkeypatch)
    again = load_index(folder).as_retriever().retrieve("food")
    assert builds == []
    assert [(hit.node_id, hit.score) for hit in again] == want


@pytest.mark.parametrize("change", ["edit", "rename", "delete", "add"])
def test_any_change_of_the_files_builds_again(
    change: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Changed, renamed, deleted and new files are seen at the next start."""
    load_index(folder)
    builds = built(monkeypatch)
    match change:
        case "edit":
            (folder / "cats.md").write_text(NOTE.replace("fish", "milk"), encoding="utf-8")
        case "rename":
            (folder / "cats.md").rename(folder / "felines.md")
        case "delete":
            (folder / "cats.md").unlink()
        case "add":
            (folder / "new.md").write_text("Frogs jump.", encoding="utf-8")
    index = load_index(folder)
    assert len(builds) == 1
    assert names(index) == set(reading.find_files(folder)[0])


def test_another_embedding_has_its_own_entry(folder: Path) -> None:
    """An index is never loaded with another embedding than it was built with."""
    load_index(folder)
    other = MockEmbedding(embed_dim=8, model_name="other")
    assert load_index(folder, embed_model=other).vector_store.client.d == 8
    assert load_index(folder).vector_store.client.d == 512


def test_an_embedding_without_a_name_is_not_kept(folder: Path) -> None:
    """Embeddings that cannot be told apart are not mixed up."""
    for dimensions in (8, 16):
        index = load_index(folder, embed_model=MockEmbedding(embed_dim=dimensions))
        assert index.vector_store.client.d == dimensions


@pytest.mark.parametrize("damage", ["truncate", "remove", "garbage", "empty"])
def test_a_damaged_entry_is_built_again(
    damage: str, folder: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever happened to the files of the cache, the index comes, and is kept again."""
    shutil.rmtree(own_cache, ignore_errors=True)
    load_index(folder)
    (entry,) = entries(own_cache)
    vectors = entry / "default__vector_store.json"
    match damage:
        case "truncate":
            vectors.write_bytes(vectors.read_bytes()[:100])
        case "remove":
            (entry / "docstore.json").unlink()
        case "garbage":
            (entry / "docstore.json").write_bytes(b"\xff{")
        case "empty":
            shutil.rmtree(entry)
            entry.mkdir()
    builds = built(monkeypatch)
    assert "cats.md" in names(load_index(folder))
    assert len(builds) == 1
    load_index(folder)
    assert len(builds) == 1
    assert entries(own_cache) == [entry]


def test_an_unwritable_cache_is_no_error(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a place to keep it, the index is built all the same."""
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    monkeypatch.setenv("NBKIT_CACHE", str(tmp_path / "file" / "cache"))
    assert "cats.md" in names(load_index(folder))


def test_a_failing_disk_leaves_no_draft(
    folder: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When writing fails half way, there is an index and no litter."""
    shutil.rmtree(own_cache, ignore_errors=True)
    monkeypatch.setattr(
        FaissVectorStore, "persist", lambda *_, **__: (_ for _ in ()).throw(RuntimeError("full"))
    )
    assert "cats.md" in names(load_index(folder))
    assert entries(own_cache) == []


def test_few_entries_are_kept(folder: Path, own_cache: Path) -> None:
    """A folder that changes often keeps its newest entries only."""
    shutil.rmtree(own_cache, ignore_errors=True)
    for number in range(cache.KEPT_PER_FOLDER + 2):
        (folder / "cats.md").write_text(f"{NOTE}\n\nEdition {number}.", encoding="utf-8")
        load_index(folder)
    assert len(entries(own_cache)) == cache.KEPT_PER_FOLDER


def test_kernels_may_build_at_once(folder: Path, own_cache: Path) -> None:
    """Four builds of one folder at the same time: four indexes, one entry, no error."""
    shutil.rmtree(own_cache, ignore_errors=True)
    found: list[set[str]] = []
    start = threading.Barrier(4)

    def work() -> None:
        start.wait()
        found.append(names(load_index(folder)))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [{"cats.md", "deep/狗.txt", "page.HTML"}] * 4
    assert len(entries(own_cache)) == 1
