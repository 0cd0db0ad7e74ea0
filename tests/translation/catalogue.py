"""The catalogue of a notebook or document: a gettext `.po` file, an entry for each message.

A message's context (`msgctxt`) is its cell's id for Markdown, `ID/string` or `ID/comment` for what
stands in code, and `names` for strings of one word, which a notebook uses as labels and keys. The
comment `# ok: numbers, english - why` lets a message pass the checks it names (`checks.py`).
"""

import difflib
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import polib
from nbformat import NotebookNode

from tests.execute_notebooks import FOLDER
from tests.translation import code

CATALOGUES = FOLDER / "i18n" / "zh"
NAMES = "names"
HANDBOOKS = {"en": "zh", "zh": "en"}
"""Which handbook a translated notebook reads in the place of the other."""
Message = tuple[str, str]
"""A context and the English text."""


def path_of(stem: str) -> Path:
    """Give the place of a notebook's catalogue."""
    return CATALOGUES / f"{stem}.po"


def messages(notebook: NotebookNode) -> list[Message]:
    """List what a notebook says, in its order; names, which belong to no cell, come first."""
    names: dict[Message, None] = {}
    found: dict[Message, None] = {}
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and cell.source.strip():
            found[cell.id, cell.source] = None
        elif cell.cell_type == "code":
            for piece in code.pieces(cell.source):
                if piece.kind == code.NAME:
                    names[NAMES, piece.text] = None
                elif piece.kind != code.KEY:
                    found[f"{cell.id}/{piece.kind}", piece.text] = None
    return [*names, *found]


def load(path: Path) -> polib.POFile:
    """Read a catalogue; an empty one if there is none yet."""
    if path.exists():
        return polib.pofile(str(path), wrapwidth=0, check_for_duplicates=True)
    new = polib.POFile(wrapwidth=0)
    new.metadata = {
        "Project-Id-Version": "nbkit",
        "Language": "zh_CN",
        "MIME-Version": "1.0",
        "Content-Type": "text/plain; charset=UTF-8",
        "Content-Transfer-Encoding": "8bit",
    }
    return new


def update(catalogue: polib.POFile, wanted: Iterable[Message]) -> polib.POFile:
    """Give the catalogue these messages need, in their order, with the translations it has.

    A message whose English has changed keeps its translation, marked `fuzzy`, with the English it
    was made from. What no message asks for any more is kept at the end, as obsolete.
    """
    wanted = list(wanted)
    shared = {where for where, count in Counter(where for where, _ in wanted).items() if count > 1}
    old = {(entry.msgctxt, entry.msgid): entry for entry in catalogue}
    left = {key: entry for key, entry in old.items() if key not in set(wanted)}
    updated = load(Path("no such file"))
    updated.header, updated.metadata = catalogue.header, catalogue.metadata
    for context, text in wanted:
        entry = old.get((context, text)) or _changed(left, context, text, context in shared)
        entry.obsolete = False
        updated.append(entry)
    for entry in left.values():
        if entry.msgstr and entry.msgctxt != NAMES:
            entry.obsolete = True
            updated.append(entry)
    return updated


def _changed(
    left: dict[Message, polib.POEntry], context: str, text: str, shared: bool
) -> polib.POEntry:
    """Make the entry of a new message, from the most similar one that has lost its own.

    In a `shared` context, which has several messages, only a similar one will do.
    """
    if context == NAMES:
        return polib.POEntry(msgctxt=context, msgid=text, msgstr=HANDBOOKS.get(text, text))
    moved = [key for key in left if key[1] == text and key[0].partition("/")[2] == _kind(context)]
    near = [key for key in left if key[0] == context]
    likeness = {key: difflib.SequenceMatcher(None, key[1], text).ratio() for key in near}
    same_cell = [key for key in near if likeness[key] > (0.6 if shared or _kind(context) else 0)]
    if not moved and not same_cell:
        return polib.POEntry(msgctxt=context, msgid=text)
    key = moved[0] if moved else max(same_cell, key=likeness.__getitem__)
    entry = left.pop(key)
    if not moved and entry.msgstr and not entry.fuzzy:
        entry.flags.append("fuzzy")
        entry.previous_msgid = entry.msgid
    entry.msgctxt, entry.msgid = context, text
    return entry


def _kind(context: str) -> str:
    return context.partition("/")[2]


def save(catalogue: polib.POFile, path: Path) -> None:
    """Write a catalogue, if it says something new."""
    text = f"{catalogue}".rstrip("\n") + "\n"
    if not path.exists() or path.read_text("utf-8") != text:
        path.write_text(text, encoding="utf-8")


def allowed(entry: polib.POEntry) -> set[str]:
    """Give the checks that a message's comment lets it pass; it must say why."""
    found = re.search(r"^ok: ([a-z, ]+?) - \S", entry.tcomment, re.M)
    return set(re.split(r",\s*", found[1])) if found else set()
