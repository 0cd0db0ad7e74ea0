"""What a display costs the kernel and the wire: a fresh kernel for each, every frame counted."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, median
from typing import Any

import zmq
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

from tests.benchmarks.displays.peers import (
    FLOOR,
    GRID,
    NONE,
    OURS,
    PEERS,
    SLOW,
    UNCOALESCED,
    missing,
)
from tests.benchmarks.displays.table import print_table, ratio, spread
from tests.benchmarks.displays.workload import answer

ROOT = Path(__file__).parents[3]
SETUP = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from tests.benchmarks.displays.peers import measure
"""
WAIT = 180.0
QUIET_MS = 5_000
BURST, SHORT, LONG = 2_000, 500, 8_000
RATE, PACED, STREAMS, TOGETHER = 100.0, 500, 8, 500
ROUNDS = 5


@dataclass
class Sent:
    """What one run cost the kernel, and what it put on the wire."""

    wall: float
    cpu: float
    messages: int = 0
    wire: int = 0
    payload: int = 0
    lost: bool = False


def _payload(kind: str, content: dict[str, Any]) -> int:
    """Bytes a display itself put into a message; opening a view (its code) is not among them."""
    data = content.get("data", {})
    ours: Any = None
    if kind == "stream":
        ours = content["text"]
    elif kind in ("display_data", "update_display_data"):
        ours = data
    elif kind == "comm_msg":
        ours = data.get("content", data.get("state"))
    return len(json.dumps(ours, ensure_ascii=False).encode()) if ours else 0


class Kernel:
    """A kernel, and a socket on its iopub that drops nothing."""

    def __init__(self, manager: KernelManager, client: BlockingKernelClient) -> None:
        self._client = client
        self._socket = zmq.Context.instance().socket(zmq.SUB)
        self._socket.setsockopt(zmq.RCVHWM, 0)
        self._socket.setsockopt(zmq.SUBSCRIBE, b"")
        self._socket.connect(f"tcp://{manager.ip}:{manager.iopub_port}")
        self._run(SETUP, "0")

    def close(self) -> None:
        self._socket.close(0)

    def measure(
        self, label: str, streams: int = 1, tokens: int = BURST, rate: float | None = None
    ) -> Sent:
        """Run a display in a cell and count what it sends."""
        code = f"result = await measure({label!r}, {streams}, {tokens}, {rate})"
        request, (wall, cpu) = self._run(code, "result['wall'], result['cpu']")
        sent = Sent(wall, cpu, lost=True)
        while self._socket.poll(QUIET_MS):
            frames = self._socket.recv_multipart()
            sent.messages += 1
            sent.wire += sum(map(len, frames))
            header, parent, _, content = frames[frames.index(b"<IDS|MSG>") + 2 :][:4]
            kind = json.loads(header)["msg_type"]
            if rate is not None:
                sent.payload += _payload(kind, json.loads(content))
            ended = kind == "status" and json.loads(content)["execution_state"] == "idle"
            if ended and json.loads(parent).get("msg_id") == request:
                sent.lost = False
                break
        return sent

    def _run(self, code: str, expression: str) -> tuple[str, Any]:
        request = self._client.execute(code, user_expressions={"it": expression}, allow_stdin=False)
        while True:
            reply = self._client.get_shell_msg(timeout=WAIT)
            if reply["parent_header"].get("msg_id") == request:
                break
        content = reply["content"]
        if content["status"] != "ok":
            raise RuntimeError("\n".join(content.get("traceback", [content["status"]])))
        return request, ast.literal_eval(content["user_expressions"]["it"]["data"]["text/plain"])


@contextmanager
def fresh_kernel() -> Iterator[Kernel]:
    """Start a kernel of this Python; end it."""
    manager = KernelManager(kernel_name="python3")
    assert manager.kernel_spec is not None
    manager.kernel_spec.argv[0] = sys.executable
    manager.start_kernel(stderr=subprocess.DEVNULL)  # it warns of its own transport
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=WAIT)
        # Nobody would read this one, and a full socket of ours is not what is measured.
        client.iopub_channel.stop()
        kernel = Kernel(manager, client)
        yield kernel
        kernel.close()
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


@dataclass
class Figures:
    """All figures of one display; the ratios are to no display, in turns, in the same kernel."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    together: list[float] = field(default_factory=list)
    burst: list[Sent] = field(default_factory=list)
    growth: float = 0.0
    paced: Sent = field(default_factory=lambda: Sent(0, 0))


def _in_turns(kernel: Kernel, label: str, rounds: int, *task: Any) -> Iterator[tuple[Sent, Sent]]:
    """Run the display between runs without one; give each with the mean of its neighbours."""
    before = kernel.measure(NONE, *task)
    for _ in range(rounds):
        run, after = kernel.measure(label, *task), kernel.measure(NONE, *task)
        yield run, Sent(mean((before.wall, after.wall)), mean((before.cpu, after.cpu)))
        before = after


def _figures(label: str, rounds: int) -> Figures:
    slow = label in SLOW
    rounds = 1 if slow else min(rounds, 3) if label in UNCOALESCED else rounds
    found = Figures()
    with fresh_kernel() as kernel:
        kernel.measure(label, 1, 50)  # warm up: imports, the first widget
        for run, base in _in_turns(kernel, label, rounds, 1, BURST):
            found.burst.append(run)
            found.wall.append(run.wall / base.wall)
            found.cpu.append(run.cpu / base.cpu)
        known = median(run.wire for run in found.burst)
        # A coalesced burst is a few messages, more or fewer by chance; the others always the same.
        repeats = 1 if slow or label in UNCOALESCED else rounds
        length = SHORT if slow else LONG
        other = median(kernel.measure(label, 1, length).wire for _ in range(repeats))
        found.growth = known / other if slow else other / known
        found.paced = kernel.measure(label, 1, PACED, RATE)
        if not slow:
            for run, base in _in_turns(kernel, label, 1, STREAMS, TOGETHER, RATE):
                found.together.append(run.cpu / base.cpu)
    return found


def _row(label: str, found: Figures) -> list[str]:
    text = len("".join(answer(BURST)).encode())
    paced_text = len("".join(answer(PACED)).encode())
    wire, paced = median(run.wire for run in found.burst), found.paced
    return [
        label,
        str(len(found.wall)),
        spread(found.wall),
        spread(found.cpu),
        f"{median(run.messages for run in found.burst):.0f}"
        + (" (lost some)" if any(run.lost for run in found.burst) else ""),
        f"{wire / 1000:.0f}",
        ratio(wire / text),
        ratio(found.growth) + (" †" if label in SLOW else ""),
        f"{paced.messages / paced.wall:.0f}",
        ratio(paced.wire / paced_text),
        ratio(paced.payload / paced_text),
        spread(found.together) if found.together else "–",
    ]


HEAD = ("display", "n", "wall × none", "CPU × none", "messages", "kB", "B / answer B")
HEAD += ("8,000 / 2,000 tokens, B", "messages/s", "wire B / text B", "payload B / text B")
HEAD += ("CPU × none, 8 streams",)
GOALS = ("**goal**", "", "≤ 3", "", "", "", "", "≤ 4.4", "≤ 30", "", "≤ 4", "≤ 2")
NOTES = f"""
As far as the growth of bytes: {BURST:,} tokens as fast as the loop turns. Messages/s and the two
columns after it: one stream, {PACED} tokens at {RATE:.0f}/s; the wire is every frame on iopub, with
Jupyter's own envelopes and the view's code; the payload is what the display put into its
messages. Last: {STREAMS} streams × {TOGETHER} tokens at {RATE:.0f}/s, once. Median (min–max) of n.
† {BURST:,} / {SHORT} tokens.
"""


def main(rounds: int = ROUNDS) -> None:
    """Print the table, then how much longer each uncoalesced display takes than nbkit.show."""
    rows, walls = [list(GOALS)], {}
    for label in [*PEERS, GRID]:
        if label in (NONE, FLOOR):
            continue
        if reason := missing(label):
            rows.append([label, reason])
            continue
        found = _figures(label, rounds)
        walls[label] = median(found.wall)
        rows.append(_row(label, found))
    print_table(HEAD, rows)
    print(NOTES)
    for ours in OURS:
        if ours in walls:
            times = ", ".join(f"{name} {walls[name] / walls[ours]:.0f} ×" for name in UNCOALESCED)
            print(f"Wall time beside {ours} (goal ≥ 15 ×): {times}")


if __name__ == "__main__":
    main()
