"""A Python process of nbkit's own beside the kernel, which ends with the kernel, even by `kill -9`.

The kernel sends it one JSON line (settings, and its own process id), so that no key is in the
arguments or the environment, and gets one back (its facts). It exits when its stdin closes or, on
POSIX, when its parent changes.
"""

import atexit
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from nbkit.errors import NbkitError
from nbkit.language import say

PARENT_CHECK = 0.5
"""Seconds between two checks of the parent: a fork of the kernel may keep stdin open."""


class ChildProcess:
    """The process that runs `module`; `facts` is what it reported when it was ready.

    `name` is what errors call it, `error` their class; it may take `seconds` to start.
    """

    def __init__(
        self,
        module: str,
        settings: Mapping[str, Any],
        *,
        name: str,
        error: type[NbkitError],
        seconds: float,
    ) -> None:
        self._name, self._error, self._seconds = name, error, seconds
        self._owner = os.getpid()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115
        # -P: otherwise the process would import a `queue.py` from the folder of the notebook.
        command = [sys.executable, "-P", "-m", module]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                env=_environment(),
                # A Jupyter interrupt goes to the kernel's process group, and must not reach it.
                start_new_session=os.name == "posix",
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            )
        except OSError as failed:
            raise error(
                say("{name} did not start ({failed})", name=name, failed=failed),
                say("check that {command} can be run.", command=command[0]),
            ) from None
        try:
            self.facts = self._handshake(settings)
        except BaseException:  # an interrupt, too
            self.stop(patience=0)
            raise
        atexit.register(self.stop)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def owned(self) -> bool:
        """Whether this kernel started it, not the one that this is a fork of."""
        return self._owner == os.getpid()

    @property
    def alive(self) -> bool:
        """Whether it runs, and is this kernel's own."""
        return self.owned and self._process.poll() is None

    def stop(self, patience: float = 2) -> None:
        """End it, by force after some seconds; does nothing in a fork of the kernel."""
        atexit.unregister(self.stop)
        if not self.owned:
            return
        assert self._process.stdin
        assert self._process.stdout
        with suppress(OSError):  # it may have died with settings unread
            self._process.stdin.close()
        try:
            self._process.wait(timeout=patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._log.close()

    def _handshake(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        assert self._process.stdin
        assert self._process.stdout
        lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        read = self._process.stdout.readline
        try:
            line = json.dumps({**settings, "parent": os.getpid()}).encode() + b"\n"
            self._process.stdin.write(line)
            self._process.stdin.flush()
            threading.Thread(target=lambda: lines.put(read()), daemon=True).start()
            return dict(json.loads(lines.get(timeout=self._seconds)))
        except queue.Empty:
            raise self._error(
                say(
                    "{name} did not start within {seconds:g} s",
                    name=self._name,
                    seconds=self._seconds,
                ),
                say("is the machine very busy? Run the cell again."),
            ) from None
        except (OSError, ValueError) as failed:
            raise self._error(
                say("{name} did not start", name=self._name),
                say("it printed: {tail}", tail=self._tail() or failed),
            ) from None

    def _tail(self) -> str:
        self._log.seek(0)
        return self._log.read()[-2000:].decode(errors="replace").strip()


def _environment() -> dict[str, str]:
    root = Path(__file__).parents[1]
    environment = dict(os.environ)
    if root.name not in ("site-packages", "dist-packages"):
        paths = [environment["PYTHONPATH"]] if environment.get("PYTHONPATH") else []
        environment["PYTHONPATH"] = os.pathsep.join([*paths, str(root)])
    return environment


# --- In the process itself.


def read_settings() -> dict[str, Any]:
    """What the kernel sent; from now on this process ends when the kernel does."""
    settings: dict[str, Any] = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_exit_with_stdin, daemon=True).start()
    if os.name == "posix":
        parent = settings.pop("parent")
        threading.Thread(target=_exit_with_parent, args=(parent,), daemon=True).start()
    return settings


def report(**facts: Any) -> None:
    """Tell the kernel that this process is ready; what it prints later goes to its log."""
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())


def _exit_with_stdin() -> None:
    while sys.stdin.buffer.read(1024):
        pass
    os._exit(0)


def _exit_with_parent(parent: int) -> None:
    # No event reports a new parent, so check repeatedly.
    while os.getppid() == parent:
        time.sleep(PARENT_CHECK)
    os._exit(0)
