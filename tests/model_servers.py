"""A small server of models for tests: it answers what it is told to, and keeps what it is asked."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from tests.wire import chunk

STREAM = [
    chunk({"role": "assistant", "content": "Hel"}),
    chunk({"content": "lo"}),
    chunk({}, "stop"),
]
MODEL = {"data": [{"id": "m"}]}


class Asked(NamedTuple):
    """One request: its path, its headers in small letters, its body."""

    path: str
    headers: dict[str, str]
    body: Any


class ModelServer:
    """Serves `routes` as JSON and streams "Hello" to every chat.

    `refusal` is the status and body for a chat that asks for `stream_options`. A chat waits for
    `answering`. If `key` is set, a request without it is refused; `header` goes with every reply.
    """

    def __init__(self, routes: Mapping[str, Any], refusal: tuple[int, str] | None) -> None:
        self.asked: list[Asked] = []
        self.key: str | None = None
        self.header = ("x-served-by", "tests")
        self.answering = threading.Event()
        self.answering.set()
        ours = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self.keep(None)

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                self.keep(body)

            def keep(self, body: Any) -> None:
                path = urlsplit(self.path).path
                headers = {name.lower(): text for name, text in self.headers.items()}
                ours.asked.append(Asked(path, headers, body))
                if ours.key and headers.get("authorization") != f"Bearer {ours.key}":
                    self.send(401, "application/json", '{"error": "Unauthorized"}')
                elif path == "/v1/chat/completions":
                    ours.answering.wait(10)
                    if refusal and "stream_options" in body:
                        self.send(refusal[0], "application/json", refusal[1])
                        return
                    texts = [*map(json.dumps, STREAM), "[DONE]"]
                    events = "".join(f"data: {text}\n\n" for text in texts)
                    self.send(200, "text/event-stream", events)
                elif path in routes:
                    self.send(200, "application/json", json.dumps(routes[path]))
                else:
                    self.send(404, "application/json", '{"error": "Unexpected endpoint"}')

            def send(self, status: int, kind: str, text: str) -> None:
                body = text.encode()
                self.send_response(status)
                self.send_header("content-type", kind)
                self.send_header(*ours.header)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                """Keep the test's output clean."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        self.base_url = f"{self.address}/v1"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def chats(self) -> list[Asked]:
        """The chats asked for."""
        return [one for one in self.asked if one.path == "/v1/chat/completions"]

    def close(self) -> None:
        """End the server."""
        self.answering.set()
        self._server.shutdown()
        self._server.server_close()


Serve = Callable[..., ModelServer]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start servers that end with the test."""
    servers: list[ModelServer] = []

    def start(
        routes: Mapping[str, Any] | None = None, refusal: tuple[int, str] | None = None
    ) -> ModelServer:
        servers.append(ModelServer({"/v1/models": MODEL} if routes is None else routes, refusal))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def say(llm: Any) -> str:
    """Ask for a stream, blocking, and give its text."""
    return "".join(part.delta or "" for part in llm.stream_complete("Hi"))


async def asay(llm: Any) -> str:
    """Ask for a stream, async, and give its text."""
    return "".join([part.delta or "" async for part in await llm.astream_complete("Hi")])
