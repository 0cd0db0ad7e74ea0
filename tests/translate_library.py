"""Bring the Chinese catalogue of the library up to date: `python -m tests.translate_library`.

A message is a text that the code marks: `say("...")`, `to_say("...")`, `count(n, "noun")`; in
JavaScript `say("...")`, `plural("noun", n)`; in HTML `[[...]]`. New ones come without a
translation, those that nobody says any more go.
"""

import ast
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po, write_po

from nbkit import language

ROOT = Path(__file__).parent.parent
CATALOGUE = ROOT / "nbkit" / "locale" / "zh" / "LC_MESSAGES" / "nbkit.po"


_HEADER = """# The Chinese of nbkit. To bring it up to date: python -m tests.translate_library
msgid ""
msgstr ""
"Language: zh_CN\\n"
"Plural-Forms: nplurals=1; plural=0;\\n"
"Content-Type: text/plain; charset=UTF-8\\n"
"Content-Transfer-Encoding: 8bit\\n"
"""


class Marked(NamedTuple):
    """A text of the code that is to be translated."""

    text: str | tuple[str, str]
    """Singular and plural of what counts."""
    place: str
    """The file it is in."""


def marked_texts() -> list[Marked]:
    """Every marked text of the library, in the order of the files."""
    found: list[Marked] = []
    for path in sorted((ROOT / "nbkit").rglob("*")):
        readers = {".py": _in_python, ".js": _in_script, ".html": _in_page}
        if path.suffix in readers and path.name != "language.py":
            name = path.relative_to(ROOT).as_posix()
            found += [Marked(text, name) for text in readers[path.suffix](path.read_text("utf-8"))]
    return found


def _in_python(code: str) -> Iterator[str | tuple[str, str]]:
    for node in ast.walk(ast.parse(code)):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        texts = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
        texts = [text for text in texts if isinstance(text, str)]
        if name in ("say", "to_say") and texts:
            yield texts[0]
        elif name == "count" and len(node.args) == 2 and texts:
            yield language.counted(texts[0])


def _in_script(code: str) -> Iterator[str | tuple[str, str]]:
    for found in re.finditer(r'\b(say|plural)\(\s*"([^"]+)"', code):
        yield found[2] if found[1] == "say" else language.counted(found[2])


def _in_page(html: str) -> Iterator[str | tuple[str, str]]:
    for found in re.finditer(r"\[\[(.+?)\]\]", html):
        yield found[1]


def catalogue() -> Catalog:
    """The catalogue as it is in the file."""
    with CATALOGUE.open("rb") as written:
        return read_po(written, locale="zh_CN")


def updated(old: Catalog) -> Catalog:
    """The catalogue with all texts that are marked now, and no others."""
    new = Catalog("zh_CN", fuzzy=False)
    for text, place in marked_texts():
        known = old.get(text if isinstance(text, str) else text[0])
        translation = known.string if known and known.id == text else ""
        if isinstance(text, tuple) and isinstance(translation, str):
            translation = (translation,)
        new.add(text, translation, locations=[(place, 0)])
    return new


def write(new: Catalog) -> None:
    """Write the file; of its header only what readers of the format need, so no dates."""
    written = io.BytesIO()
    write_po(written, new, width=100, include_lineno=False, sort_by_file=True)
    _, _, messages = written.getvalue().decode().partition("\n\n")
    CATALOGUE.write_text(f"{_HEADER}\n{messages}", "utf-8")


def untranslated(catalog: Catalog) -> list[str]:
    """The texts without a translation."""
    whole = {message.id: message.string for message in catalog if message.id}
    return [
        str(text)
        for text, said in whole.items()
        if not all([said] if isinstance(said, str) else said)
    ]


def main() -> None:
    """Bring the file up to date, and say what has no translation yet."""
    new = updated(catalogue())
    write(new)
    missing = untranslated(new)
    print(f"{len(new)} messages in {CATALOGUE.relative_to(ROOT)}, {len(missing)} to be translated")
    print("".join(f"  {text}\n" for text in missing), end="")


if __name__ == "__main__":
    main()
