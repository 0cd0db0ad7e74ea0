"""What is costly to make of a file, kept on disk by content; errors are ignored.

A folder of which one file has changed costs one file, and work that was stopped goes on.
"""

import hashlib
import json
import os
import tempfile
from contextlib import suppress
from pathlib import Path

FORMAT = 4
"""Raised when the same files give another text, other chunks or another index."""
MOST_KEPT = 1_000_000_000
"""Bytes, about 100,000 chunks. What was not used for the longest time goes first."""


def root() -> Path:
    """The folder of everything that nbkit keeps on disk."""
    import platformdirs

    chosen = os.environ.get("NBKIT_CACHE")
    return Path(chosen).expanduser() if chosen else Path(platformdirs.user_cache_dir("nbkit"))


def key(*made_of: object) -> str:
    """A name for what is made of these; they are numbers, strings, or lists of them."""
    return hashlib.sha256(json.dumps([FORMAT, *made_of]).encode()).hexdigest()[:32]


def recall(kind: str, name: str) -> bytes | None:
    """What was kept under a name; `None` if nothing was."""
    path = root() / kind / name
    try:
        content = path.read_bytes()
    except OSError:
        return None
    with suppress(OSError):
        os.utime(path)
    return content


def keep(kind: str, name: str, content: bytes) -> None:
    """Keep this under a name, whole or not at all."""
    folder, draft = root() / kind, None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        number, draft = tempfile.mkstemp(prefix=".draft-", dir=folder)
        with os.fdopen(number, "wb") as file:
            file.write(content)
        Path(draft).replace(folder / name)
    except OSError:
        pass
    finally:
        if draft:
            Path(draft).unlink(missing_ok=True)


def trim(*kinds: str) -> None:
    """Remove the oldest of these kinds until they fit in `MOST_KEPT`."""
    with suppress(OSError):  # another kernel may be doing the same
        files = [path for kind in kinds for path in (root() / kind).glob("*")]
        sizes = {path: path.stat() for path in files}
        total = sum(found.st_size for found in sizes.values())
        for path in sorted(files, key=lambda path: sizes[path].st_mtime):
            if total <= MOST_KEPT:
                break
            total -= sizes[path].st_size
            path.unlink(missing_ok=True)
