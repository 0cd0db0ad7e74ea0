"""What `nbkit.show` adds to the time until the first chunk leaves for the page.

In one warm kernel, in turns: a bare `async for` that prints with flush, and `nbkit.show`. Both
are timed from the moment the source yields its first chunk to the moment a front end's socket
receives the message that carries it.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

from jupyter_client.manager import start_new_kernel

ROUNDS = 30
SETUP = """
import asyncio, time, nbkit

async def source():
    await asyncio.sleep(0.1)
    yield f"<{time.time()!r}>"
    await asyncio.sleep(0.1)
    yield "end"
"""
BARE = "async for chunk in source():\n    print(chunk, end='', flush=True)"
SHOW = "answer = await nbkit.show(source())"


def _delay(client: Any, code: str, text_of: Callable[[dict[str, Any]], str]) -> float:
    request = client.execute(code)
    delay = None
    while True:
        message = client.get_iopub_msg(timeout=30)
        now = time.time()
        if message["parent_header"].get("msg_id") != request:
            continue
        text = text_of(message)
        if delay is None and "<" in text:
            delay = now - float(text[text.index("<") + 1 : text.index(">")])
        if message["content"].get("execution_state") == "idle":
            client.get_shell_msg(timeout=30)
            assert delay is not None, "the first chunk was never seen"
            return delay


def _printed(message: dict[str, Any]) -> str:
    return str(message["content"].get("text", ""))


def _shown(message: dict[str, Any]) -> str:
    data = message["content"].get("data")
    content = data.get("content", {}) if isinstance(data, dict) else {}
    return str(content.get("text", ""))


def main() -> None:
    """Print the medians of both and their difference."""
    manager, client = start_new_kernel(kernel_name="python3")
    try:
        client.execute_interactive(SETUP, output_hook=lambda _: None)
        for _ in range(3):  # warm up both
            _delay(client, BARE, _printed)
            _delay(client, SHOW, _shown)
        bare, show = [], []
        for _ in range(ROUNDS):
            bare.append(_delay(client, BARE, _printed))
            show.append(_delay(client, SHOW, _shown))
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    before, after = 1000 * statistics.median(bare), 1000 * statistics.median(show)
    print(f"bare async for + print(flush)  {before:6.2f} ms   (median of {ROUNDS})")
    print(f"nbkit.show                     {after:6.2f} ms")
    print(f"added by nbkit.show            {after - before:6.2f} ms   (goal: under 16.7 ms)")


if __name__ == "__main__":
    main()
