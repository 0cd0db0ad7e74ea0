"""PDF and Word files are read; what cannot be read is skipped with a line that says why."""

import io
import os
import signal
import threading
from pathlib import Path

import matplotlib.figure
import pypdf
import pytest
from llama_index.core import MockEmbedding
from llama_index.core.schema import MetadataMode

from nbkit.corpus import CorpusError, documents, load_index, reading
from nbkit.models import embedding
from nbkit.streaming.answer import named_sources
from tests.corpus.conftest import NOTE, names
from tests.corpus.documents import docx, pdf

EMBEDDED: list[str] = []
"""All texts that were embedded."""


class Counting(MockEmbedding):
    """An embedding that tells what it was asked for."""

    def _get_text_embedding(self, text: str) -> list[float]:
        EMBEDDED.append(text)
        return [float(len(text)), 1.0]


@pytest.fixture
def counting(own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Counting:
    monkeypatch.setenv("NBKIT_CACHE", str(tmp_path / "cache"))
    EMBEDDED.clear()
    return Counting(embed_dim=2, model_name="counting")


@pytest.fixture
def papers(tmp_path: Path) -> Path:
    """A folder of 20 papers, of five files of each kind."""
    folder = tmp_path / "papers"
    folder.mkdir()
    for number in range(5):
        said = f"Lamp {number} is bright."
        (folder / f"{number}.md").write_text(f"# Lamp {number}\n\n{said}\n\nAnd warm.", "utf-8")
        (folder / f"{number}.html").write_text(f"<p>{said}</p>", "utf-8")
        (folder / f"{number}.pdf").write_bytes(pdf(said, f"Page two of paper {number}."))
        (folder / f"{number}.docx").write_bytes(docx(f"# Lamp {number}", said))
    return folder


def test_a_source_names_its_page(tmp_path: Path) -> None:
    """Long pages have chunks of their own, short ones share one; sources and the model see it."""
    pages = ["Cats sleep all day. " * 100, "", "Dogs like long walks. " * 100]
    (tmp_path / "animals.pdf").write_bytes(pdf(*pages))
    (tmp_path / "slides.pdf").write_bytes(pdf("Birds fly.", "Bees fly too."))
    hits = load_index(tmp_path).as_retriever(similarity_top_k=9).retrieve("What do dogs like?")
    shown = [source.name for source in named_sources(hits)]
    assert sorted(shown) == [
        "animals.pdf, page 1",
        "animals.pdf, page 3",
        "slides.pdf, pages 1–2",
    ]
    assert shown[0] == "animals.pdf, page 3"
    assert (
        hits[0].get_content(MetadataMode.LLM).startswith("file_name: animals.pdf\npage_label: 3\n")
    )
    assert "page" not in hits[0].get_content(MetadataMode.EMBED)


def test_chinese_documents_are_read(tmp_path: Path) -> None:
    """Chinese in PDF and Word is found by a question; a Word heading is a section's."""
    (tmp_path / "保修.pdf").write_bytes(pdf("保修期为二十四个月，\n从购买之日起计算。"))
    (tmp_path / "台灯.docx").write_bytes(docx("# 台灯", "# 清洁", "请用干布擦拭灯罩。"))
    retriever = load_index(tmp_path).as_retriever(similarity_top_k=1)
    (warranty,), (cleaning,) = map(retriever.retrieve, ["保修期多长？", "怎么清洁灯罩？"])
    assert warranty.metadata["file_name"] == "保修.pdf"
    assert cleaning.metadata["file_name"] == "台灯.docx"
    assert cleaning.text == "# 台灯\n\n# 清洁\n\n请用干布擦拭灯罩。"


def test_a_pdf_of_another_program_is_read() -> None:
    """The fonts that matplotlib embeds are understood."""
    figure, content = matplotlib.figure.Figure(), io.BytesIO()
    figure.text(0.1, 0.5, "The warranty lasts two years.")
    figure.savefig(content, format="pdf")
    assert documents.pdf_pages(content.getvalue(), lambda: None) == (
        ["The warranty lasts two years."],
        None,
    )


def test_an_empty_password_is_no_obstacle() -> None:
    """A PDF that may only not be printed or changed is read, with AES too."""
    assert documents.pdf_pages(pdf("Bright.", owner="secret"), lambda: None) == (["Bright."], None)


UNREADABLE = {
    "secret.pdf": (pdf("Bright.", password="secret"), "encrypted: save a copy without the"),
    "scan.pdf": (pdf("", ""), "no text, only pictures: scanned?"),
    "cut.pdf": (pdf("Bright.")[:300], r"damaged \(Stream has ended unexpectedly\)"),
    "page.pdf": (b"<html>Sign in</html>", "damaged"),
    "empty.pdf": (b"", "empty"),
    "blank.docx": (docx(" "), "empty"),
    "text.docx": (b"Bright.", r"damaged \(File is not a zip file\)"),
    "old.docx": (b"\xd0\xcf\x11\xe0" + bytes(600), "encrypted, or an old .doc"),
    "huge.md": (b"Bright. " * 1000, "huge: .* characters"),
    "huge.txt": (b"Bright. " * 9000, "huge: 0 MB, over 0 MB"),
    "bomb.docx": (docx("Bright. " * 1000), "huge: unpacks to 0 MB"),
}


@pytest.fixture
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MOST_BYTES", 50_000)
    monkeypatch.setattr(reading, "MOST_LETTERS", 5_000)
    monkeypatch.setattr(documents, "MOST_XML", 5_000)


@pytest.mark.usefixtures("small_limits")
@pytest.mark.parametrize("name", UNREADABLE)
def test_what_cannot_be_read_is_skipped_and_told(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, counting: Counting
) -> None:
    """One line with file and reason, at each start, and no word from the reader's own log."""
    content, reason = UNREADABLE[name]
    (tmp_path / name).write_bytes(content)
    (tmp_path / "cats.md").write_text(NOTE, "utf-8")
    for _ in range(2):
        with pytest.warns(UserWarning, match=rf"\ANot read:\n  {name} — {reason}.*\.\Z") as told:
            assert names(load_index(tmp_path, embed_model=counting)) == {"cats.md"}
        assert len(told) == 1
        assert told[0].filename == __file__
    assert not caplog.records


@pytest.mark.usefixtures("small_limits")
def test_nothing_readable_is_an_error_with_every_reason(tmp_path: Path) -> None:
    """If all files are skipped, the error has what the lines would have said."""
    for name in ("scan.pdf", "empty.pdf"):
        (tmp_path / name).write_bytes(UNREADABLE[name][0])
    told = r"hold no text: empty\.pdf \(empty\), scan\.pdf \(no text, only pictures.* — add some"
    with pytest.raises(CorpusError, match=told):
        load_index(tmp_path)


def test_one_bad_page_costs_one_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other pages are read, and the reader is told which one is not."""
    real = pypdf.PageObject.extract_text

    def extract(page: pypdf.PageObject) -> str:
        if page.page_number == 1:
            raise RecursionError("too deep")
        return real(page)

    monkeypatch.setattr(pypdf.PageObject, "extract_text", extract)
    (tmp_path / "a.pdf").write_bytes(pdf("One.", "Two.", "Three."))
    with pytest.warns(UserWarning, match=r"a\.pdf — page 2: damaged \(too deep\)"):
        (node,) = load_index(tmp_path).docstore.docs.values()
    assert node.get_content() == "One.\n\nThree."


@pytest.mark.parametrize("kind", [".md", ".html", ".pdf", ".docx"])
def test_one_changed_file_costs_one_file(
    kind: str, papers: Path, counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 20 files one is changed: only its text is embedded again, only it is read again."""
    load_index(papers, embed_model=counting)
    first, again = len(EMBEDDED), []
    assert first == 70  # a chunk, its headings, its paragraphs: 4 of .md and .pdf, else 3
    real = reading._text
    monkeypatch.setattr(
        reading, "_text", lambda name, *rest: again.append(name) or real(name, *rest)
    )
    changed = papers / f"3{kind}"
    new = "A new lamp."
    changed.write_bytes({".pdf": pdf(new), ".docx": docx(new)}.get(kind, new.encode()))
    index = load_index(papers, embed_model=counting)
    assert again == [changed.name]
    assert len(EMBEDDED) - first == 3
    assert all("new lamp" in text or text == "title: 3\nsection: " for text in EMBEDDED[first:])
    assert len(names(index)) == 20


def test_the_mended_index_is_the_index(papers: Path, counting: Counting, tmp_path: Path) -> None:
    """Made of kept parts and one new file, it has the chunks and scores of one made at once."""
    load_index(papers)
    (papers / "3.pdf").write_bytes(pdf("Whales sing under water."))
    mended = load_index(papers).as_retriever(similarity_top_k=30).retrieve("Who sings?")
    whole = load_index(papers.rename(tmp_path / "elsewhere"))
    same = whole.as_retriever(similarity_top_k=30).retrieve("Who sings?")
    assert mended[0].text == "Whales sing under water."
    assert [(hit.node_id, hit.score) for hit in mended] == [
        (hit.node_id, hit.score) for hit in same
    ]


def test_a_file_saved_while_it_is_read_is_not_mistaken(papers: Path, counting: Counting) -> None:
    """What is read of a file after it was looked at is not kept under its former content."""
    file, before = papers / "3.md", (papers / "3.md").read_bytes()
    looked_at, _ = reading.find_files(papers)
    file.write_bytes(b"Half a")
    assert reading.texts(papers, looked_at)["3.md"].pages == ["Half a"]
    file.write_bytes(before)
    assert reading.texts(papers, looked_at)["3.md"].pages == [before.decode()]


@pytest.mark.parametrize("kind", [reading.TEXTS, "vectors"])
@pytest.mark.parametrize("content", [b"", b"\xff{", b"[1]"])
def test_damaged_parts_are_made_again(
    kind: str, content: bytes, papers: Path, counting: Counting, tmp_path: Path
) -> None:
    """Whatever is in the files of the cache, the index comes."""
    load_index(papers, embed_model=counting)
    for part in (tmp_path / "cache" / kind).iterdir():
        part.write_bytes(content)
    (papers / "0.md").unlink()
    assert len(names(load_index(papers, embed_model=counting))) == 19


def test_the_oldest_parts_go_first(
    papers: Path, counting: Counting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is kept has a limit; what was used last stays."""
    from nbkit.corpus import kept

    load_index(papers, embed_model=counting)
    parts = [
        path for kind in ("texts", "vectors") for path in (tmp_path / "cache" / kind).iterdir()
    ]
    for path in parts[1:]:
        os.utime(path, (1, 1))
    monkeypatch.setattr(kept, "MOST_KEPT", parts[0].stat().st_size)
    kept.trim("texts", "vectors")
    assert [path for path in parts if path.exists()] == parts[:1]


def test_a_stop_while_embedding_is_felt_at_once(
    papers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C (and a kernel's Stop) does not wait for the model."""
    released, encode = threading.Event(), embedding._encode

    def interrupted(texts: list[str]) -> list[list[float]]:
        os.kill(os.getpid(), signal.SIGINT)
        released.wait(30)
        return encode(texts)

    monkeypatch.setenv("NBKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(embedding, "_encode", interrupted)
    with pytest.raises(KeyboardInterrupt):
        load_index(papers)
    assert not released.is_set()
    released.set()


def test_after_a_stop_the_work_goes_on_where_it_was(
    papers: Path, counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files read and embedded before a stop are neither read nor embedded again."""
    real, read = pypdf.PageObject.extract_text, []

    def extract(page: pypdf.PageObject) -> str:
        read.append(page)
        if len(read) == 4:
            os.kill(os.getpid(), signal.SIGINT)
        return real(page)

    monkeypatch.setattr(pypdf.PageObject, "extract_text", extract)
    with pytest.raises(KeyboardInterrupt):
        load_index(papers, embed_model=counting)
    assert EMBEDDED == []
    assert len(names(load_index(papers, embed_model=counting))) == 20
    assert len(read) == 4 + 2 * 4  # one of two files was kept
