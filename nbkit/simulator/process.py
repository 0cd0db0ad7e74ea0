"""Start, control and stop the simulator's process from the kernel."""

import atexit
import json
import os
import queue
import secrets
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from nbkit.simulator.errors import ProfileError, SimulatorError

START_TIMEOUT = 30.0
"""Seconds that the process may take to start; on an idle machine it takes less than one."""


class Simulator:
    """The running simulated model: its address, its settings, its record of each request.

    Taught in notebook 00. Every method asks the process over HTTP, and raises SimulatorError if it
    has ended.
    """

    def __init__(self) -> None:
        import httpx  # here, because the server's process does not need it

        self._key = secrets.token_urlsafe(32)
        self._owner = os.getpid()
        self._process, self._log = _spawn()
        try:
            port = _handshake(self._process, self._key)
        except SimulatorError:
            self._process.kill()
            raise
        except (OSError, ValueError) as error:
            self._process.kill()
            raise SimulatorError(
                "The simulated model did not start", f"it printed: {self._tail() or error}"
            ) from None
        self.base_url = f"http://127.0.0.1:{port}/v1"
        self._http = httpx.Client(
            base_url=f"http://127.0.0.1:{port}/simulator/",
            headers={"Authorization": f"Bearer {self._key}"},
            trust_env=False,
            timeout=10,
        )
        atexit.register(self.stop)

    def __repr__(self) -> str:
        return f"<Simulator {self.base_url} pid={self.pid} {'up' if self.alive else 'stopped'}>"

    @property
    def pid(self) -> int:
        """The process id of the server."""
        return self._process.pid

    @property
    def api_key(self) -> str:
        """The key of this server; it is random, created at its start, and used nowhere else."""
        return self._key

    @property
    def alive(self) -> bool:
        """Whether the process runs and was started by this kernel, not before a fork."""
        return self._owner == os.getpid() and self._process.poll() is None

    def set(self, model: str, /, **settings: Any) -> dict[str, Any]:
        """Change a model's profile, also for running answers; returns the complete profile.

        Settings are those of `connect`: `ttft=0.2`, `fault="cut"` … A change stays until the
        next one. Raises ProfileError for an unknown name or an invalid value.
        """
        return self.put(model, settings)

    def put(self, model: str, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Create or change a model; the same as `set`, from a mapping."""
        return dict(self._ask("PUT", f"models/{model}", json=dict(settings)))

    def profile(self, model: str) -> dict[str, Any]:
        """A model's current profile."""
        return dict(self._ask("GET", f"models/{model}"))

    def requests(self, model: str | None = None) -> list[dict[str, Any]]:
        """The last 2,000 requests (of one model), oldest first, and what happened to each.

        Times are seconds since the server started; `status` is queued, streaming, done,
        cancelled (the client disconnected), cut (by a fault) or failed.
        """
        rows: list[dict[str, Any]] = self._ask("GET", "requests")
        return [row for row in rows if model is None or row["model"] == model]

    def stats(self) -> dict[str, Any]:
        """The server's clock in seconds, requests in flight and queued, totals by outcome."""
        return dict(self._ask("GET", "stats"))

    def clear(self) -> None:
        """Delete the records of requests that have ended."""
        self._ask("DELETE", "requests")

    def warm(self) -> None:
        """Make it load its encoder now (about 2 s of CPU); returns at once."""
        self._ask("POST", "warm")

    def stop(self) -> None:
        """Stop the process; does nothing in a fork of the kernel that started it."""
        atexit.unregister(self.stop)
        if self._owner != os.getpid():
            return
        self._http.close()
        if self._process.stdin:
            self._process.stdin.close()
        try:
            self._process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()
        self._log.close()

    def _ask(self, method: str, path: str, **kwargs: Any) -> Any:
        if not self.alive:
            raise SimulatorError(_GONE, _CONNECT)
        from httpx import HTTPError

        try:
            response = self._http.request(method, path, **kwargs)
        except HTTPError as error:
            raise SimulatorError(f"{_GONE} ({type(error).__name__})", _CONNECT) from None
        if response.status_code == 400:
            raise ProfileError(response.json()["error"]["message"])
        if response.is_error:
            raise SimulatorError(response.json()["error"]["message"], "check the model's name.")
        return response.json()

    def _tail(self) -> str:
        self._log.seek(0)
        return self._log.read()[-2000:].decode(errors="replace").strip()


_GONE = "The simulated model is not running any more"
_CONNECT = "call nbkit.connect() again"
_lock = threading.Lock()
_running: Simulator | None = None


def current() -> Simulator:
    """The kernel's simulator; starts one if none is running."""
    global _running
    with _lock:
        if _running is None or not _running.alive:
            _running = Simulator()
        return _running


if hasattr(os, "register_at_fork"):
    # A fork may copy the lock while another thread holds it.
    os.register_at_fork(after_in_child=lambda: globals().update(_lock=threading.Lock()))


def _spawn() -> tuple[subprocess.Popen[bytes], IO[bytes]]:
    log = tempfile.TemporaryFile()  # noqa: SIM115
    # -P: otherwise the server would import a `queue.py` from the folder of the notebook.
    command = [sys.executable, "-P", "-m", "nbkit.simulator"]
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=_environment(),
            # A Jupyter interrupt goes to the kernel's process group, and must not reach the server.
            start_new_session=os.name == "posix",
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
    except OSError as error:
        raise SimulatorError(
            f"The simulated model did not start ({error})", f"check that {command[0]} can be run."
        ) from None
    return process, log


def _environment() -> dict[str, str]:
    root = Path(__file__).parents[2]
    environment = dict(os.environ)
    if root.name not in ("site-packages", "dist-packages"):
        paths = [environment["PYTHONPATH"]] if environment.get("PYTHONPATH") else []
        environment["PYTHONPATH"] = os.pathsep.join([*paths, str(root)])
    return environment


def _handshake(process: subprocess.Popen[bytes], key: str) -> int:
    assert process.stdin
    assert process.stdout
    process.stdin.write(json.dumps({"key": key, "parent": os.getpid()}).encode() + b"\n")
    process.stdin.flush()
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    read = process.stdout.readline
    threading.Thread(target=lambda: lines.put(read()), daemon=True).start()
    try:
        line = lines.get(timeout=START_TIMEOUT)
    except queue.Empty:
        raise SimulatorError(
            f"The simulated model did not start within {START_TIMEOUT:g} s",
            "is the machine very busy? Run the cell again.",
        ) from None
    return int(json.loads(line)["port"])
