"""Verdicts of exercises in another language: what a tried answer must be told there."""

import re
from pathlib import Path

import polib

import nbkit
from tests.exercises import Attempt
from tests.translation import code
from tests.translation.build import LANGUAGE, Translation
from tests.translation.catalogue import load, path_of

_LIBRARY = Path(nbkit.__file__).parent / "locale" / LANGUAGE / "LC_MESSAGES" / "nbkit.po"
_FIELD = re.compile(r"\{[^{}]*\}")
_LEAST = 8
"""So many characters of a message tell that a verdict was made from it."""


class Verdicts:
    """What a notebook's checks say, in its language."""

    def __init__(self, catalogue: polib.POFile) -> None:
        self.translation = Translation(catalogue)
        library = polib.pofile(str(_LIBRARY)) if _LIBRARY.exists() else []
        self._library = [(entry.msgid, entry.msgstr) for entry in library]

    def tried(self, answer: Attempt) -> str:
        """Give an answer's code as it is typed in this notebook: with its labels."""
        names = self.translation.names

        def say(piece: code.Piece) -> str:
            is_name = piece.kind in (code.NAME, code.KEY)
            return names.get(piece.text, piece.text) if is_name else piece.text

        return code.replaced(answer.source, say)

    def says(self, check_id: str, about: str, verdict: str) -> bool:
        """Tell whether a verdict of a check says in this language what `about` says in English.

        The check's strings and the library's messages say it; what neither does, such as the name
        of an error, is said in every language alike.
        """
        known = [*self.translation.strings(check_id), *self._library]
        ways = [said for text, said in known if made_of(text, about)]
        return any(
            all(part.strip() in verdict for part in _FIELD.split(way)) for way in ways or [about]
        )


def of_notebook(stem: str) -> Verdicts:
    """Give the verdicts of a translated notebook."""
    return Verdicts(load(path_of(stem)))


def made_of(text: str, about: str) -> bool:
    """Tell whether a message, its fields filled in, may say `about`."""
    if all(part in text for part in re.split(r"\d+(?:\.\d+)?", about)):
        return True
    marked = _FIELD.sub("\0", text)
    halves = [(about[:place], about[place:]) for place in range(len(about))]
    return any(
        (len(head) >= _LEAST and f"{head}\0" in marked)
        or (len(tail) >= _LEAST and f"\0{tail}" in marked)
        for head, tail in halves
    )
