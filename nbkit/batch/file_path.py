"""Names of files as people write them."""

import os
from pathlib import Path

from nbkit.errors import NbkitError


def file_path(written: str | os.PathLike[str], raising: type[NbkitError]) -> Path:
    """The path of a file that is meant, `~` being the home folder.

    Raises an error of the kind `raising` for an empty name, a folder, or something that is no name.
    """
    try:
        path = Path(written).expanduser()
    except (TypeError, RuntimeError) as error:
        raise raising(f"{written!r} is no file name ({error})", "write a path.") from None
    if not str(written).strip() or not path.name or path.is_dir():
        raise raising(f"{str(written)!r} names no file", 'give a name such as "run.jsonl".')
    return path
