"""From a name or a folder to the texts in it, with one clear error for whatever cannot be read."""

import difflib
import importlib.util
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import suppress
from html.parser import HTMLParser
from pathlib import Path

from nbkit.errors import NbkitError

BUNDLED = ("en", "zh")
TEXT_TYPES = (".htm", ".html", ".markdown", ".md", ".rst", ".txt")
DOCUMENT_TYPES = (".docx", ".epub", ".pdf", ".pptx")
_PACKAGE = Path(__file__).parent.parent


class CorpusError(NbkitError):
    """A name, folder or file that cannot be made into an index."""


def bundled_data() -> Path:
    """Get the folder of the handbook: in the installed package, or beside it in a checkout."""
    installed = _PACKAGE / "data"
    return installed if installed.is_dir() else _PACKAGE.parent / "data"


def find_folder(name_or_folder: "str | os.PathLike[str]") -> Path:
    """Get the folder that is meant, relative if it was given so. Raises `CorpusError`."""
    if not isinstance(name_or_folder, str | os.PathLike):
        raise CorpusError(
            f"load_index() was given a {type(name_or_folder).__name__} — "
            'give it "en", "zh" or the path of a folder.'
        )
    if isinstance(name_or_folder, str) and name_or_folder in BUNDLED:
        return bundled_data() / name_or_folder
    shown = os.fspath(name_or_folder)
    folder = Path(shown)
    with suppress(RuntimeError):  # a home folder that nobody has: reported as missing below
        folder = folder.expanduser()
    if folder.is_file():
        raise CorpusError(f"{shown} is a file — give load_index() the folder that holds it.")
    # Path("") is the current folder, which nobody means by an empty name.
    if folder.is_dir() and shown.strip():
        return folder
    names = list(BUNDLED)
    if folder.parent.is_dir():
        names += [found.name for found in folder.parent.iterdir() if found.is_dir()]
    near = difflib.get_close_matches(folder.name, names)
    raise CorpusError(
        f'There is no folder {shown!r} — give "en" or "zh" for the bundled handbook, or the path '
        "of a folder of yours (a relative path starts where the notebook is)."
        + (f" Did you mean {' or '.join(map(repr, near))}?" if near else "")
    )


def _walk(folder: Path) -> Iterator[str]:
    for here, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            # Word and Excel leave ~$ files beside a document that is open.
            if not name.startswith((".", "~$")):
                yield (Path(here) / name).relative_to(folder).as_posix()


def read_files(folder: Path) -> dict[str, bytes]:
    """Get the contents, by relative posix path, of all files that can be turned into text.

    Warns about documents that need `llama-index-readers-file`. Raises `CorpusError`.
    """
    found = sorted(_walk(folder))
    wanted = [name for name in found if _type(name) in TEXT_TYPES + DOCUMENT_TYPES]
    unread = [name for name in wanted if _type(name) in DOCUMENT_TYPES]
    if unread and not _has_document_readers():
        wanted = [name for name in wanted if name not in unread]
        note = f"Not read: {_some(unread)} — `pip install llama-index-readers-file` reads them."
        if wanted:
            warnings.warn(note, stacklevel=3)
    else:
        note = ""
    if not wanted:
        types = ", ".join(TEXT_TYPES)
        raise CorpusError(f"Nothing to read in {folder} — put {types} files there. {note}".strip())
    contents, failed = {}, []
    for name in wanted:
        try:
            contents[name] = (folder / name).read_bytes()
        except OSError as error:
            failed.append(f"{name} ({error.strerror})")
    if failed:
        raise CorpusError(
            f"Cannot open {_some(failed)} — allow reading, or move them out of {folder}."
        )
    return contents


def texts(folder: Path, files: dict[str, bytes]) -> dict[str, str]:
    """Get the text of each of the files, by the same names. Raises `CorpusError`."""
    result, failed = {}, []
    for name, content in files.items():
        if _type(name) in DOCUMENT_TYPES:
            result[name] = _document_text(folder, name)
            continue
        utf16 = content.startswith((b"\xff\xfe", b"\xfe\xff"))
        try:
            text = content.decode("utf-16" if utf16 else "utf-8-sig")
        except UnicodeDecodeError:
            failed.append(name)
            continue
        text = text.replace("\r\n", "\n")
        result[name] = html_text(text) if _type(name).startswith(".htm") else text
    if failed:
        # A guessed encoding would put nonsense into answers, where it is harder to explain.
        raise CorpusError(
            f"Not UTF-8 text: {_some(failed)} — save as UTF-8, or move out of {folder}."
        )
    if not any(text.strip() for text in result.values()):
        raise CorpusError(f"The files in {folder} hold no text: {_some(list(result))} — add some.")
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
        parts = SimpleDirectoryReader.load_file(
            folder / name, file_metadata=lambda _: {}, file_extractor={}, raise_on_error=True
        )
    except Exception as error:  # the readers for documents raise whatever their parsers raise
        reason = error.__cause__ or error
        raise CorpusError(
            f"Cannot read {name} ({reason}) — repair it, or move it out of {folder}."
        ) from error
    return "\n\n".join(part.text for part in parts)


class _HtmlText(HTMLParser):
    _silent_tags = ("script", "style", "template", "title")
    _blocks = ("article", "br", "div", "dd", "dt", "li", "p", "pre", "section", "table", "tr")

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in self._silent_tags:
            self._silent += 1
        elif re.fullmatch("h[1-6]", tag):
            self.parts.append("\n\n" + "#" * int(tag[1]) + " ")
        elif tag in self._blocks:
            self.parts.append("\n\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in self._silent_tags:
            self._silent = max(0, self._silent - 1)
        elif tag in self._blocks or re.fullmatch("h[1-6]", tag):
            self.parts.append("\n\n")
        elif tag in ("td", "th"):
            self.parts.append(" ")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.parts.append(re.sub(r"\s+", " ", data))


def html_text(page: str) -> str:
    """Get the text of a page: no scripts and styles, its headings as in Markdown."""
    parser = _HtmlText()
    parser.feed(page)
    parser.close()
    return re.sub(r"\s*\n\s*\n\s*", "\n\n", "".join(parser.parts)).strip()
