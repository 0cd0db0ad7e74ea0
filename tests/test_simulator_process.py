"""The simulator's process: one a kernel, gone with it, unmoved by interrupts."""

import os
import signal
import subprocess
import sys

import openai
import pytest

from nbkit.models import NoServerError, SimulatorError
from nbkit.simulator import Simulator, current
from tests.simulated import QUESTION, wait_for


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


_KERNEL = """
import os, sys, time
from nbkit.simulator import current
server = current()
if "fork" in sys.argv and os.fork() == 0:
    time.sleep(60)
try:
    print(server.pid, flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    print(current().stats()["total"], flush=True)
    time.sleep(60)
"""

posix = pytest.mark.skipif(not os.path.isdir("/proc"), reason="looks into /proc")  # noqa: PTH112


def start_kernel(*extra: str) -> tuple[subprocess.Popen[str], int]:
    """Start a Python that starts a simulator; give it and the simulator's pid."""
    kernel = subprocess.Popen(
        [sys.executable, "-c", _KERNEL, *extra],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert kernel.stdout is not None
    return kernel, int(kernel.stdout.readline())


@posix
@pytest.mark.parametrize("extra", [(), ("fork",)])
def test_dies_with_its_kernel(extra: tuple[str, ...]) -> None:
    """The server is gone soon after its kernel is killed, even if a fork of that lives on."""
    kernel, server = start_kernel(*extra)
    assert alive(server)
    kernel.kill()
    kernel.wait()
    wait_for(lambda: not alive(server))
    if extra:
        os.killpg(kernel.pid, signal.SIGKILL)


@posix
def test_survives_an_interrupt() -> None:
    """A Jupyter interrupt, sent to the kernel's whole process group, leaves the server running."""
    kernel, server = start_kernel()
    try:
        os.killpg(kernel.pid, signal.SIGINT)
        assert kernel.stdout is not None
        # The kernel caught it and asked the same server again.
        assert kernel.stdout.readline() == "0\n"
        assert alive(server)
    finally:
        kernel.kill()
        kernel.wait()


def test_one_server_a_process_and_again_after_death() -> None:
    """There is one server a kernel; a dead one is told apart and replaced."""
    first = current()
    assert current() is first
    os.kill(first.pid, signal.SIGKILL)
    wait_for(lambda: not first.alive)
    with pytest.raises(SimulatorError, match=r"connect\(\) again"):
        first.stats()
    second = current()
    assert second is not first
    assert second.stats()["total"] == 0
    second.stop()


@posix
def test_a_fork_does_not_share_the_server() -> None:
    """A forked child gets a server of its own and does not stop its parent's."""
    code = """
import os
from nbkit.simulator import current
mine = current()
child = os.fork()
if child == 0:
    assert not mine.alive
    mine.stop()
    other = current()
    assert other.pid != mine.pid and other.stats()["total"] == 0
    other.stop()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert mine.alive and mine.stats()["total"] == 0
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr


pytestmark = pytest.mark.process


def test_start_failure_shows_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the process cannot start, the error carries its last words."""
    monkeypatch.setenv("PYTHONHOME", "/nonexistent")
    with pytest.raises(SimulatorError, match="did not start"):
        Simulator()


def test_server_process_is_light() -> None:
    """The server imports neither LlamaIndex nor openai."""
    code = (
        "import sys, nbkit.simulator.__main__; "
        "print([m for m in ('llama_index', 'openai', 'httpx', 'IPython') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_errors_have_one_root() -> None:
    """Everything that can go wrong here is an NbkitError."""
    from nbkit import NbkitError

    assert issubclass(NoServerError, NbkitError)
    assert issubclass(SimulatorError, NbkitError)


def test_it_runs_alone() -> None:
    """`nbkit simulate` serves one model by itself; a port in use is one line, Ctrl-C ends it."""
    code = "from nbkit.cli import main; import sys; main(sys.argv[1:])"
    command = [sys.executable, "-c", code, "simulate"]
    server = subprocess.Popen(
        [*command, "--port", "0", "--profile", "busy", "--speed", "0"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        lines = [server.stdout.readline().split(":", 1)[1].strip() for _ in range(3)]
        address, key, model = lines
        with openai.OpenAI(api_key=key, base_url=address, max_retries=0) as client:
            done = client.chat.completions.create(model=model, messages=QUESTION)
        assert "simulated model" in (done.choices[0].message.content or "")
        port = address.removesuffix("/v1").rsplit(":", 1)[1]
        again = subprocess.run([*command, "--port", port], capture_output=True, text=True)
        assert again.returncode == 1
        assert again.stderr.count("\n") == 1
        assert f"Port {port} cannot be used" in again.stderr
        server.send_signal(signal.SIGINT)
        assert server.wait(timeout=10) == 0
    finally:
        server.kill()
        server.wait()
