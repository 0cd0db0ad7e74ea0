"""The process of the simulated model: it serves until its kernel ends."""

import asyncio
import sys

from nbkit.child_process import read_settings, report
from nbkit.simulator.alone import listen

SWITCH = 0.001
"""Seconds that the thread that finds answers may delay the event loop."""


async def _serve(key: str) -> None:
    runner = await listen(key, {})
    report(port=runner.addresses[0][1])
    await asyncio.Event().wait()


def main() -> None:
    """Serve until the kernel ends."""
    settings = read_settings()
    sys.setswitchinterval(SWITCH)
    asyncio.run(_serve(settings["key"]))


if __name__ == "__main__":
    main()
