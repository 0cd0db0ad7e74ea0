"""The least server that speaks OpenAI's chat protocol: it costs little, and keeps what it is sent.

For benchmarks it runs beside them: `python -m tests.wire SECONDS_BETWEEN_CHUNKS`.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

WORDS = [f"word{number} " for number in range(40)]
_HEAD = {"id": "chatcmpl-1", "created": 1, "model": "wire"}
_USAGE = {"prompt_tokens": 9, "completion_tokens": len(WORDS), "total_tokens": 9 + len(WORDS)}


def chunk(delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
    """Give one chunk of a stream."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return {**_HEAD, "object": "chat.completion.chunk", "choices": [choice]}


def answer(message: dict[str, Any], finish_reason: str = "stop") -> dict[str, Any]:
    """Give an answer in one piece."""
    choice = {"index": 0, "message": message, "finish_reason": finish_reason}
    return {**_HEAD, "object": "chat.completion", "choices": [choice], "usage": _USAGE}


class Wire:
    """What a server says to every request, and what it was asked."""

    def __init__(self, gap: float = 0) -> None:
        self.gap = gap
        self.bodies: list[bytes] = []
        self.connections: set[asyncio.StreamWriter] = set()
        self.base_url = ""
        self.chunks = [
            chunk({"role": "assistant", "content": ""}),
            *[chunk({"content": word}) for word in WORDS],
            chunk({}, "stop"),
            {**chunk({}), "choices": [], "usage": _USAGE},
        ]
        self.answer = answer({"role": "assistant", "content": "".join(WORDS)})

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until it is closed."""
        self.connections.add(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
                body = await reader.readexactly(length)
                self.bodies.append(body)
                if json.loads(body).get("stream"):
                    await self._stream(writer)
                else:
                    await asyncio.sleep(self.gap * len(self.chunks))
                    self._send_whole(writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.connections.discard(writer)
            writer.close()

    async def _stream(self, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n")
        writer.write(b"transfer-encoding: chunked\r\n\r\n")
        for event in self._events():
            writer.write(event)
            await asyncio.sleep(self.gap)
        writer.write(b"0\r\n\r\n")

    def _events(self) -> list[bytes]:
        texts = [*map(json.dumps, self.chunks), "[DONE]"]
        events = [f"data: {text}\n\n".encode() for text in texts]
        return [b"%x\r\n%s\r\n" % (len(event), event) for event in events]

    def _send_whole(self, writer: asyncio.StreamWriter) -> None:
        body = json.dumps(self.answer).encode()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n")
        writer.write(b"content-length: %d\r\n\r\n%s" % (len(body), body))


class Scripted(Wire):
    """A server that gives every request the same bytes, be they right or wrong."""

    def __init__(
        self,
        body: bytes | list[bytes] = b"",
        status: int = 200,
        kind: str = "text/event-stream",
        headers: dict[str, str] | None = None,
        ends: bool = True,
    ) -> None:
        super().__init__()
        self.pieces = [body] if isinstance(body, bytes) else body
        self.status = status
        self.headers = {"content-type": kind, "transfer-encoding": "chunked", **(headers or {})}
        self.ends = ends
        """Whether the body has an end; if not, the connection stays open until it is closed."""

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until it is closed."""
        self.connections.add(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
                self.bodies.append(await reader.readexactly(length))
                fields = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
                writer.write(f"HTTP/1.1 {self.status} said\r\n{fields}\r\n".encode())
                for piece in filter(None, self.pieces):
                    writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                    await writer.drain()
                if not self.ends:
                    await reader.read()
                    return
                writer.write(b"0\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.connections.discard(writer)
            writer.close()


def events(*chunks: Any, done: bool = True) -> bytes:
    """Give a stream of these chunks (or texts) as server-sent events."""
    texts = [one if isinstance(one, str) else json.dumps(one) for one in chunks]
    return "".join(f"data: {text}\n\n" for text in [*texts, *["[DONE]"] * done]).encode()


@asynccontextmanager
async def serving(wire: Wire) -> AsyncIterator[Wire]:
    """Serve in this event loop."""
    server = await asyncio.start_server(wire.talk, "127.0.0.1", 0, backlog=2048)
    wire.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield wire
    finally:
        # Not `async with server`: from Python 3.12 on its end waits for clients that keep their
        # connections open.
        server.close()
        for writer in list(wire.connections):
            writer.close()
        await asyncio.sleep(0)


@contextmanager
def beside(gap: float = 0) -> Iterator[str]:
    """Serve in another process; gives the base URL."""
    command = [sys.executable, "-m", "tests.wire", str(gap)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


async def _main() -> None:
    async with serving(Wire(float(sys.argv[1]))) as wire:
        print(wire.base_url, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main())
