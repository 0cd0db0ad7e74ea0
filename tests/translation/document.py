"""README and the teacher's guide, which are translated as notebooks are: block by block.

A block is a heading, a paragraph, a list, a row of a table or a piece of code with comments. Its
message has the heading it stands under as context.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import polib

from tests.execute_notebooks import FOLDER
from tests.translation import catalogue, stale
from tests.translation.build import LANGUAGE, LINK, NOTICE, Translation, place_of

DOCUMENTS = {"README": FOLDER.parent / "README.md", "guide": FOLDER / "README.md"}
_BLOCK = re.compile(r"^```.*?^```$|^[^\n]+(?:\n(?!```)[^\n]+)*", re.M | re.S)
_HEADING = re.compile(r"#+ (.+)")


def place_of_document(name: str) -> Path:
    """Give the place of a translated document: beside the English one."""
    return DOCUMENTS[name].with_suffix(f".{LANGUAGE}.md")


def messages(text: str) -> list[catalogue.Message]:
    """List what a document says, in its order."""
    found = {
        (section, part): None
        for section, block in _blocks(text)
        for part in _parts(block)
        if _says_something(part)
    }
    return list(found)


def _blocks(text: str) -> Iterator[catalogue.Message]:
    """Yield each block, and before it the heading it stands under."""
    section = "top"
    for found in _BLOCK.finditer(text):
        if heading := _HEADING.match(found[0]):
            section = heading[1].replace("/", " ")
        yield section, found[0]


def _parts(block: str) -> list[str]:
    return block.split("\n") if block.startswith("|") else [block]


def _says_something(part: str) -> bool:
    """Tell whether there are words to translate: in code only a comment or a drawing has any."""
    if part.startswith("```"):
        return re.search(r"#|[^\x00-\x7f]", part) is not None
    return re.search("[A-Za-z]", re.sub(r"<[^>]*>", "", part)) is not None


def build(name: str, entries: polib.POFile) -> str:
    """Give a document in the catalogue's language."""
    text, translation = DOCUMENTS[name].read_text("utf-8"), Translation(entries)
    sections, places = iter(_blocks(text)), {}

    def say(found: re.Match[str]) -> str:
        section, block = next(sections)
        said = [translation.markdown(section, part) for part in _parts(block)]
        if heading := _HEADING.match(block):
            places[fragment(heading[1])] = fragment(said[0].rpartition("# ")[2])
        notice = NOTICE if any(part.startswith(NOTICE) for part in said) else ""
        return notice + "\n".join(part.removeprefix(NOTICE) for part in said)

    def lead(link: re.Match[str]) -> str:
        return link[1] + _from_here(link[2], name) + link[3]

    translated = LINK.sub(lead, _BLOCK.sub(say, text))
    return re.sub(r"\]\(#(\S+?)\)", lambda link: f"](#{places.get(link[1], link[1])})", translated)


def fragment(heading: str) -> str:
    """Give the place of a heading, as GitHub names it."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def _from_here(target: str, name: str) -> str:
    """Notebooks and documents are the translated ones, where they exist; all else is the same."""
    here = DOCUMENTS[name].parent
    if here / target == place_of_document(name):
        return DOCUMENTS[name].name
    for english in DOCUMENTS:
        if here / target == DOCUMENTS[english]:
            return place_of_document(english).relative_to(here).as_posix()
    translated = place_of(Path(target).stem)
    if target.endswith(".ipynb") and translated.exists():
        return translated.relative_to(here).as_posix()
    return target


def problems(name: str) -> list[str]:
    """List everything that is stale or wrong in a document's translation."""
    entries = catalogue.load(catalogue.path_of(name))
    wanted = messages(DOCUMENTS[name].read_text("utf-8"))
    found = list(stale.of_messages(wanted, entries))
    place = place_of_document(name)
    if not found and not (place.exists() and place.read_text("utf-8") == build(name, entries)):
        found = [f"{place.name} isn't what the catalogue says: make zh"]
    return [f"{name} {problem}" for problem in found]


def update(name: str) -> None:
    """Bring a document's catalogue up to date."""
    path = catalogue.path_of(name)
    wanted = messages(DOCUMENTS[name].read_text("utf-8"))
    catalogue.save(catalogue.update(catalogue.load(path), wanted), path)


def write(name: str) -> None:
    """Write a document in the catalogue's language."""
    text = build(name, catalogue.load(catalogue.path_of(name)))
    place_of_document(name).write_text(text, encoding="utf-8")
