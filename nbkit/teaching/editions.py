"""Editions of the notebooks for a class: `nbkit teach live|exercise|solutions --out DIR`.

The course in `notebooks/` is the one source; an edition is made of it and never edited.
"""

import difflib
import os
import re
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import nbformat
from nbformat import NotebookNode

from nbkit.errors import NbkitError

TYPED = 8
"""Lines of code a teacher types before a class; a longer cell stays in the live edition."""

_LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:|mailto:|#)([^)\s]+)\)")


class EditionError(NbkitError):
    """An edition that cannot be written as it was asked for."""


@dataclass(frozen=True)
class Made:
    """One notebook of an edition: its new content, in words what was done, its crib sheet."""

    notebook: NotebookNode
    words: str
    crib: str = ""


def write_edition(
    edition: str,
    out: "str | os.PathLike[str]",
    *,
    notebooks: Sequence[str] = (),
    source: "str | os.PathLike[str] | None" = None,
    tell: Callable[[str], object] = lambda line: None,
) -> list[Path]:
    """Write an edition of the notebooks into a new folder; returns the notebooks written.

    `"exercise"` is what a class gets: without outputs and solutions. `"solutions"` has them in
    place of the stubs, so that every check passes. In `"live"` a number stands for the code, to be
    typed before the class from a crib sheet (`NN_name.crib.md`) beside it; left as they are, and
    ready to be run: what stands before the first idea, the exercises and their checks, and every
    cell of more than `TYPED` lines. The prose is whole in all three.

    `notebooks` are numbers or names, all of them if there are none; a link to a notebook that is
    left out, or to the teacher's guide, becomes plain text. `source` is the course's folder, by
    default the one beside the package. `out` must be new or empty, and has either the whole
    edition or nothing. `tell` hears a line for each notebook.

    Raises `EditionError`. Taught in notebooks/README.md.
    """
    if edition not in _EDITIONS:
        raise EditionError(f"There is no edition {edition!r}", f"choose {_listed(_EDITIONS)}.")
    folder = _course(source)
    paths = _chosen(folder, notebooks)
    if not os.fspath(out).strip():
        raise EditionError("An empty name is no folder", "name a new one.")
    out = Path(out).expanduser()
    _check_free(out)
    draft = out.with_name(f".{out.name}-{os.getpid()}")
    try:
        draft.mkdir(parents=True)
        for path in paths:
            made = _EDITIONS[edition](_blank(_read(path), edition))
            kept = {other.name for other in paths} | _copy_linked(made.notebook, folder, draft)
            _unlink(made.notebook, kept)
            nbformat.write(made.notebook, draft / path.name)  # type: ignore[no-untyped-call]
            if made.crib:
                heading = f"# {path.stem}\n\nWhat to type, by the numbers in the notebook.\n"
                crib = draft / f"{path.stem}.crib.md"
                crib.write_text(f"{heading}{made.crib}", encoding="utf-8")
            tell(f"{path.name}: {made.words}")
        if out.exists():
            out.rmdir()
        draft.rename(out)
    except OSError as error:
        raise EditionError(
            f"{out} could not be written ({error.strerror or error})", "name another folder."
        ) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return [out / path.name for path in paths]


def _listed(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} or {last}" if most else last


def _course(source: "str | os.PathLike[str] | None") -> Path:
    """Find the folder of the notebooks."""
    beside = Path(__file__).parents[2] / "notebooks"
    folder = beside if source is None else Path(source).expanduser()
    if any(folder.glob("[0-9][0-9]_*.ipynb")):
        return folder
    if source is None:
        raise EditionError(
            "The notebooks are not beside the installed package",
            "they come with the repository: say where it is with --from PATH/notebooks.",
        )
    raise EditionError(
        f"There are no notebooks of the course in {folder}",
        "give the folder that holds 00_start_here.ipynb.",
    )


def _chosen(folder: Path, wanted: Sequence[str]) -> list[Path]:
    """Find notebooks by number or name, in reading order."""
    course = {path.stem: path for path in sorted(folder.glob("[0-9][0-9]_*.ipynb"))}
    stems = set()
    for name in wanted:
        stem = Path(name).name.removesuffix(".ipynb")
        number = stem.zfill(2) if stem.isdecimal() else None
        found = [each for each in course if each == stem or each[:2] == number]
        if not found:
            near = difflib.get_close_matches(stem, course, n=1)
            hint = f"did you mean {near[0]}?" if near else f"choose {_listed(course)}."
            raise EditionError(f"There is no notebook {name!r}", f"{hint}")
        stems.update(found)
    return [path for stem, path in course.items() if stem in stems or not wanted]


def _check_free(out: Path) -> None:
    if out.absolute() == Path.cwd():
        raise EditionError(f"{out.absolute()} is the folder you are in", "name a new one in it.")
    if out.is_dir() and any(out.iterdir()):
        raise EditionError(
            f"{out} is not empty, and somebody's work may be in it", "name a new folder."
        )
    if out.exists() and not out.is_dir():
        raise EditionError(f"{out} is a file", "name a new folder.")


def _read(path: Path) -> NotebookNode:
    try:
        notebook: NotebookNode = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    except (ValueError, nbformat.ValidationError) as error:
        raise EditionError(
            f"{path.name} is not a notebook ({error})", "fetch it from the repository again."
        ) from error
    return notebook


def _blank(notebook: NotebookNode, edition: str) -> NotebookNode:
    """Take away what belongs to the course's own run."""
    notebook.metadata["nbkit"] = {"edition": edition}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return notebook


def _tagged(cell: NotebookNode, *tags: str) -> bool:
    return bool(set(tags) & set(cell.metadata.get("tags", [])))


def _without_solutions(notebook: NotebookNode) -> int:
    """Drop the solutions; returns how many there were."""
    before = len(notebook.cells)
    notebook.cells = [cell for cell in notebook.cells if not _tagged(cell, "solution")]
    return before - len(notebook.cells)


def _exercise(notebook: NotebookNode) -> Made:
    return Made(notebook, f"{_without_solutions(notebook)} exercises to do")


def _solutions(notebook: NotebookNode) -> Made:
    stub: NotebookNode | None = None
    for cell in notebook.cells:
        if _tagged(cell, "exercise"):
            stub = cell
        elif _tagged(cell, "solution") and stub is not None:
            stub.source = cell.source
    return Made(notebook, f"{_without_solutions(notebook)} exercises solved")


def _live(notebook: NotebookNode) -> Made:
    crib, heading, idea, number = "", "", False, 0
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and (found := re.match(r"## (.+)", cell.source)):
            heading = found.group(1)
            idea = not heading.startswith(("What you'll", "Exercise", "Stretch"))
            crib += f"\n## {heading}\n"
        if _tagged(cell, "solution"):
            crib += f"\n```python\n{cell.source}\n```\n"
        if cell.cell_type != "code" or not idea or len(cell.source.splitlines()) > TYPED:
            continue
        number += 1
        crib += f"\n{number}.\n\n```python\n{cell.source}\n```\n"
        cell.source = f"# {number}"
    crib = re.sub(r"\n## [^\n]+\n(?=\n## |\Z)", "", crib)
    solved = _without_solutions(notebook)
    return Made(notebook, f"{number} cells to type, {solved} exercises to do", crib)


_EDITIONS: dict[str, Callable[[NotebookNode], Made]] = {
    "live": _live,
    "exercise": _exercise,
    "solutions": _solutions,
}


def _copy_linked(notebook: NotebookNode, folder: Path, draft: Path) -> set[str]:
    """Copy the pictures and data the prose refers to; returns the links they are known by."""
    copied = set()
    for cell in notebook.cells:
        for _, _, link in _LINK.findall(cell.source if cell.cell_type == "markdown" else ""):
            target = (folder / unquote(link)).resolve()
            inside = target.is_file() and target.is_relative_to(folder.resolve())
            if inside and target.suffix not in {".ipynb", ".md"}:
                place = draft / target.relative_to(folder.resolve())
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(target, place)
                copied.add(link)
    return copied


def _unlink(notebook: NotebookNode, kept: set[str]) -> None:
    """Leave only the words of links to what is not part of the edition."""

    def words(found: re.Match[str]) -> str:
        return found.group(0) if found.group(3).partition("#")[0] in kept else found.group(2)

    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = _LINK.sub(words, cell.source)
