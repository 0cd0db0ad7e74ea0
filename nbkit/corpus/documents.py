"""The text of PDF and Word files, page by page, or why there is none."""

import io
import logging
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from nbkit.language import say, to_say
from nbkit.wording import listed, whole_characters

MOST_XML = 100_000_000
"""Bytes of XML in a Word file. It is packed, so that a small file can hold any amount."""

_OLD_WORD = b"\xd0\xcf\x11\xe0"
"""The first bytes of a .doc, and of a .docx with a password."""
_WORD_TITLE = "p[style-name='Title'] => h1:fresh"

_ONE_READER = threading.Lock()


class Unreadable(Exception):
    """A file without text that could be read; the message is the reason."""


def pdf_pages(content: bytes, turn: Callable[[], object]) -> tuple[list[str], str | None]:
    """The text of each page of a PDF, blank where there is none, and which could not be read.

    Calls `turn` after each. Raises `Unreadable`.
    """
    import pypdf

    pages: list[str] = []
    failed, reason, missing = [], "", None
    with _quiet("pypdf"):
        try:
            reader = pypdf.PdfReader(io.BytesIO(content))
            # Many files have an empty password: they can be read, but not printed or changed.
            if reader.is_encrypted and not reader.decrypt(""):
                raise Unreadable(to_say("encrypted: save a copy without the password"))
            for number, page in enumerate(reader.pages, 1):
                try:
                    pages.append(_clean(page.extract_text()))
                except Exception as error:  # noqa: BLE001 - the others may be readable
                    pages.append("")
                    failed.append(str(number))
                    reason = _first_line(error)
                turn()
        except Unreadable:
            raise
        except Exception as error:  # a parser's errors are of any kind
            raise Unreadable(say("damaged ({reason})", reason=_first_line(error))) from error
    if failed:
        numbers = listed(failed)
        pages_told = say("page {page}", page=numbers)
        if len(failed) > 1:
            pages_told = say("pages {page}", page=numbers)
        missing = say("{pages}: damaged ({reason})", pages=pages_told, reason=reason)
    if not any(pages):
        raise Unreadable(missing or to_say("no text, only pictures: scanned? Use OCR first"))
    return pages, missing


def word_text(content: bytes) -> str:
    """The text of a .docx, with headings as in Markdown. Raises `Unreadable`."""
    import mammoth

    from nbkit.corpus.html import html_text

    if content.startswith(_OLD_WORD):
        raise Unreadable(to_say("encrypted, or an old .doc: save as .docx without a password"))
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            xml = sum(part.file_size for part in packed.infolist() if "media/" not in part.filename)
        if xml > MOST_XML:
            raise Unreadable(
                say(
                    "huge: unpacks to {size:,.0f} MB, over {most:,.0f} MB",
                    size=xml / 1e6,
                    most=MOST_XML / 1e6,
                )
            )
        pictures = mammoth.images.img_element(lambda _: {"src": ""})
        page = mammoth.convert_to_html(
            io.BytesIO(content), convert_image=pictures, style_map=_WORD_TITLE
        )
    except Unreadable:
        raise
    except Exception as error:  # a parser's errors are of any kind
        raise Unreadable(say("damaged ({reason})", reason=_first_line(error))) from error
    return html_text(_clean(page.value))


def _clean(text: str) -> str:
    return whole_characters(text).replace("\0", "").strip()


def _first_line(error: Exception) -> str:
    lines = whole_characters(str(error)).strip().splitlines()
    return lines[0][:100] if lines else type(error).__name__


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Keep back a library's log, which tells of each small fault in a file."""
    logger = logging.getLogger(name)
    with _ONE_READER:  # of two threads, one would set back what the other has set
        level = logger.level
        logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            logger.setLevel(level)
