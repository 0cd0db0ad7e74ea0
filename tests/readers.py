"""Readers of server-sent events in a process of their own, for benchmarks: what they saw, and when.

`python -m tests.readers` reads one JSON line with the order, and prints one with the result.
"""

import asyncio
import json
import subprocess
import sys
import time
from typing import Any

import aiohttp


class Readers:
    """Some readers of one address; each asks again and again."""

    def __init__(self, order: dict[str, Any]) -> None:
        self.url: str = order["url"]
        self.headers: dict[str, str] = order["headers"]
        self.body: dict[str, Any] | None = order.get("body")
        self.leave: bool = order.get("leave", False)
        """Whether a reader goes away at the first token."""
        self.answers: list[dict[str, Any]] = []

    async def run(self, readers: int, times: int) -> dict[str, Any]:
        """Let each of so many readers ask so many times; gives seconds in all, and the answers."""
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        timeout = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as client:

            async def read() -> None:
                for _ in range(times):
                    self.answers.append(await self._answer(client))

            started = time.perf_counter()
            await asyncio.gather(*(read() for _ in range(readers)))
            return {"seconds": time.perf_counter() - started, "answers": self.answers}

    async def _answer(self, client: aiohttp.ClientSession) -> dict[str, Any]:
        started = time.perf_counter()
        request = client.post(self.url, json=self.body, headers=self.headers)
        async with request as response:
            response.raise_for_status()
            if not response.content_type.endswith("event-stream"):
                return {"characters": len((await response.read()).decode())}
            arrivals, characters, event, last = [], 0, "", {}
            async for line in response.content:
                if line.startswith(b"event: "):
                    event = line[7:-1].decode()
                elif line.startswith(b"data: "):
                    last = json.loads(line[6:])
                    if event == "token":
                        arrivals.append(time.perf_counter() - started)
                        characters += len(last["text"])
                        if self.leave:
                            break
            return {"event": event, "data": last, "arrivals": arrivals, "characters": characters}


def read(readers: int, times: int, **order: Any) -> dict[str, Any]:
    """Have a process of readers do that, and wait for what it says."""
    command = [sys.executable, "-m", "tests.readers"]
    line = json.dumps({"readers": readers, "times": times, **order})
    ran = subprocess.run(command, input=line, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    result: dict[str, Any] = json.loads(ran.stdout)
    return result


def _main() -> None:
    order = json.loads(sys.stdin.readline())
    readers, times = order.pop("readers"), order.pop("times")
    print(json.dumps(asyncio.run(Readers(order).run(readers, times))))


if __name__ == "__main__":
    _main()
