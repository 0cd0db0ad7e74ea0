"""Build a notebook from the English one and its catalogue, without running it."""

import re
from pathlib import Path
from urllib.parse import unquote

import nbformat
import polib
from nbformat import NotebookNode

from tests.execute_notebooks import FOLDER, code_hash, folder_of, read
from tests.translation import code
from tests.translation.catalogue import HANDBOOKS, NAMES

LANGUAGE = "zh"
NOTICE = "> 英文原文已经更新，下面还是旧的译文。\n\n"
"""Stands above the old translation of a cell whose English has changed."""
LINK = re.compile(r"(\]\()(?!https?:|mailto:|#)([^)\s]+)(\))")


class Translation:
    """What a catalogue says in place of the English; where it says nothing, the English stays."""

    def __init__(self, catalogue: polib.POFile) -> None:
        entries = [entry for entry in catalogue if not entry.obsolete and entry.msgstr]
        self._said = {(entry.msgctxt, entry.msgid): entry.msgstr for entry in entries}
        self._stale = {(entry.msgctxt, entry.msgid) for entry in entries if entry.fuzzy}
        self.names = HANDBOOKS | {
            text: said for (context, text), said in self._said.items() if context == NAMES
        }

    def markdown(self, cell_id: str, text: str) -> str:
        """Translate a Markdown cell, or block; an old translation stands under a notice."""
        said = self._said.get((cell_id, text), text)
        return NOTICE + said if (cell_id, text) in self._stale else said

    def piece(self, cell_id: str, piece: code.Piece) -> str:
        """Translate a comment or string of a code cell, or a name."""
        if piece.kind in (code.NAME, code.KEY):
            return self.names.get(piece.text, piece.text)
        return self._said.get((f"{cell_id}/{piece.kind}", piece.text), piece.text)

    def strings(self, cell_id: str) -> list[tuple[str, str]]:
        """List the strings of a code cell, each with its translation."""
        context = f"{cell_id}/{code.STRING}"
        return [(text, said) for (where, text), said in self._said.items() if where == context]

    def code(self, cell_id: str, source: str) -> str:
        """Translate a code cell."""
        return code.replaced(source, lambda piece: self.piece(cell_id, piece))


def build(english: NotebookNode, catalogue: polib.POFile) -> NotebookNode:
    """Give the notebook in the catalogue's language, with no outputs yet."""
    translation = Translation(catalogue)
    notebook = nbformat.from_dict(english)
    notebook.metadata["nbkit"] = {"language": LANGUAGE}
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = relocated(translation.markdown(cell.id, cell.source))
        elif cell.cell_type == "code":
            cell.source = translation.code(cell.id, cell.source)
            cell.outputs, cell.execution_count = [], None
    # The reader's JupyterLab may be English, and the displays of this notebook must not be.
    speak = nbformat.v4.new_code_cell(f"%env NBKIT_LANG={LANGUAGE}", id=speaking_id(notebook))
    notebook.cells.insert(1, speak)
    return notebook


def speaking_id(notebook: NotebookNode) -> str:
    """Name the cell that sets the library's language."""
    return f"{notebook.cells[0].id.split('-')[0]}-{LANGUAGE}"


def relocated(text: str) -> str:
    """Point relative links, written as in the English notebook, where they lead from `zh/`."""
    return LINK.sub(lambda link: link[1] + _from_here(link[2]) + link[3], text)


def _from_here(target: str) -> str:
    """A notebook is beside this one, as is the guide; all else is a folder further up."""
    if target.startswith(f"{LANGUAGE}/"):
        return "../" + target.removeprefix(f"{LANGUAGE}/")
    path, hash_, place = target.partition("#")
    ours = re.sub(r"\.md$", f".{LANGUAGE}.md", path)
    if ours != path and (FOLDER / unquote(ours)).exists():
        path = ours
    picture = re.sub(r"^images/", f"images/{LANGUAGE}/", path)
    if (FOLDER / unquote(picture)).exists():
        path = picture
    beside = "/" not in path and path.endswith(".ipynb")
    return ("" if beside else "../") + path + hash_ + place


def link_from(english: NotebookNode, stem: str) -> bool:
    """Link the other language in the first cell of the English notebook; tells if it had none."""
    first, link = english.cells[0], f"[中文]({LANGUAGE}/{stem}.ipynb)"
    if link in first.source:
        return False
    title, neighbours = first.source.split("\n\n", 1)
    line, newline, rest = neighbours.partition("\n")
    first.source = f"{title}\n\n{line} · {link}{newline}{rest}"
    return True


def keep_outputs(notebook: NotebookNode, path: Path) -> bool:
    """Take over the outputs stored in `path`, if they came from the same code; tells whether."""
    if not path.exists():
        return False
    stored = read(path)
    if stored.metadata["nbkit"].get("code_hash") != code_hash(notebook):
        return False
    by_id = {cell.id: cell for cell in stored.cells if cell.cell_type == "code"}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = by_id[cell.id].outputs
            cell.execution_count = by_id[cell.id].execution_count
    notebook.metadata = stored.metadata
    return True


def place_of(stem: str) -> Path:
    """Give the place of a built notebook."""
    return folder_of(LANGUAGE) / f"{stem}.ipynb"
