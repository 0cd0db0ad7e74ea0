"""File names as users write them."""

import os
from pathlib import Path

from nbkit.errors import NbkitError


def file_path(written: str | os.PathLike[str], raising: type[NbkitError]) -> Path:
    """The path of a file; `~` is the home folder.

    Raises an error of type `raising` for an empty name, a folder, or another kind of object.
    """
    try:
        path = Path(written).expanduser()
    except (TypeError, RuntimeError) as error:
        raise raising(f"{written!r} is not a file name ({error})", "write a path.") from None
    if not str(written).strip() or not path.name or path.is_dir():
        raise raising(f"{str(written)!r} does not name a file", 'give a name such as "run.jsonl".')
    return path
