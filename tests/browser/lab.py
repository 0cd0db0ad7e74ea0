"""A JupyterLab for the browser tests: its server, and the kernel that tests hand on."""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import nbformat
from jupyter_client.blocking.client import BlockingKernelClient

from tests.browser.started import started

# What one notebook leaves in a kernel that the next shall not find.
EMPTY = """
import asyncio, os, sys
os.environ.pop("NBKIT_LANG", None)
for task in asyncio.all_tasks():
    if task.get_name().startswith("nbkit"): task.cancel()
if "ipywidgets" in sys.modules: sys.modules["ipywidgets"].Widget.close_all()
if "nbkit" in sys.modules: sys.modules["nbkit"].simulator.current().stop()
%reset -f
"""


@dataclass
class Lab:
    """A running JupyterLab: its address, its token and the folder it serves."""

    url: str
    token: str
    folder: Path
    spare: dict[str, Any] | None = None
    """The session of a kernel that waits for the next notebook."""
    lends: bool = True
    """Whether this test's kernel comes from the one before, and goes to the next."""

    def ask(self, method: str, path: str, /, **content: Any) -> Any:
        """Call the server's REST interface."""
        headers = {"Authorization": f"token {self.token}"}
        options = {"json": content} if content else {}
        url = f"{self.url}api/{path}"
        answer = httpx.request(method, url, headers=headers, timeout=60, **options)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def lend_kernel(self, name: str) -> None:
        """Give a notebook the kernel that waits, as if it had been opened with it before.

        To start one and import LlamaIndex takes seconds; JupyterLab would do it for each notebook.
        """
        if self.spare is not None:
            self.ask("PATCH", f"sessions/{self.spare['id']}", path=name, name=name, type="notebook")
            self.spare = None

    def end_sessions(self) -> None:
        """End all kernels but one, which is emptied for the next notebook."""
        sessions = self.ask("GET", "sessions")
        kept = 1 if self.lends else 0
        for session in sessions[kept:]:
            self.ask("DELETE", f"sessions/{session['id']}")
        self.spare, self.lends = None, True
        for session in sessions[:kept]:
            kernel = session["kernel"]["id"]
            if session["kernel"]["execution_state"] != "idle":
                self.ask("POST", f"kernels/{kernel}/interrupt")
            self.execute(kernel, EMPTY)
            self.spare = session

    def execute(self, kernel: str, code: str) -> None:
        """Run code in a kernel, by its id, from no notebook."""
        client = BlockingKernelClient()
        client.load_connection_file(str(self.runtime / f"kernel-{kernel}.json"))
        client.start_channels()
        client.execute_interactive(code, timeout=60, allow_stdin=False)
        client.stop_channels()

    def use_fresh_kernel(self) -> None:
        """Have the notebook of this test start a kernel, as a learner's does, and keep it."""
        if self.spare is not None:
            self.ask("DELETE", f"sessions/{self.spare['id']}")
        self.spare, self.lends = None, False

    @property
    def runtime(self) -> Path:
        """Where the server keeps the addresses of its kernels."""
        return self.folder / ".runtime"

    def write(self, name: str, *cells: str) -> str:
        """Write a notebook of code cells; returns its name."""
        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(cell) for cell in cells],
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
        )
        nbformat.write(notebook, self.folder / name)
        return name

    def address(self, name: str) -> str:
        """Return the address that opens one notebook alone, in a fresh workspace."""
        workspace = re.sub(r"\W", "-", name)
        return f"{self.url}lab/workspaces/{workspace}/tree/{name}?reset&token={self.token}"

    def classic(self, name: str) -> str:
        """Return the address that opens one notebook in Notebook 7."""
        return f"{self.url}notebooks/{name}?token={self.token}"


def _quiet(settings: Path) -> None:
    """Turn off the question about news, which would cover the corner of every screenshot."""
    file = settings / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
    file.parent.mkdir(parents=True)
    file.write_text('{"fetchNews": "false", "checkForUpdates": false}', "utf-8")


@contextmanager
def running_lab(folder: Path, speed: float = 1) -> Iterator[Lab]:
    """Start JupyterLab on a free port, serving `folder`; ends it, kernels and all.

    `speed` is the simulated model's in its kernels.
    """
    token = "test-token"
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
        *("--ServerApp.port=0", "--ServerApp.ip=127.0.0.1", f"--IdentityProvider.token={token}"),
        *(f"--ServerApp.root_dir={folder}", "--LabApp.expose_app_in_browser=True"),
        "--JupyterNotebookApp.expose_app_in_browser=True",
    ]
    settings = folder / ".settings"
    _quiet(settings)
    environment = {**os.environ, "JUPYTERLAB_SETTINGS_DIR": str(settings)}
    environment["NBKIT_SPEED"] = str(speed)
    environment["JUPYTER_RUNTIME_DIR"] = str(folder / ".runtime")
    with started(
        "JupyterLab", command, r"http://127\.0\.0\.1:\d+/", env=environment, cwd=folder
    ) as url:
        yield Lab(url, token, folder)
