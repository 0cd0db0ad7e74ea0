"""A server beside a real kernel: started in a cell, asked from outside, gone with the kernel."""

import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import httpx
import pytest

from tests.kernel.conftest import Kernel, running_kernel

pytestmark = pytest.mark.kernel

SETUP = """
import asyncio, json, nbkit
llm = nbkit.connect(ttft=0.3, tokens_per_second=60, jitter=0)
engine = nbkit.load_index("en").as_query_engine(llm=llm, streaming=True)
server = nbkit.serve(engine)
print(json.dumps([server.url, server.token]))
"""


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Kernel, str, dict[str, str]]]:
    """One kernel with a server for the tests of this file."""
    with running_kernel() as kernel:
        url, token = json.loads(kernel.run(SETUP).text)
        yield kernel, url, {"Authorization": f"Bearer {token}"}


def _ask(url: str, headers: dict[str, str]) -> str:
    body = {"question": "How do I return it?"}
    return httpx.post(f"{url}/query", json=body, headers=headers, timeout=30).text


def test_it_answers_while_cells_run(served: tuple[Kernel, str, dict[str, str]]) -> None:
    """Neither a blocking cell nor one that asks the same engine holds up the server."""
    kernel, url, headers = served
    for cell in (
        "import time; time.sleep(2); print('slept')",
        "print(len((await nbkit.stream(engine.aquery('How do I return it?'))).text) > 99)",
        "nbkit.loops.allow_nested_run(); asyncio.run(asyncio.sleep(0.1))",
        "print(asyncio.run(engine.aquery('What is the battery life?')) is not None)",
    ):
        with ThreadPoolExecutor() as pool:
            answer = pool.submit(_ask, url, headers)
            kernel.run(cell)
            assert "event: done" in answer.result()


def test_its_thread_prints_under_no_cell(served: tuple[Kernel, str, dict[str, str]]) -> None:
    """Whatever is sent to the server, the notebook stays as it is."""
    kernel, url, headers = served
    request = kernel.start("await asyncio.sleep(1)")
    for nonsense in (b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n"):
        with socket.create_connection((urlsplit(url).hostname, urlsplit(url).port)) as connection:
            connection.sendall(nonsense)
            connection.recv(1000)
    with httpx.stream("POST", f"{url}/query", json={"question": "x"}, headers=headers) as left:
        next(left.iter_raw())
    run = kernel.follow(request)
    assert run.of("stream") == []
    assert run.of("error") == []


def test_an_error_at_the_start_is_the_cells(served: tuple[Kernel, str, dict[str, str]]) -> None:
    """A port that is taken is one sentence in the cell that asked for it."""
    kernel, url, _ = served
    run = kernel.follow(kernel.start(f"nbkit.serve(engine, port={urlsplit(url).port})"))
    assert run.reply["ename"] == "ServeError"
    (shown,) = run.of("error")
    assert len(shown["traceback"]) == 1
    assert "leave port out" in shown["traceback"][0]


def test_show_frames_the_page(served: tuple[Kernel, str, dict[str, str]]) -> None:
    """The cell shows the page, or a link where it cannot be framed; plain text has no token."""
    kernel, url, headers = served
    token = headers["Authorization"].removeprefix("Bearer ")
    (shown,) = kernel.run("server.show()").of("display_data")
    assert f'data="{url}/#{token}"' in shown["data"]["text/html"]
    assert f'href="{url}/#{token}"' in shown["data"]["text/html"]
    assert url in shown["data"]["text/plain"]
    assert token not in shown["data"]["text/plain"]


def test_on_a_hub_the_page_goes_through_the_proxy(
    served: tuple[Kernel, str, dict[str, str]],
) -> None:
    """With a hub's prefix, and jupyter-server-proxy, the address is one of the hub's own."""
    kernel, url, _ = served
    kernel.run(
        "import os, sys, types, importlib.machinery as machinery\n"
        "os.environ['JUPYTERHUB_SERVICE_PREFIX'] = '/user/ada/'\n"
        "proxy = sys.modules['jupyter_server_proxy'] = types.ModuleType('jupyter_server_proxy')\n"
        "proxy.__spec__ = machinery.ModuleSpec('jupyter_server_proxy', None)"
    )
    (shown,) = kernel.run("server.show()").of("display_data")
    kernel.run("del os.environ['JUPYTERHUB_SERVICE_PREFIX'], sys.modules['jupyter_server_proxy']")
    assert f'data="/user/ada/proxy/{urlsplit(url).port}/#' in shown["data"]["text/html"]


def test_it_ends_with_the_kernel(fresh_kernel: Kernel) -> None:
    """A kernel that is shut down takes its server along."""
    url, token = json.loads(fresh_kernel.run(SETUP).text)
    assert "event: done" in _ask(url, {"Authorization": f"Bearer {token}"})
    fresh_kernel.manager.shutdown_kernel()
    end = time.monotonic() + 10
    while time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex((urlsplit(url).hostname or "", urlsplit(url).port or 0)):
                return
        time.sleep(0.05)
    raise AssertionError("somebody still listens")
