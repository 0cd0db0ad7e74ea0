"""The exercises of a notebook, and the wrong answers its checks must know.

`tests/wrong_answers/NN_name.py` holds them for one notebook, each beneath a line

    # %% exercise 2 · what the verdict must say

and in place of that exercise's stub. They are cells, not modules: `await` stands at their top.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from nbformat import NotebookNode

FOLDER = Path(__file__).parent / "wrong_answers"
_HEAD = re.compile(r"^# %% exercise (\d+) · (.+)\n", re.M)


@dataclass(frozen=True)
class WrongAnswer:
    """A common wrong answer to an exercise, and words of the hint it deserves."""

    exercise: int
    hint: str
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


def wrong_answers(notebook: str) -> list[WrongAnswer]:
    """Read the wrong answers to a notebook's exercises; raises AssertionError if it has none."""
    path = FOLDER / f"{notebook}.py"
    assert path.exists(), f"{path.name} is missing — write two wrong answers to each exercise there"
    before, *parts = _HEAD.split(path.read_text("utf-8"))
    assert not before.strip(), f"{path.name}: {before.strip()!r} stands before the first heading"
    heads, hints, sources = parts[::3], parts[1::3], parts[2::3]
    return [
        WrongAnswer(int(head), hint.strip(), source.strip())
        for head, hint, source in zip(heads, hints, sources, strict=True)
    ]
