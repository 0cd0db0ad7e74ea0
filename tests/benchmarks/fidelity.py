"""Whether the simulated model keeps its word: delays asked for, delays heard by the client."""

import asyncio
import time
from itertools import pairwise
from statistics import median
from typing import Any

from llama_index.core.llms import ChatMessage

from nbkit import connect

TTFT, RATE = 0.8, 25.0
GOAL = 0.05
# Streams at once, seconds between their starts, rounds. Fifty requests made at one stroke queue
# in the client for some milliseconds each: that row shows what the client costs, not the server.
CASES = (("1 stream", 1, 0.0, 12), ("50 streams", 50, 0.03, 2), ("50 at one stroke", 50, 0.0, 2))


async def _listen(llm: Any, question: str, delay: float) -> tuple[float, list[float]]:
    """Stream one answer after a delay; give its TTFT and its gaps in seconds."""
    await asyncio.sleep(delay)
    start = time.perf_counter()
    heard = [
        time.perf_counter()
        async for part in await llm.astream_chat([ChatMessage(content=question)])
        if part.delta
    ]
    return heard[0] - start, [b - a for a, b in pairwise(heard)]


async def _measure(llm: Any, streams: int, apart: float, rounds: int) -> tuple[float, float]:
    """Give the medians of TTFT and gaps as the client hears them."""
    await _listen(connect(speed=0), "warm up", 0)
    firsts, gaps = [], []
    for turn in range(rounds):
        talks = (_listen(llm, f"question {turn} of {n}", n * apart) for n in range(streams))
        for first, between in await asyncio.gather(*talks):
            firsts.append(first)
            gaps += between
    return median(firsts), median(gaps)


def main() -> None:
    """Print the medians asked for and heard, and the server's own account of TTFT."""
    # Little jitter, so that the median of few draws is not itself a source of error.
    llm: Any = connect(
        speed=1, ttft=TTFT, ttft_per_1k_prompt_tokens=0, tokens_per_second=RATE, jitter=0.02
    )
    print(f"{'':18} {'':5} {'asked ms':>9} {'sent ms':>9} {'heard ms':>9} {'off by':>8}")
    for label, streams, apart, rounds in CASES:
        llm.simulator.clear()
        first, gap = asyncio.run(_measure(llm, streams, apart, rounds))
        rows = llm.simulator.requests(llm.model)
        sent = median(row["first_token"] - row["received"] for row in rows)
        pace = median(
            (row["last_token"] - row["first_token"]) / (row["tokens_sent"] - 1) for row in rows
        )
        for what, asked, told, heard in (("TTFT", TTFT, sent, first), ("gap", 1 / RATE, pace, gap)):
            off = heard / asked - 1
            print(
                f"{label:18} {what:5} {1000 * asked:9.1f} {1000 * told:9.1f} {1000 * heard:9.1f} "
                f"{100 * off:+7.1f} %"
            )
    print(f"(goal: within {100 * GOAL:.0f} %)")


if __name__ == "__main__":
    main()
