"""The exercises of a notebook, and answers whose verdict is known.

`tests/wrong_answers/NN_name.py` holds those that its checks must refuse, each beneath a line

    # %% exercise 2 · what the verdict must say

and in place of that exercise's stub; `tests/right_answers/NN_name.py` those they must accept, each
beneath what it does in another way than the solution. They are cells, not modules: `await` stands
at their top.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from nbformat import NotebookNode

FOLDER = Path(__file__).parent
_HEAD = re.compile(r"^# %% exercise (\d+) · (.+)\n", re.M)


@dataclass(frozen=True)
class Attempt:
    """An answer to an exercise; of a wrong one `about` is what its hint must say."""

    exercise: int
    about: str
    source: str


@dataclass(frozen=True)
class Exercise:
    """One exercise: its cells, with those that prepare it."""

    setup: list[NotebookNode]
    stub: NotebookNode
    check: NotebookNode
    solution: NotebookNode


def tags(cell: NotebookNode) -> set[str]:
    """Give the tags of a cell."""
    return set(cell.metadata.get("tags", []))


def exercises(notebook: NotebookNode) -> list[Exercise]:
    """List a notebook's exercises, each with the untagged code since its heading."""
    found: list[Exercise] = []
    cells: dict[str, NotebookNode] = {}
    setup: list[NotebookNode] = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and cell.source.startswith("## "):
            setup = []
        if cell.cell_type != "code":
            continue
        kind = tags(cell) & {"exercise", "check", "solution"}
        if not kind:
            setup.append(cell)
            continue
        cells[kind.pop()] = cell
        if "solution" in tags(cell):
            found.append(Exercise(setup, cells["exercise"], cells["check"], cells["solution"]))
            cells, setup = {}, []
    return found


def wrong_answers(notebook: str) -> list[Attempt]:
    """Read the wrong answers to a notebook's exercises; raises AssertionError if it has none."""
    path = FOLDER / "wrong_answers" / f"{notebook}.py"
    assert path.exists(), f"{path.name} is missing — write two wrong answers to each exercise there"
    return _read(path)


def right_answers(notebook: str) -> list[Attempt]:
    """Read the right answers to a notebook's exercises that differ from its solutions."""
    path = FOLDER / "right_answers" / f"{notebook}.py"
    return _read(path) if path.exists() else []


def _read(path: Path) -> list[Attempt]:
    before, *parts = _HEAD.split(path.read_text("utf-8"))
    assert not before.strip(), f"{path.name}: {before.strip()!r} stands before the first heading"
    heads, abouts, sources = parts[::3], parts[1::3], parts[2::3]
    return [
        Attempt(int(head), about.strip(), source.strip())
        for head, about, source in zip(heads, abouts, sources, strict=True)
    ]
