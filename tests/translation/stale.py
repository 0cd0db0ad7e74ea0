"""What is stale or wrong in a notebook's translation, by notebook and message."""

from collections.abc import Iterable, Iterator

import polib
from nbformat import NotebookNode

from tests.execute_notebooks import FOLDER, code_hash, read
from tests.translation import checks, code
from tests.translation.build import Translation, build, place_of
from tests.translation.catalogue import NAMES, Message, allowed, load, messages, path_of


def problems(stem: str) -> list[str]:
    """List everything that is stale or wrong in one notebook's translation; quick, no kernel."""
    english, catalogue = read(FOLDER / f"{stem}.ipynb"), load(path_of(stem))
    found = [*of_messages(messages(english), catalogue), *_of_code(english, catalogue)]
    if not found:
        found += _of_notebook(build(english, catalogue), stem)
    return [f"{stem} {problem}" for problem in found]


def of_messages(wanted: Iterable[Message], catalogue: polib.POFile) -> Iterator[str]:
    """Tell which messages are missing, changed, left over or wrong."""
    wanted = set(wanted)
    entries = {(entry.msgctxt, entry.msgid): entry for entry in catalogue if not entry.obsolete}
    for context, text in sorted(wanted - set(entries)):
        yield f"{context}: not in the catalogue yet (make zh): {_begins(text)}"
    names = Translation(catalogue).names
    for entry in catalogue:
        where = entry.msgctxt
        if entry.obsolete or (where, entry.msgid) not in wanted:
            yield f"{where}: left over, to be deleted: {_begins(entry.msgid)}"
        elif not entry.msgstr:
            yield f"{where}: missing: {_begins(entry.msgid)}"
        elif entry.fuzzy:
            yield f"{where}: the English has changed: {_begins(entry.msgid)}"
        else:
            for check, what in of_entry(entry, names):
                if check not in allowed(entry):
                    yield f"{where}: {check}: {what}"


def of_entry(entry: polib.POEntry, names: dict[str, str]) -> Iterator[checks.Problem]:
    """Find what is wrong with one translation."""
    if entry.msgctxt == NAMES:
        return iter(())
    if "/" in entry.msgctxt:
        return checks.of_code(entry.msgid, entry.msgstr)
    return checks.of_markdown(entry.msgid, entry.msgstr, names)


def _of_code(english: NotebookNode, catalogue: polib.POFile) -> Iterator[str]:
    translation = Translation(catalogue)
    for cell in english.cells:
        if cell.cell_type != "code":
            continue
        try:
            if not code.same(
                cell.source, translation.code(cell.id, cell.source), translation.names
            ):
                yield f"{cell.id}: the code isn't the same: compare the fields in braces, and names"
        except code.UnreadableCode as error:
            yield f"{cell.id}: the translated code can't be read: {error}"


def _of_notebook(built: NotebookNode, stem: str) -> Iterator[str]:
    """Compare the stored notebook with what the catalogue builds."""
    path = place_of(stem)
    if not path.exists():
        yield "isn't built: make zh"
        return
    stored = read(path)
    if [cell.id for cell in stored.cells] != [cell.id for cell in built.cells]:
        yield "has other cells than the English one: make zh"
        return
    for cell, wanted in zip(stored.cells, built.cells, strict=True):
        if cell.source != wanted.source or cell.metadata != wanted.metadata:
            yield f"{cell.id}: isn't what the catalogue says: make zh"
    if stored.metadata["nbkit"].get("code_hash") != code_hash(built):
        yield "its outputs aren't those of its code: make zh"


def _begins(text: str) -> str:
    return repr(text if len(text) < 50 else text[:48] + "…")
