"""A key from a `.env` file or a hidden prompt works, and is kept nowhere but in memory."""

import copy
import getpass
import os
import pickle
import subprocess
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import pytest
from dotenv import find_dotenv
from jupyter_client.manager import start_new_kernel

import nbkit
from nbkit import connect
from nbkit.batch.run import run_batch
from nbkit.models import MissingKeyError, RefusedKeyError, keys
from nbkit.teaching import check
from tests.model_servers import Serve, asay, say

KEY = "sk-typed123456"
ASK = keys._ask


@pytest.fixture(autouse=True)
def own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Start in a folder without a `.env` file, with no key typed before."""
    folder = tmp_path / "course" / "notebooks"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    # The tests' environment has neither: see conftest.py.
    monkeypatch.setattr(keys, "find_dotenv", find_dotenv)
    monkeypatch.setattr(keys, "_ask", ASK)
    monkeypatch.setattr(keys, "_typed", {})
    return folder


class Person:
    """Somebody at a terminal who types these texts, one at each prompt."""

    def __init__(self, *texts: str) -> None:
        self.texts = list(texts)
        self.prompts: list[str] = []

    def __call__(self, prompt: str) -> str:
        self.prompts.append(prompt)
        return self.texts.pop(0)


def seat(monkeypatch: pytest.MonkeyPatch, *texts: str) -> Person:
    """Put a person at the terminal."""
    person = Person(*texts)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(getpass, "getpass", person)
    return person


def protected(serve: Serve) -> Any:
    """Serve with a key that is needed."""
    server = serve()
    server.key = KEY
    return server


# --- a file


@pytest.mark.parametrize("above", [0, 1, 2])
@pytest.mark.parametrize("text", [f"NBKIT_API_KEY={KEY}\n", f'\ufeffexport NBKIT_API_KEY="{KEY}"'])
def test_a_key_in_a_file(serve: Serve, own_folder: Path, text: str, above: int) -> None:
    """It is found in this folder and above, quoted or not, and os.environ is not changed."""
    folder = [own_folder, *own_folder.parents][above]
    (folder / ".env").write_text(text, "utf-8")
    llm = connect(protected(serve).base_url)
    assert say(llm) == "Hello"
    assert "NBKIT_API_KEY" not in os.environ


def test_openais_key_in_a_file(own_folder: Path) -> None:
    """OPENAI_API_KEY is for "openai"; the environment counts more; other servers do not get it."""
    (own_folder / ".env").write_text(f"OPENAI_API_KEY={KEY}")
    llm: Any = connect("openai")
    assert llm.api_key == KEY
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_API_KEY", "sk-other")
        other: Any = connect("openai")
    assert other.api_key == "sk-other"
    own: Any = connect("http://127.0.0.1:9/v1", model="m", context_window=9_000)
    assert own.api_key == "none"


@pytest.mark.parametrize("content", [b"", b"NBKIT_API_KEY=\n", b"\xff\xfeN\x00B\x00K\x00"])
def test_a_file_without_a_key(serve: Serve, own_folder: Path, content: bytes) -> None:
    """An empty key is none; a file that is not UTF-8 is told and does not stop anything."""
    (own_folder / ".env").write_bytes(content)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert say(connect(serve().base_url)) == "Hello"
    told = [str(each.message) for each in caught]
    assert (["save it as UTF-8" in each for each in told] == [True]) == (content[:1] == b"\xff")


def test_a_file_that_git_would_take(own_folder: Path) -> None:
    """A key in a repository that does not ignore `.env` is told; one that does is fine."""
    (own_folder / ".env").write_text(f"OPENAI_API_KEY={KEY}")
    subprocess.run(["git", "init", "--quiet", own_folder.parent], check=True)
    with pytest.warns(UserWarning, match="add .env to .gitignore") as told:
        connect("openai")
    assert KEY not in str(told[0].message)
    (own_folder.parent / ".gitignore").write_text(".env\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        connect("openai")


# --- a person


async def test_a_typed_key_is_kept_for_its_server(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One prompt serves all later calls for this server, and no other server gets the key."""
    person = seat(monkeypatch, KEY)
    server, other = protected(serve), serve()
    for address in (server.base_url, f"{server.base_url}/"):
        for name in ("m", None):
            llm = connect(address, model=name)
            assert [say(llm), await asay(llm)] == ["Hello", "Hello"]
    assert person.prompts == ["API key for 127.0.0.1 (hidden, not stored): "]
    assert say(connect(other.base_url)) == "Hello"
    assert KEY not in str([asked.headers for asked in other.asked])


def test_a_wrong_key_is_asked_for_again(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that the server refuses is forgotten: each connect asks once."""
    monkeypatch.setenv("NBKIT_API_KEY", "sk-old")
    person = seat(monkeypatch, "sk-wrong", KEY)
    server = protected(serve)
    with pytest.raises(RefusedKeyError, match="refused") as caught:
        connect(server.base_url)
    assert "sk-" not in str(caught.value)
    assert say(connect(server.base_url)) == "Hello"
    assert len(person.prompts) == 2


def test_openai_asks_for_its_key(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a key, "openai" asks before anything is sent; Enter alone gives the error."""
    server = protected(serve)
    monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
    seat(monkeypatch, " \n", KEY)
    with pytest.raises(MissingKeyError):
        connect("openai")
    assert server.asked == []
    assert say(connect("openai")) == "Hello"


@pytest.mark.parametrize("name", ["m", None])
def test_nobody_is_asked_without_a_person(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, name: str | None
) -> None:
    """With no terminal, and in a thread, the error names the three ways to give a key."""
    server = protected(serve)
    ways = r"set NBKIT_API_KEY.*\.env.*type the key"
    with pytest.raises(RefusedKeyError, match=ways):
        connect(server.base_url, model=name)
    with pytest.raises(MissingKeyError, match=r"set it before.*\.env.*type the key.*connect\(\)"):
        connect("openai")
    person, found = seat(monkeypatch, KEY), []

    def work() -> None:
        try:
            connect(server.base_url, model=name)
        except RefusedKeyError as error:
            found.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert (len(found), person.prompts) == (1, [])


def test_the_check_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """`nbkit.check()` tells that a key is missing, with no prompt."""
    monkeypatch.setenv("NBKIT_LLM", "openai")
    person = seat(monkeypatch, KEY)
    monkeypatch.setattr(check, "_LOOKS", {"model": check._LOOKS["model"]})
    assert "OPENAI_API_KEY is not set" in repr(nbkit.check())
    assert person.prompts == []


async def test_a_typed_key_is_nowhere(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, own_folder: Path
) -> None:
    """Not in a repr, a dump, a pickle, an answer, a journal or an error."""
    seat(monkeypatch, KEY)
    server = protected(serve)
    llm: Any = connect(server.base_url)
    await run_batch(["Hi"], llm.astream_complete, journal=own_folder / "run.jsonl", progress=False)
    answer = await nbkit.stream(llm.astream_complete("Hi"))
    told = [repr(llm), str(llm), str(llm.to_dict()), llm.to_json(), repr(copy.copy(llm))]
    told += [repr(answer), repr(answer.trace), llm.model_dump_json()]
    told += [(own_folder / "run.jsonl").read_text()]
    server.key = "sk-changed"
    with pytest.raises(nbkit.NbkitError) as caught:
        await nbkit.stream(llm.astream_complete("Hi"))
    told += [str(caught.value), repr(caught.value), repr(caught.value.__cause__)]
    assert len(told) >= 12
    assert KEY not in " ".join(told)
    assert KEY.encode() not in pickle.dumps(llm)


@pytest.mark.kernel
def test_in_a_notebook(serve: Serve) -> None:
    """The front end is asked for a hidden text; where it cannot be asked, the error comes."""
    server = protected(serve)
    code = f"import nbkit; llm = nbkit.connect({server.base_url!r}); print(llm.complete, repr(llm))"
    manager, client = start_new_kernel()
    shown: list[Any] = []

    def person(message: Any) -> None:
        shown.append(message["content"])
        client.input(KEY)

    def run(*, asks: bool) -> str:
        told: list[Any] = []
        client.execute_interactive(
            code,
            timeout=60,
            allow_stdin=asks,
            stdin_hook=person,
            output_hook=lambda message: told.append(message["content"]),
        )
        return str(told)

    try:
        assert "RefusedKeyError" in run(asks=False)
        assert shown == []
        told = run(asks=True)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    assert [each["password"] for each in shown] == [True]
    assert "CompatibleServer(model='m'" in told
    assert KEY not in told + str(shown)
