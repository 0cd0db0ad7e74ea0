"""The server beside a program: how it starts, how it ends, and by which names it is called."""

import asyncio
import inspect
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

import nbkit
from nbkit.web.server import ServeError
from tests.served import Scripted, answer_to, asking, echo, endless, parrot, text_of
from tests.simulated import wait_for

ROOT = Path(__file__).parent.parent


def _threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if "serve" in thread.name}


def test_the_block_ends_the_server() -> None:
    """After a `with` block nobody listens any more and no thread is left."""
    with nbkit.serve(Scripted(echo), chat=parrot) as server:
        assert server.running
        answer_to(server, "chat", message="x")
    assert not server.running
    wait_for(lambda: not _threads())
    with pytest.raises(httpx.ConnectError):
        httpx.get(server.url)


def test_stop_ends_what_streams() -> None:
    """A stopped server sends each reader a last event, and does not wait for endless answers."""
    server = nbkit.serve(Scripted(endless))
    with asking(server, question="x") as reply:
        reply.until("token")
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        assert reply.until("done")["data"]["stopped"] is True
        stopping.join(5)
    server.stop()
    assert not server.running
    assert "stopped" in repr(server)


def test_many_servers_side_by_side() -> None:
    """Each takes a free port, has its own token, and answers for itself."""
    with nbkit.serve(Scripted(echo)) as one, nbkit.serve(Scripted(echo)) as two:
        assert one.port != two.port
        wrong = httpx.post(f"{one.url}/query", json={"question": "x"}, headers=two.headers)
        assert wrong.status_code == 401
        assert text_of(answer_to(two, question="two")) == "two "


def test_a_taken_port_is_an_error_where_it_was_asked_for() -> None:
    """What keeps the server from starting is raised by the call, in a sentence."""
    with (
        nbkit.serve(Scripted(echo)) as server,
        pytest.raises(ServeError, match="leave port out"),
    ):
        nbkit.serve(Scripted(echo), port=server.port)
    with pytest.raises(ServeError, match="port 99999"):
        nbkit.serve(Scripted(echo), port=99_999)


def test_a_wrong_call_names_the_right_one() -> None:
    """An index, a chat engine or nothing in the engine's place is told what to pass."""
    index = nbkit.load_index("en")
    with pytest.raises(ServeError, match="as_query_engine"):
        nbkit.serve(index)
    with pytest.raises(ServeError, match="chat=lambda: index"):
        nbkit.serve(chat=parrot())  # type: ignore[arg-type]
    with pytest.raises(ServeError, match="nothing to serve"):
        nbkit.serve()


def test_only_what_was_given_is_served() -> None:
    """Without a chat there is no chat, on the page and elsewhere."""
    with nbkit.serve(Scripted(echo)) as server:
        assert 'data-modes="query"' in httpx.get(server.url).text
        with asking(server, "chat", message="x") as reply:
            assert reply.response.status_code == 404
    with nbkit.serve(chat=parrot) as server:
        assert 'data-modes="chat"' in httpx.get(server.url).text


async def test_a_notebook_and_its_server_share_an_engine() -> None:
    """The engine answers here and through the server, in turns and at once, a request each."""
    llm = nbkit.connect(speed=0, seed=7)
    engine = nbkit.load_index("en").as_query_engine(llm=llm, streaming=True)
    question = "How do I return it?"
    with nbkit.serve(engine) as server:
        for _ in range(2):
            here, there = await asyncio.gather(
                nbkit.stream(engine.aquery(question)),
                asyncio.to_thread(answer_to, server, question=question),
            )
            assert here.text == text_of(there)
    assert (await nbkit.stream(engine.aquery(question))).text == here.text
    with nbkit.serve(engine) as server:
        assert text_of(await asyncio.to_thread(answer_to, server, question=question)) == here.text
    done = [row["status"] for row in llm.simulator.requests(llm.model)]
    assert done == ["done"] * 6


def test_without_a_notebook_show_prints_the_address(capsys: pytest.CaptureFixture[str]) -> None:
    """In a script there is nothing to put the page in, so the reader gets its whole address."""
    with nbkit.serve(Scripted(echo)) as server:
        server.show()
        assert capsys.readouterr().out == f"{server.page}\n"


def test_help_shows_the_function() -> None:
    """`nbkit.serve?` shows the parameters."""
    assert "max_concurrency" in inspect.signature(nbkit.serve).parameters


NESTED = """
import asyncio, nbkit, nest_asyncio
from tests.served import Scripted, answer_to, echo, parrot, text_of

async def main():
    before = nbkit.serve(Scripted(echo), chat=parrot)
    nest_asyncio.apply()
    after = nbkit.serve(Scripted(echo), chat=parrot)
    for server in (before, after, before):
        print(text_of(await asyncio.to_thread(answer_to, server, question="one two")))
        print(len(await asyncio.to_thread(answer_to, server, "chat", message="x")) > 2)
        asyncio.run(asyncio.sleep(0))
    before.stop(), after.stop()
    print(before, after)

asyncio.run(main())
"""


# From Python 3.12 on nest_asyncio would end uvicorn's thread, and there only fast tests are run.
_fast_where_it_matters = pytest.mark.process if sys.version_info < (3, 12) else lambda test: test


@_fast_where_it_matters
def test_it_works_beside_nest_asyncio() -> None:
    """A server answers after nest_asyncio has replaced `asyncio.run`, and one from before too."""
    ran = subprocess.run(
        [sys.executable, "-c", NESTED], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert ran.stdout.count("one two \nTrue\n") == 3
    assert ran.stdout.count("stopped") == 2
    assert ran.stderr == ""


@pytest.fixture
def shell() -> Iterator["subprocess.Popen[str]"]:
    """A server started from a shell, its address printed."""
    with subprocess.Popen(
        [sys.executable, "-m", "nbkit", "serve", "--data", "data/en"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "NBKIT_SPEED": "0"},
    ) as process:
        yield process
        process.kill()


@pytest.mark.process
@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signal to send")
def test_from_a_shell_until_ctrl_c(shell: "subprocess.Popen[str]") -> None:
    """The command prints an address that works, and Ctrl-C ends it without a traceback."""
    assert shell.stdout is not None
    assert shell.stderr is not None
    said = ""
    while "Ctrl-C" not in said:
        line = shell.stdout.readline()
        assert line, shell.stderr.read()
        said += line
    found = re.search(r"(http://\S+)/#(\S+)", said)
    assert found
    response = httpx.post(
        f"{found[1]}/query",
        json={"question": "How do I return it?"},
        headers={"Authorization": f"Bearer {found[2]}"},
        timeout=30,
    )
    assert "event: done" in response.text
    shell.send_signal(signal.SIGINT)
    started = time.monotonic()
    assert shell.wait(20) == 0, time.monotonic() - started
    assert shell.stderr.read() == ""


@pytest.mark.process
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--data", "nowhere"], "There is no folder"),
        (["--host", "0.0.0.0"], "--expose"),
        (["--llm", "openai"], "OPENAI_API_KEY is not set"),
        (["--port", "many"], "invalid int value"),
    ],
)
def test_a_shell_command_that_cannot_work_says_why(options: list[str], said: str) -> None:
    """What is wrong is said in one line, without a traceback."""
    ran = subprocess.run(
        [sys.executable, "-m", "nbkit", "serve", *options],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert ran.returncode != 0
    assert said in ran.stderr
    assert "Traceback" not in ran.stderr
