"""The folder that a name or a path means."""

import difflib
import os
from contextlib import suppress
from pathlib import Path

from nbkit.corpus.reading import BUNDLED, CorpusError, bundled_data, readable
from nbkit.language import say


def find_folder(name_or_folder: "str | os.PathLike[str]") -> Path:
    """The folder for a name or path, relative if the path is. Raises `CorpusError`."""
    if not isinstance(name_or_folder, str | os.PathLike):
        raise CorpusError(
            say("load_index() was given a {kind}", kind=type(name_or_folder).__name__),
            say('give it "en", "zh" or the path of a folder.'),
        )
    if name_or_folder in BUNDLED:
        return bundled_data() / name_or_folder
    shown = os.fspath(name_or_folder)
    folder = Path(shown)
    with suppress(RuntimeError):  # an unknown user's home folder: reported as missing below
        folder = folder.expanduser()
    if folder.is_file():
        raise CorpusError(
            say("{folder} is a file", folder=readable(folder)),
            say("give load_index() the folder that holds it."),
        )
    # Path("") is the current folder, but an empty name is a mistake.
    if folder.is_dir() and shown.strip():
        return folder
    around = folder.parent.iterdir() if folder.parent.is_dir() else ()
    names = [*BUNDLED, *(found.name for found in around if found.is_dir())]
    near = difflib.get_close_matches(folder.name, names)
    advice = say(
        'give "en" or "zh" for the bundled handbook, or the path of a folder of yours (a relative '
        "path starts where the notebook is)."
    )
    if near:
        advice += say(" Did you mean {names}?", names=say(" or ").join(map(repr, near)))
    raise CorpusError(say("There is no folder {shown!r}", shown=shown), advice)
