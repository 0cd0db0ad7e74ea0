"""Does everything work here? A table of what was looked at, with the fix for what is wrong.

`python -m nbkit.teaching.check` prints it in a terminal.
"""

import os
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import escape
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import TYPE_CHECKING

from nbkit.errors import NbkitError
from nbkit.loops.kernel import kernel_shell

if TYPE_CHECKING:
    from packaging.requirements import Requirement

DISTRIBUTION = "nbkit-streaming"
SETTINGS = ("NBKIT_API_KEY", "NBKIT_CACHE", "NBKIT_LLM", "NBKIT_SPEED")
"""All that the environment can set."""
COLLECTING = ("0.14.22", "0.14.23", "0.14.24")
"""Releases of llama-index-core that gather a stream before they pass it on: see notebook 09."""
_OLDEST, _NEWEST = (3, 11), (3, 13)
_FRONT_ENDS = ("anywidget", "@jupyter-widgets/jupyterlab-manager")


class Trouble(NbkitError):
    """One thing that is wrong here, in a message of the form "what happened — what to do"."""


@dataclass(frozen=True)
class Finding:
    """One line of the table."""

    subject: str
    words: str
    fix: str = ""
    """What to do; empty where all is well."""

    @property
    def mark(self) -> str:
        """✓ or ✗."""
        return "✗" if self.fix else "✓"


class EnvironmentCheck(tuple[Finding, ...]):
    """What `check` found: the findings in order, shown as a table with the fixes.

    True if nothing is wrong.
    """

    __slots__ = ()

    def __bool__(self) -> bool:
        return not any(finding.fix for finding in self)

    def __repr__(self) -> str:
        width = max(len(finding.subject) for finding in self)
        lines = []
        for each in self:
            lines.append(f"{each.mark} {each.subject:{width}}  {each.words}")
            if each.fix:
                lines.append(f"  {'':{width}}  → {each.fix}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        left = 'style="text-align: left; vertical-align: top"'
        rows = []
        for each in self:
            fix = f"<br><b>→ {escape(each.fix)}</b>" if each.fix else ""
            words = f"<td {left}>{escape(each.words)}{fix}</td>"
            rows.append(
                f"<tr><td {left}>{each.mark}</td><td {left}>{escape(each.subject)}</td>{words}</tr>"
            )
        return f"<table>{''.join(rows)}</table>"


def check() -> EnvironmentCheck:
    """Look at everything the course needs, and name the fix for each thing that is wrong.

    It starts the simulated model and loads the offline embedding, as the first question would:
    some seconds in a fresh kernel. Nothing is changed, asked of a model or fetched. What the page
    can show is judged by the extensions this kernel can see. Taught in notebook 00.
    """
    findings = []
    for subject, look in _LOOKS.items():
        try:
            findings.append(Finding(subject, look()))
        except NbkitError as error:
            advice = error.advice or "read the message above"
            findings.append(Finding(subject, error.happened, advice))
        except Exception as error:  # noqa: BLE001 - whatever it is, the other lines are to be seen
            words = f"{type(error).__name__}: {error}"
            findings.append(Finding(subject, words, "restart the kernel; if it stays, reinstall"))
    return EnvironmentCheck(findings)


def _python() -> str:
    running = ".".join(map(str, sys.version_info[:3]))
    if not _OLDEST <= sys.version_info[:2] <= _NEWEST:
        oldest, newest = (".".join(map(str, each)) for each in (_OLDEST, _NEWEST))
        raise Trouble(
            f"{running} is not among the versions the course is tested on",
            f"install with one from {oldest} to {newest}: make lab PYTHON=python{newest}",
        )
    return running


def _requirements() -> "list[Requirement]":
    from packaging.requirements import Requirement

    try:
        needed = [Requirement(line) for line in requires(DISTRIBUTION) or []]
    except PackageNotFoundError:
        raise Trouble(
            "nbkit is imported from a folder, not installed", "pip install --editable ."
        ) from None
    return [each for each in needed if each.marker is None or each.marker.evaluate({"extra": ""})]


def _packages() -> str:
    needed = _requirements()
    wrong = {}
    for each in needed:
        try:
            found = version(each.name)
        except PackageNotFoundError:
            found = "missing"
        if found == "missing" or not each.specifier.contains(found, prereleases=True):
            wrong[f"{each.name} {found}"] = f'"{str(each).partition(";")[0]}"'
    if wrong:
        raise Trouble(
            ", ".join(wrong),
            f"pip install {' '.join(wrong.values())}, then restart the kernel",
        )
    return f"{len(needed)} as needed, among them LlamaIndex {version('llama-index-core')}"


def _streaming() -> str:
    found = version("llama-index-core")
    if found in COLLECTING:
        others = next(each for each in _requirements() if each.name == "llama-index-core")
        raise Trouble(
            f"llama-index-core {found} gives every streamed answer in one chunk",
            f'pip install "{others}", then restart the kernel',
        )
    return f"LlamaIndex {found} passes chunks on as they come"


def _kernel() -> str:
    found = version("ipykernel")
    if int(found.partition(".")[0]) < 7:
        raise Trouble(
            f"ipykernel {found} hears no button while a cell runs: Stop would come too late",
            'pip install "ipykernel>=7", then restart JupyterLab',
        )
    return f"ipykernel {found}: Stop works while a cell runs"


def _displays() -> str:
    from jupyter_core.paths import jupyter_path

    if kernel_shell() is None:
        return "no Jupyter here: answers are printed as text"
    folders = [Path(folder) for folder in jupyter_path("labextensions")]
    missing = [name for name in _FRONT_ENDS if not any((at / name).is_dir() for at in folders)]
    if missing:
        raise Trouble(
            f"the page lacks {' and '.join(missing)}: answers show only when they are done",
            "pip install anywidget ipywidgets where JupyterLab is installed, then restart it",
        )
    return "live answers and sliders"


def _loopback() -> str:
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(server.getsockname(), timeout=5).close()
    except OSError as error:
        raise Trouble(
            f"programs cannot talk to each other at 127.0.0.1 ({error})",
            "let the firewall or sandbox allow connections within this machine",
        ) from error
    return "free ports at 127.0.0.1"


def _simulator() -> str:
    from nbkit import simulator

    server = simulator.current()
    server.stats()
    return "starts and answers"


def _model() -> str:
    from nbkit.models import connect
    from nbkit.models.providers import SimulatedOpenAI

    llm = connect()
    if not isinstance(llm, SimulatedOpenAI):
        # Not wrong, but never to be found out from a bill.
        return f"connect() asks {os.environ['NBKIT_LLM']}, because NBKIT_LLM says so"
    speed = llm.profile.speed
    if speed == 0:
        return "simulated, without any waiting, because NBKIT_SPEED is 0: for tests, not for eyes"
    return "simulated" if speed == 1 else f"simulated, {speed:g} times as fast (NBKIT_SPEED)"


def _embedding() -> str:
    from nbkit.models.embedding import DIMENSIONS, OfflineEmbedding

    assert len(OfflineEmbedding().get_query_embedding("lamp")) == DIMENSIONS
    return "works without network"


def _handbook() -> str:
    from nbkit.corpus.reading import BUNDLED, find_folder, read_files

    counts = [f"{name} {len(read_files(find_folder(name)))}" for name in BUNDLED]
    return f"files: {', '.join(counts)}"


def _cache() -> str:
    from nbkit.corpus.cache import root

    folder = root()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise Trouble(
            f"indexes cannot be kept ({error.strerror or error}), each kernel embeds anew",
            "set NBKIT_CACHE to a folder you may write to, then restart Jupyter",
        ) from error
    return "indexes are kept for the next start"


def _font() -> str:
    from nbkit.plots.fonts import chinese

    found = chinese()
    if found is None:
        raise Trouble(
            "no font here can draw Chinese: figures with it would show boxes",
            "install one (Debian, Ubuntu: sudo apt install fonts-noto-cjk), restart the kernel",
        )
    return found


def _settings() -> str:
    ours = sorted(name for name in os.environ if name.startswith("NBKIT_"))
    if strange := [name for name in ours if name not in SETTINGS]:
        raise Trouble(f"{', '.join(strange)} means nothing to nbkit", f"use {', '.join(SETTINGS)}")
    return ", ".join(_shown(ours)) or "none: everything at its default"


def _shown(names: list[str]) -> Iterator[str]:
    for name in names:
        yield f"{name} (hidden)" if name.endswith("KEY") else f"{name}={os.environ[name]}"


_LOOKS: dict[str, Callable[[], str]] = {
    "Python": _python,
    "packages": _packages,
    "streaming": _streaming,
    "kernel": _kernel,
    "displays": _displays,
    "network": _loopback,
    "simulator": _simulator,
    "model": _model,
    "embedding": _embedding,
    "handbook": _handbook,
    "cache": _cache,
    "Chinese font": _font,
    "settings": _settings,
}
