"""A web server in the kernel's process, in a thread and an event loop of its own."""

import asyncio
import atexit
import logging
import os
import secrets
import socket
import sys
import threading
from collections.abc import Iterable
from contextlib import AbstractContextManager, suppress
from typing import Any

import uvicorn
from fastapi import FastAPI
from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.chat_engine.types import BaseChatEngine

from nbkit.errors import NbkitError
from nbkit.language import say, to_say
from nbkit.loops.run import wind_up
from nbkit.streaming.agents import is_of_agent, refuse, run_of
from nbkit.web.access import LOOPBACK, Guard
from nbkit.web.app import ChatFactory, create_app
from nbkit.web.in_notebook import HUB_VARIABLE, show_page
from nbkit.web.timeouts import http_protocol

STOP_SECONDS = 1
"""Seconds that answers have for their last event when the server is stopped."""
_EXPOSED = to_say("""\
Serving on {url}, beyond this machine. Whoever reaches that address and has the token can put
questions to your model, at your cost, and read what your documents say. Nothing is encrypted:
everybody on the network between can read the token and the answers. `stop()` ends it.
""")
# Without a handler Python prints what uvicorn logs, under whatever cell runs at that moment.
logging.getLogger("uvicorn").addHandler(logging.NullHandler())


class ServeError(NbkitError):
    """The server cannot be what it was asked to be; the message says what to change."""


class Server(AbstractContextManager["Server"]):
    """A running web server, made by `nbkit.serve`: its address, its token, its end.

    As a context manager it stops at the end of the block; it stops with the kernel in any case.

    Taught in notebook 08.
    """

    def __init__(self, app: FastAPI, *, host: str, port: int, hosts: Iterable[str]) -> None:
        listening = _listen(host, port)
        self.host, self.port = host, int(listening.getsockname()[1])
        self.token = secrets.token_urlsafe(24)
        self._app = app
        guard = Guard(app, self.token, _names(host, hosts), any_address=host not in LOOPBACK)
        self._uvicorn = uvicorn.Server(
            uvicorn.Config(
                guard,
                http=http_protocol(),
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=STOP_SECONDS,
            )
        )
        # No need to wait for its start: the socket listens already, and early requests wait there.
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._live, args=(listening,), name="nbkit-serve", daemon=True
        )
        self._thread.start()
        atexit.register(self.stop)

    @property
    def url(self) -> str:
        """The address, for programs: `{url}/query`, `{url}/chat`."""
        name = socket.gethostname() if self.host in ("", "0.0.0.0", "::") else self.host
        return f"http://[{name}]:{self.port}" if ":" in name else f"http://{name}:{self.port}"

    @property
    def page(self) -> str:
        """The address to open in a browser; the part after # is the token, which is not sent."""
        return f"{self.url}/#{self.token}"

    @property
    def headers(self) -> dict[str, str]:
        """What a program must send along: the token."""
        return {"Authorization": f"Bearer {self.token}"}

    @property
    def running(self) -> bool:
        """Whether it still serves."""
        return self._thread.is_alive()

    @property
    def streaming(self) -> int:
        """How many answers are being written at this moment."""
        return len(self._app.state.answers)

    def show(self) -> None:
        """Put the page under the cell, or a link where it cannot be shown; in a script, print it.

        On JupyterHub and Binder the page goes through jupyter-server-proxy if that is installed.
        The output, and so the saved notebook, holds the token; it dies with the server.
        """
        show_page(self.page)

    def stop(self) -> None:
        """End it, and all answers with it; safe from any thread, any number of times."""
        atexit.unregister(self.stop)
        if not self.running:
            return
        with suppress(RuntimeError):  # the loop is closed: another thread has stopped it
            self._loop.call_soon_threadsafe(self._begin_to_stop)
        if threading.current_thread() is not self._thread:
            self._thread.join(5 * STOP_SECONDS)

    def wait(self) -> None:
        """Wait until it has been stopped; an interrupt ends the waiting."""
        while self.running:
            self._thread.join(0.2)

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<Server {self.url} {'running' if self.running else 'stopped'}>"

    def _live(self, listening: socket.socket) -> None:
        # Not asyncio.run(): nest_asyncio replaces it by one that refuses to work here.
        loop = self._loop
        try:
            loop.run_until_complete(self._uvicorn.serve(sockets=[listening]))
        finally:
            # Readers that take nothing, even now; uvicorn would leave them connected.
            state = getattr(self._uvicorn, "server_state", None)
            for connection in list(getattr(state, "connections", ())):
                connection.transport.abort()
            loop.run_until_complete(wind_up())
            loop.close()
            listening.close()

    def _begin_to_stop(self) -> None:
        self._uvicorn.should_exit = True
        self._app.state.answers.stop_all()


def serve(
    engine: BaseQueryEngine | None = None,
    *,
    chat: ChatFactory | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    max_concurrency: int = 32,
    expose: bool = False,
    hosts: Iterable[str] = (),
) -> Server:
    """Serve answers as they are written, to a web page and to programs, from this kernel.

    `engine` answers `POST /query`, made with `streaming=True`; `chat` makes the chat engine of
    each new conversation at `POST /chat`:
    `chat=lambda: index.as_chat_engine(chat_mode="context", llm=llm)`. One of them is enough.
    `port=0` takes a free one. More than `max_concurrency` answers at once are turned away, with
    HTTP 503.

    Only this machine can reach it, and all but the empty page needs `server.token`. `host` of
    another interface must be confirmed by `expose=True`. `hosts` are further names of this server,
    such as that of a proxy in front of it.

    The server uses the engine in an event loop of its own. The models of `nbkit.connect` may be
    asked from the notebook meanwhile; a client of another make may belong to one loop only.

    Raises ServeError, in the calling cell, if it cannot start.

    Taught in notebook 08.
    """
    _check(engine, chat)
    if host not in LOOPBACK and not expose:
        raise ServeError(
            say("host={host!r} would let other machines ask your model at your cost", host=host),
            say("leave host out, or pass expose=True (in a shell, --expose) if you mean it."),
        )
    app = create_app(engine, chat, max_concurrency=max_concurrency)
    server = Server(app, host=host, port=port, hosts=hosts)
    if host not in LOOPBACK:
        sys.stdout.write(say(_EXPOSED, url=server.url))
    return server


def _check(engine: Any, chat: Any) -> None:
    if engine is None and chat is None:
        raise ServeError(say("There is nothing to serve"), say("pass a query engine, or chat=."))
    for given in (engine, chat):
        if is_of_agent(given) and run_of(given) is None:
            raise ServeError(refuse(given))
    if engine is not None and not isinstance(engine, BaseQueryEngine) and run_of(engine) is None:
        raise ServeError(
            say("Got {kind}, which is not a query engine", kind=type(engine).__name__),
            say("pass `index.as_query_engine(llm=llm, streaming=True)`."),
        )
    shared = isinstance(chat, BaseChatEngine) or run_of(chat) is not None
    if chat is not None and (shared or not callable(chat)):
        raise ServeError(
            say(
                "Got {kind} for chat, which people would share, each other's messages included",
                kind=type(chat).__name__,
            ),
            say(
                'pass a function: `chat=lambda: index.as_chat_engine(chat_mode="context", '
                "llm=llm)`."
            ),
        )


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        raise ServeError(
            say(
                "The server cannot listen on {host}, port {port} ({error})",
                host=host,
                port=port,
                error=error,
            ),
            say("leave port out to take a free one, or stop what holds it."),
        ) from None


def _names(host: str, more: Iterable[str]) -> set[str] | None:
    """The names of this server; `None` for any, where only a hub knows them."""
    if HUB_VARIABLE in os.environ:
        return None
    return {*LOOPBACK, *(name.lower() for name in (host, socket.gethostname(), *more))}
