"""Time streams as the vLLM benchmark defines its metrics: bare httpx and SSE, nothing of nbkit.

`python -m tests.benchmarks.wire_ruler BASE_URL KEY MODEL AT_ONCE` takes prompts as a JSON list on
stdin, and prints a JSON object of figures. Run by `other_rulers` as a process of its own.
"""

import asyncio
import json
import sys
import time
from itertools import pairwise
from statistics import median
from typing import Any

import httpx


async def _ask(client: httpx.AsyncClient, url: str, model: str, prompt: str) -> dict[str, Any]:
    """Read one answer; give when each chunk came, and the tokens that the server counted."""
    body = {
        "model": model,
        "stream": True,
        "stream_options": {"include_usage": True},
        "messages": [{"role": "user", "content": prompt}],
    }
    start = time.perf_counter()
    choices: list[float] = []
    texts: list[float] = []
    tokens = 0
    async with client.stream("POST", f"{url}/chat/completions", json=body) as response:
        async for line in response.aiter_lines():
            if not line.startswith("data: {"):
                continue
            event = json.loads(line.removeprefix("data: "))
            now = time.perf_counter()
            if event["choices"]:
                choices.append(now)
                if event["choices"][0]["delta"].get("content"):
                    texts.append(now)
            tokens = (event.get("usage") or {}).get("completion_tokens", tokens)
    return {"start": start, "choices": choices, "texts": texts, "tokens": tokens}


async def _measure(url: str, key: str, model: str, at_once: int, prompts: list[str]) -> Any:
    """Keep so many requests in flight until all prompts were asked."""
    waiting, asked = list(reversed(prompts)), []
    headers = {"Authorization": f"Bearer {key}"}
    limits = httpx.Limits(max_connections=at_once)
    async with httpx.AsyncClient(
        headers=headers, limits=limits, timeout=60, trust_env=False
    ) as client:
        await _ask(client, url, model, "warm up")

        async def worker() -> None:
            while waiting:
                asked.append(await _ask(client, url, model, waiting.pop()))

        await asyncio.gather(*(worker() for _ in range(at_once)))
    return _figures(asked)


def _figures(asked: list[dict[str, Any]]) -> dict[str, float]:
    begin, end = min(one["start"] for one in asked), max(one["texts"][-1] for one in asked)
    return {
        "n": len(asked),
        "first text": median(one["texts"][0] - one["start"] for one in asked),
        "first chunk": median(one["choices"][0] - one["start"] for one in asked),
        "gaps": median(b - a for one in asked for a, b in pairwise(one["texts"])),
        "tpot": median((one["texts"][-1] - one["texts"][0]) / (one["tokens"] - 1) for one in asked),
        "end to end": median(one["texts"][-1] - one["start"] for one in asked),
        "throughput": len(asked) / (end - begin),
        "tokens a second": sum(one["tokens"] for one in asked) / (end - begin),
    }


if __name__ == "__main__":
    address, secret, name, width = sys.argv[1:]
    found = asyncio.run(_measure(address, secret, name, int(width), json.load(sys.stdin)))
    json.dump(found, sys.stdout)
