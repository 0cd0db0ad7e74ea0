"""The texts of a folder, with one clear error for everything that cannot be read."""

import difflib
import importlib.util
import os
import warnings
from contextlib import suppress
from pathlib import Path

from nbkit.corpus.encodings import decoded, without_data
from nbkit.errors import NbkitError

BUNDLED = ("en", "zh")
TEXT_TYPES = (".htm", ".html", ".markdown", ".md", ".rst", ".txt")
DOCUMENT_TYPES = (".docx", ".epub", ".pdf", ".pptx")
_PACKAGE = Path(__file__).parent.parent


class CorpusError(NbkitError):
    """A name, folder or file from which no index can be made."""


def bundled_data() -> Path:
    """The folder of the handbook: in the installed package, or next to it in a checkout."""
    installed = _PACKAGE / "data"
    return installed if installed.is_dir() else _PACKAGE.parent / "data"


def find_folder(name_or_folder: "str | os.PathLike[str]") -> Path:
    """The folder for a name or path, relative if the path is. Raises `CorpusError`."""
    if not isinstance(name_or_folder, str | os.PathLike):
        raise CorpusError(
            f"load_index() was given a {type(name_or_folder).__name__}",
            'give it "en", "zh" or the path of a folder.',
        )
    if name_or_folder in BUNDLED:
        return bundled_data() / name_or_folder
    shown = os.fspath(name_or_folder)
    folder = Path(shown)
    with suppress(RuntimeError):  # an unknown user's home folder: reported as missing below
        folder = folder.expanduser()
    if folder.is_file():
        raise CorpusError(
            f"{_readable(folder)} is a file", "give load_index() the folder that holds it."
        )
    # Path("") is the current folder, but an empty name is a mistake.
    if folder.is_dir() and shown.strip():
        return folder
    around = folder.parent.iterdir() if folder.parent.is_dir() else ()
    names = [*BUNDLED, *(found.name for found in around if found.is_dir())]
    near = difflib.get_close_matches(folder.name, names)
    raise CorpusError(
        f"There is no folder {shown!r}",
        'give "en" or "zh" for the bundled handbook, or the path '
        "of a folder of yours (a relative path starts where the notebook is)."
        + (f" Did you mean {' or '.join(map(repr, near))}?" if near else ""),
    )


def _readable(path: "str | Path") -> str:
    """A path as readable text: on older systems its bytes may not be UTF-8."""
    as_bytes = os.fsencode(path)
    found = decoded(as_bytes)
    return found[0] if found else as_bytes.decode("utf-8", "replace")


def _paths(folder: Path) -> dict[str, Path]:
    """The path of each file that is not hidden, by the name to show."""
    paths = []
    for here, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        # Word and Excel create ~$ files next to an open document.
        paths += [Path(here, name) for name in names if not name.startswith((".", "~$"))]
    named = {_readable(path.relative_to(folder).as_posix()): path for path in paths}
    return dict(sorted(named.items()))


def read_files(folder: Path) -> dict[str, bytes]:
    """The bytes, by relative posix path, of all files that can be turned into text.

    Warns about documents that need `llama-index-readers-file`, and about anything that is not a
    regular file, such as a pipe. Raises `CorpusError`.
    """
    contents, failed, odd = {}, [], []
    for name, path in _wanted(folder).items():
        try:
            if path.is_file():
                contents[name] = path.read_bytes()
            else:  # a pipe, which could block, or a broken link
                odd.append(name)
        except OSError as error:
            failed.append(f"{name} ({error.strerror})")
    if odd:
        warnings.warn(f"Not read: {_some(odd)} — not a regular file.", stacklevel=3)
    if failed:
        advice = f"allow reading, or move them out of {_readable(folder)}."
        raise CorpusError(f"Cannot open {_some(failed)}", advice)
    return contents


def _wanted(folder: Path) -> dict[str, Path]:
    """The files, as in `_paths`, that can be turned into text here."""
    types = (*TEXT_TYPES, *DOCUMENT_TYPES)
    wanted = {name: path for name, path in _paths(folder).items() if _type(name) in types}
    documents = [name for name in wanted if _type(name) in DOCUMENT_TYPES]
    note = ""
    if documents and not _has_document_readers():
        wanted = {name: path for name, path in wanted.items() if name not in documents}
        note = f"Not read: {_some(documents)} — `pip install llama-index-readers-file` reads them."
    if not wanted:
        advice = f"put {', '.join(TEXT_TYPES)} files there. {note}"
        raise CorpusError(f"Nothing to read in {_readable(folder)}", advice.strip())
    if note:
        warnings.warn(note, stacklevel=4)
    return wanted


def texts(folder: Path, files: dict[str, bytes]) -> dict[str, str]:
    """The text of each file, by the same names. Raises `CorpusError`.

    Embedded pictures are removed. Warns if an encoding had to be guessed.
    """
    result, failed, guessed = {}, [], []
    for name, content in files.items():
        if _type(name) in DOCUMENT_TYPES:
            result[name] = _document_text(folder, name)
        elif found := decoded(content):
            text, guess = found[0].replace("\r\n", "\n"), found[1]
            if guess:
                guessed.append(f"{name} as {guess}")
            if _type(name).startswith(".htm"):
                from nbkit.corpus.html import html_text

                text = html_text(text)
            result[name] = without_data(text)
        else:
            failed.append(name)
    if failed:
        advice = f"save as UTF-8, or move out of {_readable(folder)}."
        raise CorpusError(f"No text in any encoding: {_some(failed)}", advice)
    if guessed:
        warnings.warn(
            f"Not UTF-8, so read {_some(guessed)} — if that is wrong, save as UTF-8.", stacklevel=4
        )
    if not any(text.strip() for text in result.values()):
        raise CorpusError(
            f"The files in {_readable(folder)} hold no text: {_some(list(result))}", "add some."
        )
    return result


def _type(name: str) -> str:
    return Path(name).suffix.lower()


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _has_document_readers() -> bool:
    try:
        return importlib.util.find_spec("llama_index.readers.file") is not None
    except ModuleNotFoundError:
        return False


def _document_text(folder: Path, name: str) -> str:
    from llama_index.core import SimpleDirectoryReader

    try:
        path = _paths(folder)[name]
        parts = SimpleDirectoryReader.load_file(path, lambda _: {}, {}, raise_on_error=True)
    except Exception as error:  # the document readers raise the errors of their parsers
        reason = error.__cause__ or error
        raise CorpusError(
            f"Cannot read {name} ({reason})", f"repair it, or move it out of {_readable(folder)}."
        ) from error
    return "\n\n".join(part.text for part in parts)
