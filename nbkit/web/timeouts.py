"""A time limit for the head of a request, for which uvicorn has no setting."""

import asyncio
from typing import Any

HEAD_SECONDS = 10.0
"""Seconds the head of a request may take to arrive."""


def http_protocol() -> Any:
    """Give uvicorn's HTTP/1.1 with that limit; "auto", uvicorn's own choice, if it has moved."""
    try:
        import h11
        from uvicorn.protocols.http.h11_impl import H11Protocol
    except ImportError:
        return "auto"

    class LimitedHeadProtocol(H11Protocol):
        """Closes a connection on which no complete request head arrives in time."""

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._close = transport.abort
            self._start_limit()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            parser = getattr(self, "conn", None)
            if getattr(parser, "their_state", None) is not h11.IDLE:
                self._limit.cancel()
            elif self._limit.cancelled():
                self._start_limit()

        def _start_limit(self) -> None:
            self._limit = asyncio.get_running_loop().call_later(HEAD_SECONDS, self._close)

    return LimitedHeadProtocol
