"""Execute the notebooks in real kernels and store their outputs, ready to be read on the web.

`make notebooks` runs all of them; `make notebooks ARGS=01_streaming` runs one, and
`make notebooks ARGS="--time 0"` only tells what they take when the model doesn't wait.
"""

import argparse
import base64
import hashlib
import io
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from PIL import Image

FOLDER = Path(__file__).parent.parent / "notebooks"
_KERNEL = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}


def folder_of(language: str) -> Path:
    """Give the folder of the course in a language: `en`, the source, or `zh`, built from it."""
    return FOLDER if language == "en" else FOLDER / language


def all_notebooks(language: str = "en") -> list[Path]:
    """List the course in reading order."""
    return sorted(folder_of(language).glob("*.ipynb"))


def read(path: Path) -> NotebookNode:
    """Read a notebook in the current format."""
    return nbformat.read(path, as_version=4)


def code_hash(notebook: NotebookNode) -> str:
    """Fingerprint the code whose outputs are stored, to tell when they are stale."""
    sources = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    return hashlib.sha256("\0".join(sources).encode()).hexdigest()[:16]


@contextmanager
def running(notebook: NotebookNode, *, speed: float | None = None) -> Iterator[NotebookClient]:
    """Run a notebook top to bottom in a fresh kernel, which more cells may use inside the block.

    `speed` sets the simulated model's (0: no waiting); `None` leaves the reader's default. The
    kernel speaks the notebook's language and works in its folder.
    Raises `nbclient.exceptions.CellExecutionError` at the first error that is not announced by
    the tag `raises-exception`.
    """
    # The reader's own settings must not leak into what is stored or tested.
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("NBKIT_", "OPENAI_"))}
    if speed is not None:
        environment["NBKIT_SPEED"] = str(speed)
    language = notebook.metadata.get("nbkit", {}).get("language", "en")
    environment["NBKIT_LANG"] = language
    client = NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder_of(language))}},
        store_widget_state=False,
    )
    with client.setup_kernel(env=environment):
        client.execute(cleanup_kc=False)
        yield client


def run_more(client: NotebookClient, source: str) -> str:
    """Run one more cell in the kernel of `running`; returns what it prints."""
    cell = nbformat.v4.new_code_cell(source)
    place = len(client.nb.cells)
    client.nb.cells.append(cell)
    client.execute_cell(cell, place)
    client.nb.cells.remove(cell)
    # A display of this cell may be updated later; nbclient would look for its output.
    for cells in client._display_id_map.values():
        cells.pop(place, None)
    return printed(cell)


def printed(cell: NotebookNode) -> str:
    """Give what a cell has printed."""
    return "".join(o.text for o in cell.outputs if o.get("name") == "stdout")


# A figure as a kernel shows it. In a stored notebook it is a picture: sites that show notebooks may
# leave out an image inside HTML.
_FIGURE = re.compile(r'<img alt="[^"]*"[^>]*? src="data:image/png;base64,([^"]+)">')


def execute(notebook: NotebookNode, *, speed: float | None = None) -> float:
    """Run a notebook as `running` does; returns the seconds it took, kernel start included."""
    began = time.perf_counter()
    with running(notebook, speed=speed):
        return time.perf_counter() - began


def tidy(notebook: NotebookNode, seconds: float) -> None:
    """Drop what changes from run to run without meaning, and frames that name machine paths.

    `seconds` is what the run took at the reader's speed; a test adds them up.
    """
    language = notebook.metadata.get("nbkit", {}).get("language")
    spoken = {"language": language} if language else {}
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": _KERNEL,
            "language_info": {"name": "python"},
            "nbkit": {**spoken, "code_hash": code_hash(notebook), "seconds": round(seconds)},
        }
    )
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = _joined(cell.outputs)
        for output in cell.get("outputs", []):
            if found := _FIGURE.fullmatch(output.get("data", {}).get("text/html", "")):
                words = output.data["text/plain"]
                picture = _smaller(found[1])
                output.data = nbformat.from_dict({"image/png": picture, "text/plain": words})
            if output.output_type == "error":
                output.traceback = [f"{output.ename}: {output.evalue}"]


def _smaller(picture: str) -> str:
    """Pack a picture better, without a loss: a notebook is stored whole with each change."""
    packed = io.BytesIO()
    Image.open(io.BytesIO(base64.b64decode(picture))).save(packed, "PNG", optimize=True)
    return base64.b64encode(packed.getvalue()).decode()


def shows(output: Any) -> bool:
    """Tell whether an output is a settled answer or a figure."""
    data = output.get("data", {})
    html = "".join(data.get("text/html", ""))
    return "nbkit-settled" in html or "data:image/png" in html or "image/png" in data


def _joined(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Join neighbouring prints, as JupyterLab does when it saves: nbclient keeps each flush."""
    joined: list[NotebookNode] = []
    for output in outputs:
        if output.output_type == "stream" and joined and joined[-1].get("name") == output.name:
            joined[-1].text += output.text
        else:
            joined.append(output)
    return joined


def slowest(notebook: NotebookNode, number: int = 3) -> list[tuple[float, str]]:
    """Give the cells that took longest: seconds, and how they begin."""

    def took(cell: NotebookNode) -> float:
        moments = cell.metadata.get("execution", {})
        ends = [moments.get(key) for key in ("iopub.execute_input", "shell.execute_reply")]
        if None in ends:
            return 0.0
        began, ended = map(datetime.fromisoformat, ends)
        return (ended - began).total_seconds()

    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    ranked = sorted(((took(cell), cell.source) for cell in cells), reverse=True)
    return [(seconds, source.partition("\n")[0]) for seconds, source in ranked[:number]]


def main() -> None:
    """Execute the named notebooks, or all: store their outputs, or only say what they take."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="such as 01_streaming; all of them without one")
    parser.add_argument(
        "--time", type=float, metavar="SPEED", help="store nothing, tell the seconds at this speed"
    )
    chosen = parser.parse_args()
    total = 0.0
    for path in all_notebooks():
        if chosen.names and path.stem not in chosen.names:
            continue
        notebook = read(path)
        seconds = execute(notebook, speed=chosen.time)
        total += seconds
        print(f"{path.name}: {seconds:.0f} s, {path.stat().st_size / 1000:.0f} kB", flush=True)
        if chosen.time is not None:
            for taken, line in slowest(notebook):
                print(f"  {taken:5.1f} s  {line}", flush=True)
            continue
        tidy(notebook, seconds)
        nbformat.write(notebook, path)
    print(f"all: {total:.0f} s")


if __name__ == "__main__":
    main()
