"""Who may ask, and how much: checked before any of the application runs.

One ASGI middleware: Starlette's TrustedHostMiddleware does not accept numeric addresses in general,
and FastAPI's dependencies come after the body, and only for paths that exist.
"""

import asyncio
import hmac
import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nbkit.language import say

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
MAX_BYTES = 64 * 1024
"""The largest body of a request."""
BODY_SECONDS = 10.0
"""Seconds a body may take to arrive."""
STALLED_SECONDS = 60.0
"""Seconds a client may take to make room for more of its answer."""
_HEADERS = [(b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer")]


class RequestRefused(Exception):
    """A request that is not answered; nothing more of it is read."""

    def __init__(self, status: int, detail: str, **headers: str) -> None:
        headers["Connection"] = "close"
        self.response = JSONResponse({"detail": detail}, status, headers)


class Guard:
    """Passes on only requests that carry the token and come from this server's own page.

    A foreign name that resolves to this machine (DNS rebinding) shows in the Host header, another
    site's script or form in the Origin header. `hosts` are the names of this server; `None` accepts
    any, for when a proxy in front checks them. With `any_address` numeric addresses are accepted
    too: DNS cannot point one of those elsewhere.
    """

    def __init__(
        self, app: ASGIApp, token: str, hosts: Iterable[str] | None, *, any_address: bool
    ) -> None:
        self._app = app
        self._token = token.encode()
        self._hosts = None if hosts is None else frozenset(hosts)
        self._any_address = any_address

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or refuse it."""
        body: list[Message] = []

        async def receive_body() -> Message:
            return body.pop() if body else await receive()

        async def send_in_time(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_HEADERS]
            async with asyncio.timeout(STALLED_SECONDS):
                await send(message)

        try:
            self._check(scope["path"], Headers(scope=scope))
            body.append(await _read_body(receive))
        except RequestRefused as refused:
            await refused.response(scope, receive, send_in_time)
        else:
            await self._app(scope, receive_body, send_in_time)

    def _check(self, path: str, headers: Headers) -> None:
        host = headers.get("host", "")
        if not self._is_own_name(host):
            raise RequestRefused(
                403, say("This server has another name — use the address that it shows.")
            )
        origin = headers.get("origin")
        if origin is not None and origin.lower().partition("://")[2] != host.lower():
            raise RequestRefused(403, say("Another site's page may not ask this server."))
        # The page is open: it holds nothing, and learns the token from its address.
        if path != "/" and not self._has_token(headers):
            raise RequestRefused(
                401,
                say("The token is missing or wrong — open the page at the address with the token."),
                **{"WWW-Authenticate": "Bearer"},
            )
        if int(headers.get("content-length", "0")) > MAX_BYTES:
            raise _too_large()

    def _is_own_name(self, host: str) -> bool:
        if self._hosts is None:
            return True
        try:
            name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
            return name in self._hosts or (self._any_address and bool(ipaddress.ip_address(name)))
        except ValueError:
            return False

    def _has_token(self, headers: Headers) -> bool:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            # A proxy in front, such as JupyterHub's, may keep Authorization for itself.
            token = headers.get("x-token", "")
        return hmac.compare_digest(token.strip().encode(), self._token)


async def _read_body(receive: Receive) -> Message:
    """Read a request's whole body."""
    body = b""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while len(body) <= MAX_BYTES:
                message = await receive()
                body += message.get("body", b"")
                if not message.get("more_body", False):
                    return {**message, "body": body}
    except TimeoutError:
        raise RequestRefused(408, say("The request took too long to arrive.")) from None
    raise _too_large()


def _too_large() -> RequestRefused:
    return RequestRefused(413, say("The request is larger than {size} kB.", size=MAX_BYTES // 1024))
