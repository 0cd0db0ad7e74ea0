"""Real kernels, spoken to as a front end does: over the Jupyter protocol."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import Empty
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

WAIT = 60.0


@dataclass
class Run:
    """What a kernel sent while it ran one cell."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    reply: dict[str, Any] = field(default_factory=dict)

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Contents of all messages of one type."""
        return [m["content"] for m in self.messages if m["msg_type"] == kind]

    @property
    def text(self) -> str:
        """All that was printed."""
        return "".join(content["text"] for content in self.of("stream"))

    @property
    def live_comm(self) -> str:
        """The comm of the live view that was opened."""
        opened = self.of("comm_open")
        return next(c["comm_id"] for c in opened if "checkpoint" in c["data"]["state"])

    @property
    def settled(self) -> list[dict[str, Any]]:
        """MIME bundles that replaced a live display."""
        return [content["data"] for content in self.of("update_display_data")]


class Kernel:
    """A kernel and a client connected to it."""

    def __init__(self, manager: KernelManager, client: BlockingKernelClient) -> None:
        self.manager, self.client = manager, client

    def start(self, code: str, cell: str | None = None) -> str:
        """Send a cell without waiting for it; returns the id of the request.

        `cell` is the id a notebook gives it, sent as JupyterLab sends it.
        """
        content = {"code": code, "silent": False, "allow_stdin": False, "stop_on_error": True}
        message = self.client.session.msg("execute_request", content)
        message["metadata"] = {"cellId": cell} if cell else {}
        self.client.shell_channel.send(message)
        request: str = message["header"]["msg_id"]
        return request

    def follow(self, request: str, until: Any = None) -> Run:
        """Read what the kernel sends for a request, until it is idle or `until(run)` is true."""
        run = Run()
        deadline = time.monotonic() + WAIT
        while time.monotonic() < deadline:
            try:
                message = self.client.get_iopub_msg(timeout=1)
            except Empty:
                continue
            run.messages.append(message)
            mine = message["parent_header"].get("msg_id") == request
            if mine and message["content"].get("execution_state") == "idle":
                run.reply = self._reply_to(request)
                return run
            if until is not None and until(run):
                return run
        raise TimeoutError(f"the kernel was not done within {WAIT} s")

    def _reply_to(self, request: str) -> dict[str, Any]:
        while True:
            message = self.client.get_shell_msg(timeout=WAIT)
            if message["parent_header"].get("msg_id") == request:
                content: dict[str, Any] = message["content"]
                return content

    def run(self, code: str, cell: str | None = None) -> Run:
        """Run one cell to its end; fails the test if the cell fails."""
        run = self.follow(self.start(code, cell))
        assert run.reply["status"] == "ok", "\n".join(run.reply.get("traceback", []))
        return run

    def press_stop(self, comm_id: str) -> None:
        """Send what the view sends when its Stop button is clicked."""
        self.tell_widget(comm_id, type="stop")

    def tell_widget(self, comm_id: str, **content: Any) -> None:
        """Send what a view sends to its widget."""
        data = {"method": "custom", "content": content}
        message = self.client.session.msg("comm_msg", {"comm_id": comm_id, "data": data})
        self.client.shell_channel.send(message)

    def closed_once_replaced(self, run: Run) -> set[str]:
        """What is closed when the live view of a run says that the page shows its static output."""
        self.tell_widget(run.live_comm, type="page", page="one", seen=False, replaced=True)
        return self.closed()

    def closed(self) -> set[str]:
        """The comms that are closed by now, since the last cell."""
        later = self.run("import asyncio; await asyncio.sleep(0.05)")
        return {content["comm_id"] for content in later.of("comm_close")}


@contextmanager
def running_kernel() -> Iterator[Kernel]:
    """Start a kernel of this Python; ends with the block."""
    manager = KernelManager(kernel_name="python3")
    assert manager.kernel_spec is not None
    manager.kernel_spec.argv[0] = sys.executable
    manager.start_kernel()
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=WAIT)
    try:
        yield Kernel(manager, client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


@pytest.fixture
def fresh_kernel() -> Iterator[Kernel]:
    """A kernel of its own, for a test that leaves its marks on one, or ends it."""
    with running_kernel() as running:
        yield running


@pytest.fixture(scope="session")
def shared_kernel() -> Iterator[Kernel]:
    """One kernel for all others: to start one and import LlamaIndex takes seconds."""
    with running_kernel() as running:
        yield running


def _emptied(kernel: Kernel) -> Kernel:
    kernel.run("%reset -f")
    return kernel


@pytest.fixture
def kernel(shared_kernel: Kernel) -> Kernel:
    """The shared kernel, with no names of other tests."""
    return _emptied(shared_kernel)


@pytest.fixture(scope="module")
def lasting_kernel(shared_kernel: Kernel) -> Kernel:
    """The shared kernel, whose names last for the tests of a file."""
    return _emptied(shared_kernel)
