"""File names as users write them, and files that are whole or not there."""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from nbkit.errors import NbkitError
from nbkit.language import say
from nbkit.wording import whole_characters


def file_path(written: str | os.PathLike[str], raising: type[NbkitError]) -> Path:
    """The path of a file; `~` is the home folder.

    Raises an error of type `raising` for an empty name, a folder, or another kind of object.
    """
    try:
        path = Path(written).expanduser()
    except (TypeError, RuntimeError) as error:
        raise raising(
            say("{written!r} is not a file name ({error})", written=written, error=error),
            say("write a path."),
        ) from None
    if not str(written).strip() or not path.name or path.is_dir():
        raise raising(
            say("{written!r} does not name a file", written=str(written)),
            say('give a name such as "run.jsonl".'),
        )
    return path


def write_text(path: Path, parts: Iterable[str], raising: type[NbkitError]) -> Path:
    """Write a file: first a temporary one in the same folder, which is then renamed.

    Folders are made; raises an error of type `raising` if it cannot be written.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("w", encoding="utf-8") as file:
            for part in parts:
                file.write(whole_characters(part))
        draft.replace(path)
    except OSError as error:
        raise raising(
            say("{path} could not be written ({error})", path=path, error=error.strerror or error),
            say("free space or give another name."),
        ) from error
    finally:
        with suppress(OSError):
            draft.unlink()
    return path
