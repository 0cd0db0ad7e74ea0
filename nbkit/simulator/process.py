"""Start, control and stop the simulator's process from the kernel."""

import atexit
import os
import secrets
import threading
from collections.abc import Mapping
from typing import Any

from nbkit.child_process import ChildProcess
from nbkit.language import say, to_say
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
        self._process = ChildProcess(
            "nbkit.simulator",
            {"key": self._key},
            name=say("The simulated model"),
            error=SimulatorError,
            seconds=START_TIMEOUT,
        )
        port = self._process.facts["port"]
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
        return self._process.alive

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
        if self._process.owned:
            self._http.close()
            self._process.stop()

    def _ask(self, method: str, path: str, **kwargs: Any) -> Any:
        if not self.alive:
            raise SimulatorError(say(_GONE), say(_CONNECT))
        from httpx import HTTPError

        try:
            response = self._http.request(method, path, **kwargs)
        except HTTPError as error:
            raise SimulatorError(f"{say(_GONE)} ({type(error).__name__})", say(_CONNECT)) from None
        if response.status_code == 400:
            raise ProfileError(response.json()["error"]["message"])
        if response.is_error:
            raise SimulatorError(
                response.json()["error"]["message"], say("check the model's name.")
            )
        return response.json()


_GONE = to_say("The simulated model is not running any more")
_CONNECT = to_say("call nbkit.connect() again")
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
