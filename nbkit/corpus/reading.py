"""From a name or a folder to the texts in it, with one clear error for whatever cannot be read."""

import difflib
import importlib.util
import os
import re
import stat
import warnings
from collections.abc import Iterator
from contextlib import suppress
from html.parser import HTMLParser
from pathlib import Path

from nbkit.corpus.encodings import CERTAIN, decoded, without_data
from nbkit.errors import NbkitError

BUNDLED = ("en", "zh")
TEXT_TYPES = (".htm", ".html", ".markdown", ".md", ".rst", ".txt")
DOCUMENT_TYPES = (".docx", ".epub", ".pdf", ".pptx")
_PACKAGE = Path(__file__).parent.parent


class CorpusError(NbkitError):
    """A name, folder or file that cannot be made into an index."""


def bundled_data() -> Path:
    """The folder of the handbook: in the installed package, or beside it in a checkout."""
    installed = _PACKAGE / "data"
    return installed if installed.is_dir() else _PACKAGE.parent / "data"


def find_folder(name_or_folder: "str | os.PathLike[str]") -> Path:
    """The folder that is meant, relative if it was given so. Raises `CorpusError`."""
    if not isinstance(name_or_folder, str | os.PathLike):
        raise CorpusError(
            f"load_index() was given a {type(name_or_folder).__name__}",
            'give it "en", "zh" or the path of a folder.',
        )
    if isinstance(name_or_folder, str) and name_or_folder in BUNDLED:
        return bundled_data() / name_or_folder
    shown = os.fspath(name_or_folder)
    folder = Path(shown)
    with suppress(RuntimeError):  # a home folder that nobody has: reported as missing below
        folder = folder.expanduser()
    if folder.is_file():
        raise CorpusError(
            f"{_readable(shown)} is a file", "give load_index() the folder that holds it."
        )
    # Path("") is the current folder, which nobody means by an empty name.
    if folder.is_dir() and shown.strip():
        return folder
    names = list(BUNDLED)
    if folder.parent.is_dir():
        names += [found.name for found in folder.parent.iterdir() if found.is_dir()]
    near = difflib.get_close_matches(folder.name, names)
    raise CorpusError(
        f"There is no folder {shown!r}",
        'give "en" or "zh" for the bundled handbook, or the path '
        "of a folder of yours (a relative path starts where the notebook is)."
        + (f" Did you mean {' or '.join(map(repr, near))}?" if near else ""),
    )


def _walk(folder: Path) -> Iterator[str]:
    for here, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            # Word and Excel leave ~$ files beside a document that is open.
            if not name.startswith((".", "~$")):
                yield (Path(here) / name).relative_to(folder).as_posix()


def _readable(name: "str | os.PathLike[str]") -> str:
    """A file's name as people can read it: from older systems it may not be UTF-8."""
    as_bytes = os.fsencode(name)
    found = decoded(as_bytes)
    return found[0] if found else as_bytes.decode("utf-8", "replace")


def _files(folder: Path) -> dict[str, str]:
    """All files, in order: by the name to show, the name the system knows them by."""
    files: dict[str, str] = {}
    for name in sorted(_walk(folder)):
        shown = _readable(name)
        # One name may be there in two encodings.
        files[
            os.fsencode(name).decode("utf-8", "backslashreplace") if shown in files else shown
        ] = name
    return files


def read_files(folder: Path) -> dict[str, bytes]:
    """The contents, by relative posix path, of all files that can be turned into text.

    Warns about documents that need `llama-index-readers-file`, and about what is no file, such as a
    pipe. Raises `CorpusError`.
    """
    contents, failed, odd = {}, [], []
    for name, known_as in _wanted(folder).items():
        path = folder / known_as
        try:
            # Opening a pipe would wait for somebody to write into it.
            if stat.S_ISREG(path.stat().st_mode):
                contents[name] = path.read_bytes()
            else:
                odd.append(name)
        except FileNotFoundError:  # a link that leads nowhere
            odd.append(name)
        except OSError as error:
            failed.append(f"{name} ({error.strerror})")
    if odd:
        warnings.warn(f"Not read: {_some(odd)} — not a regular file.", stacklevel=3)
    if failed:
        raise CorpusError(
            f"Cannot open {_some(failed)}",
            f"allow reading, or move them out of {_readable(folder)}.",
        )
    if not contents:
        raise CorpusError(
            f"There is no regular file to read in {_readable(folder)}", "put one there."
        )
    return contents


def _wanted(folder: Path) -> dict[str, str]:
    """The files, as in `_files`, that can be turned into text here."""
    found = _files(folder)
    wanted = [name for name in found if _type(name) in TEXT_TYPES + DOCUMENT_TYPES]
    unread = [name for name in wanted if _type(name) in DOCUMENT_TYPES]
    if unread and not _has_document_readers():
        wanted = [name for name in wanted if name not in unread]
        note = f" Not read: {_some(unread)} — `pip install llama-index-readers-file` reads them."
        if wanted:
            warnings.warn(note.strip(), stacklevel=4)
    else:
        note = ""
    if not wanted:
        types = ", ".join(TEXT_TYPES)
        raise CorpusError(
            f"Nothing to read in {_readable(folder)}", f"put {types} files there.{note}"
        )
    return {name: found[name] for name in wanted}


def texts(folder: Path, files: dict[str, bytes]) -> dict[str, str]:
    """The text of each of the files, by the same names. Raises `CorpusError`.

    Pictures pasted in as letters are taken out. Warns where an encoding had to be guessed.
    """
    result, failed, guessed = {}, [], []
    for name, content in files.items():
        if _type(name) in DOCUMENT_TYPES:
            result[name] = _document_text(folder, name)
            continue
        found = decoded(content)
        if found is None:
            failed.append(name)
            continue
        text, encoding = found[0].replace("\r\n", "\n"), found[1]
        if encoding not in CERTAIN:
            guessed.append(f"{name} as {encoding}")
        result[name] = without_data(html_text(text) if _type(name).startswith(".htm") else text)
    if failed:
        raise CorpusError(
            f"No text in any encoding: {_some(failed)}",
            f"save as UTF-8, or move out of {_readable(folder)}.",
        )
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

    path = folder / _files(folder)[name]
    try:
        parts = SimpleDirectoryReader.load_file(
            path, file_metadata=lambda _: {}, file_extractor={}, raise_on_error=True
        )
    except Exception as error:  # the readers for documents raise whatever their parsers raise
        reason = error.__cause__ or error
        raise CorpusError(
            f"Cannot read {name} ({reason})", f"repair it, or move it out of {_readable(folder)}."
        ) from error
    return "\n\n".join(part.text for part in parts)


_LINE_END = "\ufdd0"
"""Stands for a line end within `<pre>`, which counts, unlike all others in HTML."""


class _HtmlText(HTMLParser):
    _silent_tags = ("script", "style", "template", "title")
    _blocks = ("article", "br", "div", "dd", "dt", "li", "p", "pre", "section", "table", "tr")

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._silent = 0
        self._code: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in self._silent_tags:
            self._silent += 1
        elif self._code is not None:
            self._new_line(tag)
        elif tag == "pre":
            self._code = []
        elif re.fullmatch("h[1-6]", tag):
            self.parts.append("\n\n" + "#" * int(tag[1]) + " ")
        elif tag in self._blocks:
            self.parts.append("\n\n")
        elif tag == "img" and (words := dict(attrs).get("alt")):
            self.parts.append(f"[image: {words}]")

    def handle_endtag(self, tag: str) -> None:
        if tag in self._silent_tags:
            self._silent = max(0, self._silent - 1)
        elif tag == "pre":
            self._end_code()
        elif self._code is not None:
            self._new_line(tag)
        elif tag in self._blocks or re.fullmatch("h[1-6]", tag):
            self.parts.append("\n\n")
        elif tag in ("td", "th"):
            self.parts.append(" ")

    def handle_data(self, data: str) -> None:
        if self._silent:
            return
        if self._code is not None:
            self._code.append(data)
        else:
            self.parts.append(re.sub(r"\s+", " ", data))

    def close(self) -> None:
        super().close()
        self._end_code()

    def _new_line(self, tag: str) -> None:
        """Blocks within code are its lines, as some highlighters write them."""
        assert self._code is not None
        begun = bool(self._code) and not self._code[-1].endswith("\n")
        if tag == "br" or (tag in self._blocks and begun):
            self._code.append("\n")

    def _end_code(self) -> None:
        """Put code between fences that are longer than any within it."""
        code, self._code = "".join(self._code or []).strip("\n"), None
        if code.strip():
            fence = max(["```", *(f"{run}`" for run in re.findall("`{3,}", code))], key=len)
            lines = f"{fence}\n{code}\n{fence}".replace("\n", _LINE_END)
            self.parts.append(f"\n\n{lines}\n\n")


def html_text(page: str) -> str:
    """The text of a page: no scripts and styles, its headings and code as in Markdown."""
    parser = _HtmlText()
    parser.feed(page)
    parser.close()
    text = re.sub(r"\s*\n\s*\n\s*", "\n\n", "".join(parser.parts)).strip()
    return text.replace(_LINE_END, "\n")
