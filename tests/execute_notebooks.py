"""Execute the notebooks in real kernels and store their outputs, ready to be read on the web.

`make notebooks` runs all of them; `make notebooks ARGS=01_streaming` runs one.
"""

import hashlib
import os
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

FOLDER = Path(__file__).parent.parent / "notebooks"
_KERNEL = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}


def all_notebooks() -> list[Path]:
    """List the course in reading order."""
    return sorted(FOLDER.glob("*.ipynb"))


def read(path: Path) -> NotebookNode:
    """Read a notebook in the current format."""
    return nbformat.read(path, as_version=4)


def code_hash(notebook: NotebookNode) -> str:
    """Fingerprint the code whose outputs are stored, to tell when they are stale."""
    sources = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    return hashlib.sha256("\0".join(sources).encode()).hexdigest()[:16]


def execute(notebook: NotebookNode, *, speed: float | None = None) -> NotebookNode:
    """Run a notebook top to bottom in a fresh kernel; returns it with its outputs.

    `speed` sets the simulated model's (0: no waiting); `None` leaves the reader's default.
    Raises `nbclient.exceptions.CellExecutionError` at the first error that is not announced by
    the tag `raises-exception`.
    """
    # The reader's own settings must not leak into what is stored or tested.
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("NBKIT_", "OPENAI_"))}
    if speed is not None:
        environment["NBKIT_SPEED"] = str(speed)
    client = NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        resources={"metadata": {"path": str(FOLDER)}},
        store_widget_state=False,
    )
    client.execute(env=environment)
    return notebook


def tidy(notebook: NotebookNode) -> None:
    """Drop what changes from run to run without meaning, and frames that name machine paths."""
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": _KERNEL,
            "language_info": {"name": "python"},
            "nbkit": {"code_hash": code_hash(notebook)},
        }
    )
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = _joined(cell.outputs)
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                output.traceback = [f"{output.ename}: {output.evalue}"]


def _joined(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Join neighbouring prints, as JupyterLab does when it saves: nbclient keeps each flush."""
    joined: list[NotebookNode] = []
    for output in outputs:
        if output.output_type == "stream" and joined and joined[-1].get("name") == output.name:
            joined[-1].text += output.text
        else:
            joined.append(output)
    return joined


def main(names: list[str]) -> None:
    """Execute the named notebooks, or all, and write them back."""
    for path in all_notebooks():
        if names and path.stem not in names:
            continue
        began = time.perf_counter()
        notebook = execute(read(path))
        tidy(notebook)
        nbformat.write(notebook, path)
        size = path.stat().st_size / 1000
        print(f"{path.name}: {time.perf_counter() - began:.0f} s, {size:.0f} kB", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
