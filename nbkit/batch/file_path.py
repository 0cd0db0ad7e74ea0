"""Names of files as people write them."""

import os
from pathlib import Path

from nbkit.errors import NbkitError


def file_path(written: str | os.PathLike[str], raising: type[NbkitError]) -> Path:
    """The path of a file that is meant, `~` being the home folder.

    Raises an error of the kind `raising` where no file is named: an empty name, a folder, the home
    folder of nobody, or something that is no name.
    """
    if not isinstance(written, str | os.PathLike):
        raise raising(
            f"Got {type(written).__name__} where a file name was expected",
            'give one, such as "run.jsonl".',
        )
    text = os.fspath(written)
    if not text.strip():
        raise raising("An empty name is no file", 'give one, such as "run.jsonl".')
    try:
        path = Path(text).expanduser()
    except RuntimeError:
        raise raising(f"Nobody has the home folder of {text!r}", "write the whole path.") from None
    if not path.name or path.is_dir():
        raise raising(f"{text!r} is a folder", "give the name of a file in it.")
    return path
