"""A folder of notes to read, and a cache that is nobody's."""

from pathlib import Path

import pytest
from llama_index.core import VectorStoreIndex

NOTE = "# Cats\n\nCats sleep for sixteen hours a day.\n\n## Food\n\nThey like fish.\n"


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.getbasetemp() / "nbkit-cache"
    monkeypatch.setenv("NBKIT_CACHE", str(folder))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "notes"
    (place / "deep").mkdir(parents=True)
    (place / "cats.md").write_text(NOTE, encoding="utf-8")
    (place / "deep" / "狗.txt").write_text("狗喜欢散步。狗不喜欢洗澡。", encoding="utf-8")
    (place / "page.HTML").write_text(
        "<html><head><title>x</title><style>p{}</style></head><body><h1>Birds</h1>"
        "<p>Birds &amp; bees fly.</p><script>alert(1)</script></body></html>",
        encoding="utf-8",
    )
    (place / ".hidden.md").write_text("a secret", encoding="utf-8")
    (place / ".git").mkdir()
    (place / ".git" / "config.txt").write_text("a secret", encoding="utf-8")
    (place / "photo.png").write_bytes(b"\x89PNG")
    return place


def names(index: VectorStoreIndex) -> set[str]:
    return {node.metadata["file_name"] for node in index.docstore.docs.values()}
