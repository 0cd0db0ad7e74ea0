"""The process of the simulated model: it serves until its kernel ends.

It reads one JSON line from stdin (the key and the parent's process id), prints one to stdout (the
port), and exits when stdin closes or, on POSIX, when its parent changes. The key is not in its
arguments or its environment.
"""

import asyncio
import json
import os
import sys
import threading

from nbkit.simulator.alone import listen

SWITCH = 0.001
"""Seconds that the thread that finds answers may delay the event loop."""
PARENT_CHECK = 0.5
"""Seconds between two checks of the parent: a fork of the kernel may keep stdin open."""


def _exit_with_stdin() -> None:
    while sys.stdin.buffer.read(1024):
        pass
    os._exit(0)


async def _serve(key: str, parent: int) -> None:
    runner = await listen(key, {})
    sys.stdout.write(json.dumps({"port": runner.addresses[0][1]}) + "\n")
    sys.stdout.flush()
    # No event reports a new parent, so check repeatedly.
    while os.name != "posix" or os.getppid() == parent:  # noqa: ASYNC110
        await asyncio.sleep(PARENT_CHECK)


def main() -> None:
    """Serve until stdin closes."""
    settings = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_exit_with_stdin, daemon=True).start()
    sys.setswitchinterval(SWITCH)
    asyncio.run(_serve(settings["key"], settings["parent"]))


if __name__ == "__main__":
    main()
