"""The openai SDK's two clients for one server."""

from collections.abc import Mapping
from typing import Any

import openai

from nbkit.models.http import async_client, sync_client
from nbkit.models.lean import lean_async_client, lean_client

TIMEOUT = 60.0
"""Seconds to wait for a connection, and for each chunk; LlamaIndex's default."""


def sdk_clients(
    base_url: str, api_key: str, advice: str, headers: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """LlamaIndex's `openai_client` and `async_openai_client` for one server.

    Neither retries. `advice` ends the error when nobody answers there, `headers` go with every
    request. Raises ConnectError for a proxy that cannot be used.
    """
    settings: dict[str, Any] = {
        "base_url": base_url,
        "api_key": api_key,
        "max_retries": 0,
        "timeout": TIMEOUT,
        "default_headers": headers,
    }
    blocking = openai.OpenAI(**settings, http_client=sync_client(base_url, advice))
    awaited = openai.AsyncOpenAI(**settings, http_client=async_client(base_url, advice))
    return {
        "openai_client": lean_client(blocking),
        "async_openai_client": lean_async_client(awaited),
    }
