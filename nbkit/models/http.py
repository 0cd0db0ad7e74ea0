"""HTTP clients for LLMs: fast, usable from several event loops, with clear connection errors.

The only module that imports httpx for the openai client; others take it from here.
"""

import asyncio
import atexit
from collections.abc import AsyncGenerator
from contextlib import suppress

import aiohttp
import httpx as httpx
import openai
from httpx_aiohttp import AiohttpTransport

from nbkit.language import say
from nbkit.models.errors import NoServerError
from nbkit.models.proxies import proxy_for
from nbkit.wording import advised


class UnreachableError(NoServerError, openai.APIConnectionError):
    """Nobody answers at the model's address; an APIConnectionError, so that retries catch it."""

    def __init__(self, request: httpx.Request, advice: str, proxy: httpx.Proxy | None) -> None:
        address = request.url.netloc.decode()
        happened = say("Nobody answers at {address}", address=address)
        if proxy:
            happened = say(
                "Nobody answers at {address} through the proxy {proxy}",
                address=address,
                proxy=proxy.url.host,
            )
        self.advice = say(advice)  # now: a client lives longer than a choice of language
        message = advised(happened, self.advice)
        openai.APIConnectionError.__init__(self, message=message, request=request)


class LoopSafeTransport(httpx.AsyncBaseTransport):
    """One aiohttp connection pool per event loop, closed together with its loop.

    A pool used in two `asyncio.run()` calls fails on sockets of the first loop, after the server
    has received the request. At 1,000 concurrent requests aiohttp needs about 12 ms of CPU per
    query, httpx's own pool 20.
    """

    def __init__(self, base_url: str, advice: str) -> None:
        self._advice = advice
        self._proxy = _proxy(base_url)
        self._pools: dict[
            asyncio.AbstractEventLoop, tuple[AiohttpTransport, AsyncGenerator[None, None]]
        ] = {}
        atexit.register(self._abandon)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send with the pool of the running loop."""
        pool = await self._pool()
        try:
            return await pool.handle_async_request(request)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
            cause = error.__cause__
            if isinstance(cause, aiohttp.ClientConnectorError):
                raise UnreachableError(request, self._advice, self._proxy) from cause
            if isinstance(error, httpx.ConnectTimeout) and not isinstance(cause, TimeoutError):
                # httpx-aiohttp calls every lost connection a timeout.
                raise httpx.RemoteProtocolError(say("the server closed the connection")) from cause
            raise

    async def _pool(self) -> AiohttpTransport:
        loop = asyncio.get_running_loop()
        if loop not in self._pools:
            for other in list(self._pools):
                if other.is_closed():
                    _forget(other, self._pools.pop(other)[0])
            limits = openai.DEFAULT_CONNECTION_LIMITS
            pool = AiohttpTransport(trust_env=True, limits=limits, proxy=self._proxy)
            # asyncio.run() closes async generators before the loop; this one then closes the pool.
            keeper = self._keep(loop, pool)
            self._pools[loop] = pool, keeper
            await anext(keeper)
        return self._pools[loop][0]

    async def _keep(
        self, loop: asyncio.AbstractEventLoop, pool: AiohttpTransport
    ) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            self._pools.pop(loop, None)
            await pool.aclose()

    def _abandon(self) -> None:
        for loop, (pool, _) in list(self._pools.items()):
            _forget(loop, pool)


class PlainTransport(httpx.HTTPTransport):
    """httpx's own transport for blocking calls, with the same proxies and errors."""

    def __init__(self, base_url: str, advice: str) -> None:
        self._advice = advice
        self._proxy = _proxy(base_url)
        super().__init__(limits=openai.DEFAULT_CONNECTION_LIMITS, proxy=self._proxy)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send; raises UnreachableError if nobody answers."""
        try:
            return super().handle_request(request)
        except httpx.ConnectError:
            raise UnreachableError(request, self._advice, self._proxy) from None


def async_client(base_url: str, advice: str) -> httpx.AsyncClient:
    """An async client for one server; `advice` is in the error if nobody answers there.

    Raises ConnectError for a proxy that cannot be used.
    """
    transport = LoopSafeTransport(base_url, advice)
    return openai.DefaultAioHttpClient(transport=transport, trust_env=False)


def sync_client(base_url: str, advice: str) -> httpx.Client:
    """The same as `async_client`, for blocking callers."""
    transport = PlainTransport(base_url, advice)
    return openai.DefaultHttpxClient(transport=transport, trust_env=False)


def _proxy(base_url: str) -> httpx.Proxy | None:
    address = proxy_for(base_url)
    return httpx.Proxy(address) if address else None


def _forget(loop: asyncio.AbstractEventLoop, pool: AiohttpTransport) -> None:
    """Close a pool whose loop does not run any more, without warnings on stderr."""
    session = getattr(pool, "client", None)
    if loop.is_running() or not isinstance(session, aiohttp.ClientSession):
        return
    if not loop.is_closed():
        loop.run_until_complete(pool.aclose())
        return
    closing = session.close()
    # The sockets were closed with the loop, so there is nothing to wait for.
    with suppress(StopIteration, RuntimeError):
        closing.send(None)
    closing.close()
