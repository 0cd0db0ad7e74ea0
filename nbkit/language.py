"""The language of what people look at: captions, figures, tables, messages of errors.

The English text stands in the code. Its Chinese is in `locale/zh/LC_MESSAGES/nbkit.po`, which
`python -m tests.translate_library` brings up to date, and which is read as it is.
"""

import gettext
import io
import os
import re
import warnings
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from string import Formatter
from typing import Any

LANGUAGES = ("en", "zh")
_CATALOGUES = Path(__file__).parent / "locale"
_LOCALE = re.compile(r'^\s*"locale"\s*:\s*"([\w-]+)"', re.MULTILINE)


def say(text: str, /, **values: object) -> str:
    """The text in the reader's language, with each `{name}` in it replaced by its value."""
    spoken = language()
    said = _catalogue(spoken).gettext(text) if text else ""  # "" has the catalogue's header
    if not values:
        return said
    return said.format(**values) if spoken == "en" else _spaced(said, values)


def say_number(one: str, several: str, number: float) -> str:
    """One of two texts, as the number wants it, with `{number}` in it replaced."""
    return _catalogue(language()).ngettext(one, several, number).format(number=number)  # type: ignore[arg-type]


_IN_SCRIPT = re.compile(r'\b(say|plural)\(\s*"([^"]+)"')
_IN_PAGE = re.compile(r"\[\[(.+?)\]\]")


def script_words(code: str) -> dict[str, str]:
    """What JavaScript code says, by the English text; empty if that is what the reader wants.

    It says `say("...")`, as here, and `plural("chunk", count)`, as `wording.count`.
    """
    words = _catalogue(language())
    found: dict[str, str] = {}
    for call, text in _IN_SCRIPT.findall(code) if language() != "en" else ():
        if call == "say":
            found[text] = words.gettext(text)
        else:
            found |= {form: words.ngettext(*counted(text), 2) for form in counted(text)}
    return found


def page_said(html: str) -> str:
    """HTML with each `[[text]]` in it in the reader's language."""
    return _IN_PAGE.sub(lambda text: say(text[1]), html)


def counted(noun: str) -> tuple[str, str]:
    """The texts that count a noun: "{number} chunk", "{number} chunks"."""
    return f"{{number}} {noun}", f"{{number}} {noun}s"


def to_say(text: str) -> str:
    """The text as it is: marks a constant for translation, which `say` does where it is used."""
    return text


def language() -> str:
    """What `NBKIT_LANG` says, or else the language of the JupyterLab that started the kernel.

    The locale of the operating system does not count: what a notebook stores, a log or a test must
    not depend on the machine, and JupyterLab itself does not follow it either.
    """
    return _known(os.environ.get("NBKIT_LANG") or _of_jupyterlab())


class _Marking(Formatter):
    """Marks where each value begins and ends."""

    def format_field(self, value: Any, format_spec: str) -> Any:
        return f"\0{super().format_field(value, format_spec)}\0"


_HAN, _LATIN = r"[\u4e00-\u9fff]", r"[A-Za-z0-9]"
_TIGHT = re.compile(rf"(?<={_HAN})\0+(?={_LATIN})|(?<={_LATIN})\0+(?={_HAN})")
_LOOSE = re.compile(rf"(?<={_HAN}) \0+(?={_HAN})|(?<={_HAN})\0+ (?={_HAN})")


def _spaced(text: str, values: Mapping[str, object]) -> str:
    """A Chinese text with its values: a space between Chinese and Latin letters or digits."""
    marked = _Marking().vformat(text, (), values)
    return _LOOSE.sub("", _TIGHT.sub(" ", marked)).replace("\0", "")


@cache
def _known(wanted: str) -> str:
    code = re.split("[-_.]", wanted.strip().lower())[0]
    if code in LANGUAGES:
        return code
    warnings.warn(
        f"NBKIT_LANG is {wanted!r}, which nbkit does not speak — set it to one of "
        f"{', '.join(LANGUAGES)}; until then this is English.",
        stacklevel=2,
    )
    return "en"


@cache
def _of_jupyterlab() -> str:
    """The language chosen in JupyterLab's settings, if one of ours and in a kernel it started."""
    if "JPY_SESSION_NAME" not in os.environ:  # what Jupyter's server gives to its kernels
        return "en"
    try:
        from jupyter_core.paths import jupyter_config_dir

        folder = os.environ.get("JUPYTERLAB_SETTINGS_DIR")
        settings = Path(folder) if folder else Path(jupyter_config_dir(), "lab", "user-settings")
        file = settings / "@jupyterlab/translation-extension/plugin.jupyterlab-settings"
        found = _LOCALE.search(file.read_text("utf-8"))  # JSON with comments
    except (ImportError, OSError, ValueError):
        return "en"
    return "zh" if found and found[1].lower().startswith("zh") else "en"


@cache
def _catalogue(code: str) -> gettext.NullTranslations:
    if code == "en":
        return gettext.NullTranslations()
    from babel.messages.mofile import write_mo
    from babel.messages.pofile import read_po

    compiled = io.BytesIO()
    with (_CATALOGUES / code / "LC_MESSAGES" / "nbkit.po").open("rb") as written:
        write_mo(compiled, read_po(written))
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)
