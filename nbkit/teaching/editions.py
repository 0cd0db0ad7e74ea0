"""Editions of the notebooks for a class: `nbkit teach live|exercise|solutions --out DIR`.

The course in `notebooks/` is the only source; editions are generated and never edited.
"""

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote, unquote

import nbformat
from nbconvert.preprocessors import ClearOutputPreprocessor, TagRemovePreprocessor
from nbformat import NotebookNode

from nbkit.errors import NbkitError
from nbkit.language import LANGUAGES, say
from nbkit.wording import listed

EDITIONS = ("live", "exercise", "solutions")
TYPED = 8
"""Lines of code a teacher types in class; a longer cell stays in the live edition."""
_NO_IDEAS = (
    "What you'll",
    "Exercise",
    "Stretch",
    "要做什么",
    "会学到什么",
    "需要什么",
    "练习",
    "挑战",
)
"""How the headings begin of sections in which no code is typed."""
_LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:|mailto:|#)([^)\s]+)\)")
_PACKAGE = Path(__file__).parent.parent


class EditionError(NbkitError):
    """The requested edition cannot be written."""


def write_edition(
    edition: str,
    out: "str | os.PathLike[str]",
    *,
    notebooks: Sequence[str] = (),
    source: "str | os.PathLike[str] | None" = None,
    lang: str = "en",
) -> list[Path]:
    """Write an edition of the notebooks into a new or empty folder; returns their paths.

    `"exercise"` is for the class: no outputs and no solutions. `"solutions"` has the solutions in
    place of the stubs, so that every check passes. In `"live"` each code cell is replaced by a
    number, and the teacher types the code from a crib sheet (`NN_name.crib.md`); cells before the
    first idea, exercises, checks, and cells of more than `TYPED` lines keep their code. All three
    have the complete text.

    `notebooks` are numbers or names; default: all. A link to a notebook that is left out, or to the
    teacher's guide, becomes plain text. `source` is a folder of notebooks; default: the course, of
    which `lang` "zh" is the Chinese one.

    Raises `EditionError`. Taught in notebooks/README.md.
    """
    if edition not in EDITIONS:
        raise EditionError(
            say("There is no edition {edition!r}", edition=edition),
            say("choose {editions}.", editions=listed(EDITIONS)),
        )
    paths = _chosen(_course(lang) if source is None else Path(source).expanduser(), notebooks)
    out = Path(out).expanduser()
    try:
        if out.is_dir() and any(out.iterdir()):
            raise EditionError(
                say("{out} is not empty, and its files may be needed", out=out),
                say("name a new folder."),
            )
        with TemporaryDirectory() as draft:
            for path in paths:
                _write(edition, path, Path(draft), paths)
            shutil.copytree(draft, out, dirs_exist_ok=True)
    except OSError as error:
        raise EditionError(
            say("{out} could not be written ({error})", out=out, error=error.strerror or error),
            say("name another folder."),
        ) from error
    return [out / path.name for path in paths]


def _course(lang: str) -> Path:
    """The folder of the notebooks: in the installed package, or next to it in a checkout."""
    installed = _PACKAGE / "notebooks"
    course = installed if installed.is_dir() else _PACKAGE.parent / "notebooks"
    if lang == "en":
        return course
    known = ["en", *(one for one in LANGUAGES if (course / one).is_dir())]
    if lang not in known:
        raise EditionError(
            say("There are no notebooks of the course in the language {lang!r}", lang=lang),
            say("choose from {known}.", known=listed(known)),
        )
    return course / lang


def _chosen(folder: Path, wanted: Sequence[str]) -> list[Path]:
    """The notebooks with these numbers or names, in reading order."""
    course = sorted(folder.glob("[0-9][0-9]_*.ipynb"))
    if not course:
        raise EditionError(
            say("There are no notebooks of the course in {folder}", folder=folder),
            say("give the folder that holds 00_start_here.ipynb."),
        )
    chosen = set()
    for name in wanted:
        stem = f"{name:0>2}" if name.isdecimal() else Path(name).stem
        found = {path for path in course if stem in (path.stem, path.stem[:2])}
        if not found:
            known = ", ".join(path.stem for path in course)
            raise EditionError(
                say("There is no notebook {name!r}", name=name),
                say("choose from {known}.", known=known),
            )
        chosen |= found
    return sorted(chosen) or course


def _write(edition: str, path: Path, folder: Path, paths: Sequence[Path]) -> None:
    """Write one notebook of an edition, with its crib sheet and the files it links to."""
    try:
        notebook: NotebookNode = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    except (ValueError, nbformat.ValidationError) as error:
        raise EditionError(
            say("{name} is not a notebook ({error})", name=path.name, error=error),
            say("fetch it from the repository again."),
        ) from error
    notebook.metadata["nbkit"] = {"edition": edition}
    if edition == "solutions":
        _fill_stubs(notebook)
    elif edition == "live":
        crib = f"# {path.stem}\n\n{say('What to type, by the numbers in the notebook.')}\n"
        crib += _take_out_code(notebook)
        (folder / f"{path.stem}.crib.md").write_text(crib, encoding="utf-8")
    without_outputs = ClearOutputPreprocessor()  # type: ignore[no-untyped-call]
    without_solutions = TagRemovePreprocessor(remove_cell_tags={"solution"})  # type: ignore[no-untyped-call]
    for cleaner in (without_outputs, without_solutions):
        notebook, _ = cleaner.preprocess(notebook, {})  # type: ignore[no-untyped-call]
    _keep_links(notebook, path.parent.resolve(), folder, {other.name for other in paths})
    nbformat.write(notebook, folder / path.name)  # type: ignore[no-untyped-call]


def _has_tag(cell: NotebookNode, tag: str) -> bool:
    return tag in cell.metadata.get("tags", [])


def _fill_stubs(notebook: NotebookNode) -> None:
    """Replace each stub by the solution after it."""
    stub: NotebookNode | None = None
    for cell in notebook.cells:
        if _has_tag(cell, "exercise"):
            stub = cell
        elif _has_tag(cell, "solution") and stub is not None:
            stub.source = cell.source


def _take_out_code(notebook: NotebookNode) -> str:
    """Replace code by numbers; returns the crib sheet with the code."""
    crib, is_idea, number = "", False, 0
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and (found := re.match(r"## (.+)", cell.source)):
            is_idea = not found[1].startswith(_NO_IDEAS)
            crib += f"\n{found[0]}\n"
        if _has_tag(cell, "solution"):
            crib += f"\n```python\n{cell.source}\n```\n"
        elif cell.cell_type == "code" and is_idea and len(cell.source.splitlines()) <= TYPED:
            number += 1
            crib += f"\n{number}.\n\n```python\n{cell.source}\n```\n"
            cell.source = f"# {number}"
    # Remove headings with nothing below them.
    return re.sub(r"\n## [^\n]+\n(?=\n## |\Z)", "", crib)


def _keep_links(notebook: NotebookNode, course: Path, folder: Path, written: set[str]) -> None:
    """Copy the pictures and data that the text links to; other links become plain text.

    The notebooks of a language share those of the folder above.
    """
    top = course.parent if course.name in LANGUAGES else course

    def keep(link: re.Match[str]) -> str:
        name = link[3].partition("#")[0]
        if name in written:
            return link[0]
        target = (course / unquote(name)).resolve()
        inside = target.is_file() and target.is_relative_to(top)
        if not inside or target.suffix in (".ipynb", ".md"):
            return link[2]
        place = target.relative_to(top)
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(target, folder / place)
        return link[0] if top == course else f"{link[1]}[{link[2]}]({quote(place.as_posix())})"

    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = _LINK.sub(keep, cell.source)
