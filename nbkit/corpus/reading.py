"""The texts of a folder, with one clear error for everything that cannot be read."""

import hashlib
import importlib.util
import json
import os
import warnings
from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from nbkit.corpus import documents, kept
from nbkit.corpus.encodings import decoded, without_data
from nbkit.errors import NbkitError
from nbkit.language import say, to_say
from nbkit.wording import some

BUNDLED = ("en", "zh")
TEXT_TYPES = (".htm", ".html", ".markdown", ".md", ".rst", ".txt")
DOCUMENT_TYPES = (".docx", ".pdf")
OTHER_TYPES = (".epub", ".pptx")
MOST_BYTES = 100_000_000
"""Of a file. More is rarely text, and would take minutes and much memory."""
MOST_LETTERS = 10_000_000
"""Of a file's text: about 3,000 pages, which take minutes to embed."""
EMPTY = to_say("empty")
TEXTS = "texts"
"""The kind under which texts are kept."""
_SHOWN = 5
BAR_AFTER = 1.0
"""Seconds."""
_PACKAGE = Path(__file__).parent.parent


class File(NamedTuple):
    """A file, and the SHA-256 of its bytes."""

    path: Path
    digest: str


class CorpusError(NbkitError):
    """A name, folder or file from which no index can be made."""


def bundled_data() -> Path:
    """The folder of the handbook: in the installed package, or next to it in a checkout."""
    installed = _PACKAGE / "data"
    return installed if installed.is_dir() else _PACKAGE.parent / "data"


def readable(path: "str | Path") -> str:
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
    named = {readable(path.relative_to(folder).as_posix()): path for path in paths}
    return dict(sorted(named.items()))


def find_files(folder: Path) -> tuple[dict[str, File], dict[str, str]]:
    """All files that can be turned into text, and why others are not read, by relative posix path.

    Warns about documents that need `llama-index-readers-file`, and about anything that is not a
    regular file, such as a pipe. Raises `CorpusError`.
    """
    files, missing, failed, odd = {}, {}, [], []
    for name, path in _wanted(folder).items():
        try:
            if not path.is_file():  # a pipe, which could block, or a broken link
                odd.append(name)
            elif (size := path.stat().st_size) > MOST_BYTES:
                missing[name] = say(
                    "huge: {size:,.0f} MB, over {most:,.0f} MB",
                    size=size / 1e6,
                    most=MOST_BYTES / 1e6,
                )
            elif not size:
                missing[name] = EMPTY
            else:
                with path.open("rb") as opened:
                    files[name] = File(path, hashlib.file_digest(opened, "sha256").hexdigest())
        except OSError as error:
            failed.append(f"{name} ({error.strerror})")
    if odd:
        warnings.warn(
            say("Not read: {odd} — not a regular file.", odd=some(odd, _SHOWN)), stacklevel=3
        )
    if failed:
        advice = say("allow reading, or move them out of {folder}.", folder=readable(folder))
        raise CorpusError(say("Cannot open {failed}", failed=some(failed, _SHOWN)), advice)
    return files, missing


def tell_missing(missing: dict[str, str]) -> None:
    """Warn of what was not read, a line each."""
    if missing:
        lines = [
            say("  {name} — {reason}.", name=name, reason=say(reason))
            for name, reason in sorted(missing.items())
        ]
        warnings.warn("\n".join([say("Not read:"), *lines]), stacklevel=3)


def nothing_read(folder: Path, missing: dict[str, str]) -> CorpusError:
    """The error for files of which none has text."""
    listed = some([f"{name} ({say(reason)})" for name, reason in sorted(missing.items())], _SHOWN)
    return CorpusError(
        say("The files in {folder} hold no text: {listed}", folder=readable(folder), listed=listed),
        say("add some."),
    )


def _wanted(folder: Path) -> dict[str, Path]:
    """The files, as in `_paths`, that can be turned into text here."""
    types = (*TEXT_TYPES, *DOCUMENT_TYPES, *OTHER_TYPES)
    wanted = {name: path for name, path in _paths(folder).items() if _type(name) in types}
    others = [name for name in wanted if _type(name) in OTHER_TYPES]
    note = ""
    if others and not _has_other_readers():
        wanted = {name: path for name, path in wanted.items() if name not in others}
        note = say(
            "Not read: {others} — `pip install llama-index-readers-file` reads them.",
            others=some(others, _SHOWN),
        )
    if not wanted:
        advice = say(
            "put {names} files there. {note}",
            names=", ".join((*TEXT_TYPES, *DOCUMENT_TYPES)),
            note=note,
        )
        raise CorpusError(
            say("Nothing to read in {folder}", folder=readable(folder)), advice.strip()
        )
    if note:
        warnings.warn(note, stacklevel=4)
    return wanted


class FileText(NamedTuple):
    """What was read of a file."""

    pages: list[str]
    """One for a PDF's page, else one for all."""
    missing: str | None = None
    """What could not be read of it, and why."""
    guessed: str | None = None
    """The encoding, if it had to be guessed."""


def texts(folder: Path, files: dict[str, File]) -> dict[str, FileText]:
    """The text of each file, by the same names. Raises `CorpusError`.

    Embedded pictures are removed. Warns if an encoding had to be guessed.
    """
    result, failed, total = {}, [], len(files)
    # A bar of text: a widget would leave an empty place in a saved notebook.
    with tqdm(
        total=total, desc=say("Reading"), unit=say("file"), delay=BAR_AFTER, miniters=0
    ) as bar:
        for name, file in files.items():
            bar.set_postfix_str(name, refresh=False)
            try:
                result[name] = _kept_text(name, file, lambda: bar.update(0))
            except UnicodeError:
                failed.append(name)
            bar.update()
    if failed:
        advice = say("save as UTF-8, or move out of {folder}.", folder=readable(folder))
        raise CorpusError(
            say("No text in any encoding: {failed}", failed=some(failed, _SHOWN)), advice
        )
    if guessed := [
        say("{name} as {encoding}", name=name, encoding=text.guessed)
        for name, text in result.items()
        if text.guessed
    ]:
        warnings.warn(
            say(
                "Not UTF-8, so read {guessed} — if that is wrong, save as UTF-8.",
                guessed=some(guessed, _SHOWN),
            ),
            stacklevel=4,
        )
    return result


def _kept_text(name: str, file: File, turn: Callable[[], object]) -> FileText:
    known = kept.key("text", _type(name), readers(), file.digest)
    try:
        return FileText(**json.loads(kept.recall(TEXTS, known) or b""))
    except (ValueError, TypeError):  # nothing was kept, or it is damaged
        pass
    content = file.path.read_bytes()
    text = _text(name, file.path, content, turn)
    if hashlib.sha256(content).hexdigest() == file.digest:  # else it was saved in between
        kept.keep(TEXTS, known, json.dumps(text._asdict()).encode())
    return text


def _text(name: str, path: Path, content: bytes, turn: Callable[[], object]) -> FileText:
    kind = _type(name)
    guessed = missing = None
    try:
        if kind == ".pdf":
            pages, missing = documents.pdf_pages(content, turn)
        elif kind == ".docx":
            pages = [documents.word_text(content)]
        elif kind in OTHER_TYPES:
            pages = [_other_text(name, path)]
        else:
            text, guessed = _decoded(content)
            if kind.startswith(".htm"):
                from nbkit.corpus.html import html_text

                text = html_text(text)
            pages = [text]
    except documents.Unreadable as error:
        return FileText([], str(error))
    pages = [without_data(page) for page in pages]
    letters = sum(map(len, pages))
    if letters > MOST_LETTERS:
        return FileText(
            [],
            say(
                "huge: {letters:,} characters, over {most_letters:,}",
                letters=letters,
                most_letters=MOST_LETTERS,
            ),
        )
    return FileText(pages, missing, guessed) if "".join(pages).strip() else FileText([], EMPTY)


def _decoded(content: bytes) -> tuple[str, str | None]:
    """As `decoded`; raises `UnicodeError` where that gives `None`."""
    found = decoded(content)
    if found is None:
        raise UnicodeError
    return found[0].replace("\r\n", "\n"), found[1]


@cache
def readers() -> list[str]:
    """The versions of what reads documents: a new one may read more."""
    return [version("pypdf"), version("mammoth")]


def _type(name: str) -> str:
    return Path(name).suffix.lower()


def _has_other_readers() -> bool:
    try:
        return importlib.util.find_spec("llama_index.readers.file") is not None
    except ModuleNotFoundError:
        return False


def _other_text(name: str, path: Path) -> str:
    from llama_index.core import SimpleDirectoryReader

    try:
        parts = SimpleDirectoryReader.load_file(path, lambda _: {}, {}, raise_on_error=True)
    except Exception as error:  # the document readers raise the errors of their parsers
        reason = error.__cause__ or error
        raise CorpusError(
            say("Cannot read {name} ({reason})", name=name, reason=reason),
            say("repair it, or move it out."),
        ) from error
    return "\n\n".join(part.text for part in parts)
