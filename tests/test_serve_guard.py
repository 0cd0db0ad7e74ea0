"""What a server that anybody on this machine can reach must not let them do."""

import asyncio
import json
import select
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit

import httpx
import pytest

import nbkit
from nbkit.web import access, timeouts
from nbkit.web.server import ServeError, Server
from tests.served import Scripted, answer_to, echo, parrot, text_of
from tests.simulated import wait_for

QUESTION = {"question": "x"}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One server for all attacks."""
    with nbkit.serve(Scripted(echo), chat=parrot) as running:
        yield running


def _status(server: Server, path: str = "query", **headers: str) -> int:
    sent = {**server.headers, **headers}
    return httpx.post(f"{server.url}/{path}", json=QUESTION, headers=sent).status_code


def _connect(server: Server) -> socket.socket:
    return socket.create_connection((server.host, server.port), timeout=5)


def _head(server: Server, *more: str) -> bytes:
    lines = [
        "POST /query HTTP/1.1",
        f"Host: {urlsplit(server.url).netloc}",
        f"Authorization: Bearer {server.token}",
        "Content-Type: application/json",
        *more,
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def _rest(connection: socket.socket) -> bytes:
    """Read until the server closes the connection."""
    said = b""
    while part := connection.recv(65536):
        said += part
    return said


@pytest.mark.parametrize(
    "host",
    ["attacker.example", "attacker.example:80", "127.0.0.1.attacker.example", "10.0.0.1", "", "["],
)
def test_a_foreign_host_is_refused(server: Server, host: str) -> None:
    """A name that somebody has pointed at this machine (DNS rebinding) gets no answer."""
    assert _status(server, Host=host) in (400, 403)
    assert httpx.get(server.url, headers={"Host": host}).status_code in (400, 403)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "[::1]"])
def test_this_machine_goes_by_its_names(server: Server, host: str) -> None:
    """Whatever loopback is called, the server answers to it."""
    assert _status(server, Host=f"{host}:{server.port}") == 200


@pytest.mark.parametrize(
    "origin",
    ["http://attacker.example", "null", "http://localhost:1", "http://127.0.0.1", "https://", "["],
)
def test_a_foreign_origin_is_refused(server: Server, origin: str) -> None:
    """Another site's script cannot ask, even one that somehow had the token."""
    assert _status(server, Origin=origin) == 403


def test_the_own_page_may_ask(server: Server) -> None:
    """The origin of the page is the server's own."""
    assert _status(server, Origin=server.url) == 200


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer x", "Basic x", "Bearer é"])
@pytest.mark.parametrize("path", ["query", "chat", "openapi.json", "nothing", "query?token=x"])
def test_without_the_token_there_is_nothing(server: Server, path: str, authorization: str) -> None:
    """All but the page needs the token; not even what exists can be found out without it."""
    sent = {"Authorization": authorization.encode("latin-1")}
    response = httpx.post(f"{server.url}/{path}", json=QUESTION, headers=sent)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"


def test_the_page_alone_is_open_and_holds_no_secret(server: Server) -> None:
    """The page can be fetched without a token, and does not contain it."""
    response = httpx.get(server.url)
    assert response.status_code == 200
    assert server.token not in response.text
    assert server.token not in str(response.headers)
    assert server.token not in repr(server)


def test_the_token_does_not_work_in_the_address(server: Server) -> None:
    """A token in a query string would be written into logs and histories: it is not looked at."""
    response = httpx.post(f"{server.url}/query?token={server.token}", json=QUESTION)
    assert response.status_code == 401


def test_another_site_is_told_nothing_about_what_it_may_send(server: Server) -> None:
    """A browser's preflight gets no permission, whatever it asks for."""
    ask = {"Origin": "http://attacker.example", "Access-Control-Request-Method": "POST"}
    response = httpx.options(f"{server.url}/query", headers=ask)
    assert response.status_code == 403
    assert not [name for name in response.headers if name.startswith("access-control")]


def test_a_form_cannot_ask(server: Server) -> None:
    """What a plain HTML form can send is not a question."""
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        response = httpx.post(
            f"{server.url}/query",
            content=json.dumps(QUESTION),
            headers={**server.headers, "Content-Type": kind},
        )
        assert response.status_code == 422


def test_a_body_that_says_it_is_too_large_is_not_read(server: Server) -> None:
    """An oversized request is refused at its head."""
    with _connect(server) as connection:
        connection.sendall(_head(server, "Content-Length: 10000000"))
        assert b"413" in _rest(connection).splitlines()[0]


def test_a_body_that_grows_too_large_is_cut_off(server: Server) -> None:
    """One that does not say how long it is gets no further than the limit."""
    with _connect(server) as connection:
        connection.sendall(_head(server, "Transfer-Encoding: chunked"))
        with pytest.raises(OSError):  # noqa: PT011 - reset or broken, as the timing has it
            for _ in range(10_000):
                connection.sendall(b"2000\r\n" + b"x" * 0x2000 + b"\r\n")
            raise AssertionError("80 MB were read")
    assert _status(server) == 200


def test_a_slow_body_is_not_waited_for(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that trickles in is given up after its time, however often a byte comes."""
    monkeypatch.setattr(access, "BODY_SECONDS", 0.2)
    with _connect(server) as connection:
        connection.sendall(_head(server, "Content-Length: 60000"))
        started = time.monotonic()
        while not select.select([connection], [], [], 0.02)[0]:
            assert time.monotonic() - started < 3
            connection.sendall(b" ")
        assert b"408" in _rest(connection).splitlines()[0]


def test_a_slow_head_is_not_waited_for(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection on which no whole request head arrives is closed."""
    monkeypatch.setattr(timeouts, "HEAD_SECONDS", 0.1)
    for begun in (b"", b"POST /query HTTP/1.1\r\nHost: x"):
        with _connect(server) as connection, pytest.raises(ConnectionResetError):
            connection.sendall(begun)
            _rest(connection)
            raise ConnectionResetError  # closed in good order is good too


def test_a_uvicorn_without_these_parts_serves_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """If uvicorn moves the class that is extended, its own HTTP is used, without that limit."""
    with monkeypatch.context() as moved:
        moved.setitem(sys.modules, "uvicorn.protocols.http.h11_impl", None)
        assert timeouts.http_protocol() == "auto"
    monkeypatch.setattr("nbkit.web.server.http_protocol", lambda: "auto")
    with nbkit.serve(Scripted(echo)) as server:
        assert text_of(answer_to(server, question="one")) == "one "


def test_a_reader_that_takes_nothing_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who asks and never reads holds a place no longer than their time."""
    monkeypatch.setattr(access, "STALLED_SECONDS", 0.1)

    async def flood(_question: str) -> AsyncIterator[str]:
        while True:
            yield "word " * 1000
            await asyncio.sleep(0)

    with nbkit.serve(Scripted(flood)) as server, _connect(server) as connection:
        body = json.dumps(QUESTION).encode()
        connection.sendall(_head(server, f"Content-Length: {len(body)}") + body)
        connection.recv(10)
        wait_for(lambda: server.streaming == 0)


def test_an_answer_can_have_a_session_name_only_its_owner_knows(server: Server) -> None:
    """Names of sessions are random and long, so that nobody reads along by guessing."""
    names = set()
    for _ in range(3):
        response = httpx.post(f"{server.url}/chat", json={"message": "x"}, headers=server.headers)
        names.add(response.headers["x-session"])
    assert len(names) == 3
    assert min(map(len, names)) >= 24


def test_another_interface_needs_to_be_confirmed(capsys: pytest.CaptureFixture[str]) -> None:
    """Beyond this machine it serves only when told to, and then says what that means."""
    with pytest.raises(ServeError, match="expose=True"):
        nbkit.serve(Scripted(echo), host="0.0.0.0")
    assert capsys.readouterr().out == ""
    with nbkit.serve(Scripted(echo), host="0.0.0.0", expose=True) as server:
        said = capsys.readouterr().out
        assert "token can put questions to your model, at your cost" in " ".join(said.split())
        assert server.token not in said
        assert _status(server, Host="192.0.2.7") == 200
        assert _status(server, Host="attacker.example") == 403
        assert _status(server, Host="192.0.2.7", Authorization="Bearer x") == 401


def test_a_proxy_in_front_has_a_name_too() -> None:
    """`hosts` adds names; pages under them may ask, and no others."""
    with nbkit.serve(Scripted(echo), hosts=["Lamp.Example"]) as server:
        assert _status(server, Host="lamp.example", Origin="https://lamp.example") == 200
        assert _status(server, Host="lamp.example", Origin="https://evil.example") == 403


def test_a_refused_request_leaves_the_server_well(server: Server) -> None:
    """After all that, it answers."""
    assert text_of(answer_to(server, question="still here")) == "still here "
