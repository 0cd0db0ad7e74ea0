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


class Verdicts:
    """What a notebook's checks say, in its language."""

    def __init__(self, stem: str) -> None:
        self._translation = Translation(load(path_of(stem)))
        self._library = list(polib.pofile(str(_LIBRARY))) if _LIBRARY.exists() else []

    def tried(self, answer: Attempt) -> str:
        """Give an answer's code as it is typed in this notebook: with its labels."""
        names = self._translation.names
        return code.replaced(
            answer.source,
            lambda piece: (
                names.get(piece.text, piece.text)
                if piece.kind in (code.NAME, code.KEY)
                else piece.text
            ),
        )

    def say(self, check_id: str, about: str, verdict: str) -> bool:
        """Tell whether a verdict says in this language what `about` says in English."""
        ways = [said for _, said in self._translation.hints(check_id, about)]
        # A number in what is said stands for a field of the library's message.
        fixed = re.split(r"\d+", about)
        ways += [
            entry.msgstr for entry in self._library if all(part in entry.msgid for part in fixed)
        ]
        return any(
            all(part.strip() in verdict for part in _FIELD.split(way)) for way in ways or [about]
        )
