"""Who may ask, and how much: checked before any of the application runs."""

import asyncio
import hmac
import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
MOST_BYTES = 64 * 1024
"""The largest body of a request."""
BODY_SECONDS = 10.0
"""Seconds a body may take to arrive."""
OPEN_PATHS = frozenset({"/"})
"""What needs no token: the page, which holds nothing and learns the token from its address."""


class Refused(HTTPException):
    """A request that must not be answered, nor the rest of it be read."""

    def __init__(self, status: int, detail: str, **headers: str) -> None:
        super().__init__(status, detail, {"Connection": "close", **headers})


class Guard:
    """Lets only requests through that carry the token and come from this server's own page.

    A site that another's name resolves to (DNS rebinding) shows in the Host header, another site's
    script or form in the Origin header. `hosts` are the names this server goes by; with
    `any_address`, numeric addresses are good too, which no name can be rebound to look like; with
    `hosts=None` any Host will do, for when a proxy in front checks it.
    """

    def __init__(
        self, app: ASGIApp, token: str, hosts: Iterable[str] | None, *, any_address: bool = False
    ) -> None:
        self._app = app
        self._token = token.encode()
        self._hosts = None if hosts is None else frozenset(hosts)
        self._any_address = any_address

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or refuse it."""
        if scope["type"] != "http":
            return

        async def tell(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_ALWAYS]
            await send(message)

        try:
            self._check(scope["path"], Headers(scope=scope))
        except Refused as refused:
            response = JSONResponse(
                {"detail": refused.detail}, refused.status_code, refused.headers
            )
            await response(scope, receive, tell)
        else:
            await self._app(scope, _Body(receive).receive, tell)

    def _check(self, path: str, headers: Headers) -> None:
        host = headers.get("host", "")
        if not self._knows(_name(host)):
            raise Refused(403, "This server does not go by that name — use the address it printed.")
        origin = headers.get("origin")
        if origin is not None and origin.lower().partition("://")[2] != host.lower():
            raise Refused(403, "Another site's page may not ask this server.")
        if path not in OPEN_PATHS and not self._proves(headers):
            raise Refused(
                401,
                "The token is missing or wrong — open the page at the address with the token.",
                **{"WWW-Authenticate": "Bearer"},
            )
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > MOST_BYTES:
            raise _too_large()

    def _knows(self, name: str) -> bool:
        if self._hosts is None or name in self._hosts:
            return True
        return self._any_address and _is_address(name)

    def _proves(self, headers: Headers) -> bool:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            # A proxy in front, such as JupyterHub's, may keep Authorization for itself.
            token = headers.get("x-token", "")
        return hmac.compare_digest(token.strip().encode(), self._token)


class _Body:
    """A request's body, as far as it may go and as long as it may take."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._size = 0
        self._whole = False
        self._deadline = asyncio.get_running_loop().time() + BODY_SECONDS

    async def receive(self) -> Message:
        """Give the next part of the body, then news of the client going away."""
        if self._whole:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            raise Refused(408, "The request took too long to arrive.") from None
        self._size += len(message.get("body", b""))
        if self._size > MOST_BYTES:
            raise _too_large()
        self._whole = not message.get("more_body", False)
        return message


def _too_large() -> Refused:
    return Refused(413, f"The request is larger than {MOST_BYTES // 1024} kB.")


_ALWAYS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]


def _name(host: str) -> str:
    """Give a Host header without its port."""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
