"""One OpenAI client for each server and process, kept open: dropping one can block others."""

import os
import threading
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import openai

# Otherwise the client imports it on first use, which delays the first question by 0.5 s.
import openai.resources.chat.completions

from nbkit.models.first_stream import FirstStream
from nbkit.models.http import async_client, sync_client
from nbkit.models.lean import lean_client

TIMEOUT = 60.0
"""Seconds to wait for a connection, and for each chunk; LlamaIndex's default."""


@cache
def connections(process: int) -> tuple[threading.RLock, dict[tuple[Any, ...], Any]]:
    """A lock, and the objects this process has made, by their arguments.

    A forked child starts with no objects and a free lock.
    """
    return threading.RLock(), {}


connections(os.getpid())  # now, because two threads could create two


def one_of(key: tuple[Any, ...], make: Callable[[], Any]) -> Any:
    """The object that this process has made with this key, or a new one."""
    lock, made = connections(os.getpid())
    with lock:
        if key not in made:
            made[key] = make()
        return made[key]


def sdk_clients(
    base_url: str,
    api_key: str,
    advice: str,
    headers: Mapping[str, str] | None = None,
    first: FirstStream | None = None,
) -> dict[str, Any]:
    """LlamaIndex's `openai_client` and `async_openai_client` for one server.

    Neither retries. `advice` is in the error if nobody answers there; `headers` are sent with every
    request; `first` watches whether answers stream. Raises ConnectError for a proxy that cannot be
    used.
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
        "openai_client": lean_client(blocking, first),
        "async_openai_client": lean_client(awaited, first),
    }
