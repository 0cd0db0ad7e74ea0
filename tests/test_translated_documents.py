"""README and the teacher's guide say the same in both languages, and nothing in them is stale."""

import re
from pathlib import Path
from urllib.parse import unquote

import polib
import pytest

from tests.execute_notebooks import all_notebooks
from tests.translation import build, catalogue, document, stale

each_document = pytest.mark.parametrize("name", document.DOCUMENTS)


@each_document
def test_nothing_is_missing_stale_or_wrong(name: str) -> None:
    """`python -m tests.translation status` has nothing to say: by heading and message."""
    assert document.problems(name) == []


@each_document
def test_each_language_links_the_other(name: str) -> None:
    """The README's first line, and the line below the guide's title, lead to the other language."""
    english, chinese = document.DOCUMENTS[name], document.place_of_document(name)
    line = 0 if name == "README" else 2
    assert english.read_text("utf-8").splitlines()[line] == f"[中文]({chinese.name})"
    assert chinese.read_text("utf-8").splitlines()[line] == f"[English]({english.name})"


@each_document
@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_link_leads_somewhere(name: str, language: str) -> None:
    """Files, pictures and headings are there; the Chinese pages lead to Chinese ones."""
    path = document.DOCUMENTS[name] if language == "en" else document.place_of_document(name)
    text = path.read_text("utf-8")
    headings = {document.fragment(found) for found in re.findall(r"^#+ (.+)$", text, re.M)}
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", text):
        file, _, place = unquote(target).partition("#")
        assert (path.parent / file).exists(), target
        assert not place or place in headings, target
        if language == "zh" and file.endswith(".ipynb"):
            translated = build.place_of(Path(file).stem)
            assert (path.parent / file) == translated or not translated.exists()


def _headings() -> dict[str, set[str]]:
    """Give the headings of the notebooks, and their parts at a colon, with their translations."""
    found: dict[str, set[str]] = {}
    for path in all_notebooks():
        for entry in catalogue.load(catalogue.path_of(path.stem)):
            if entry.msgid.startswith("#") and entry.msgstr:
                ours, theirs = (
                    text.partition("\n")[0].lstrip("# ") for text in (entry.msgid, entry.msgstr)
                )
                found.setdefault(ours, set()).add(theirs)
                for part, said in zip(ours.split(": "), theirs.split("："), strict=False):
                    found.setdefault(part, set()).add(said)
    return found


@each_document
def test_notebooks_are_called_by_their_translated_names(name: str) -> None:
    """Titles and sections that a page names are those of the Chinese notebooks, word for word."""
    headings = _headings()
    for entry in catalogue.load(catalogue.path_of(name)):
        for section in re.findall(r"(?<!\*)\*([^*]+)\*(?!\*)", entry.msgid):
            known = headings.get(section)
            assert not known or any(f"“{said}”" in entry.msgstr for said in known), section
        titles = re.findall(r"\[(\d\d) ([^\]]+)\]", entry.msgid)
        for number, title in titles:
            known = headings.get(f"{number} · {title}", set())
            assert all(said.replace(" · ", " ") in entry.msgstr for said in known), title


TEXT = """# Ask

One
paragraph.

```
make x
```

```
make y  # now
```

| a | b |
|---|---|
| 1 | 2 |
| one | two |

## Again

- an item
- [above](#ask)
"""
SAID = {"# Ask": "# 提问", "One": "一段。", "```": "```\nmake y  # 现在\n```"}
SAID |= {"| a": "| 甲 | 乙 |", "| one": "| 一 | 二 |", "## Again": "## 再来"}
SAID |= {"- an": "- 一项\n- [上面](#ask)"}


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A document of its own in the place of the README."""
    path = tmp_path / "ASK.md"
    path.write_text(TEXT, encoding="utf-8")
    monkeypatch.setitem(document.DOCUMENTS, "README", path)
    return path


def _translated(text: str) -> polib.POFile:
    entries = catalogue.update(catalogue.load(Path("none")), document.messages(text))
    for entry in entries:
        entry.msgstr = next(said for start, said in SAID.items() if entry.msgid.startswith(start))
    return entries


def test_a_document_is_taken_apart() -> None:
    """Headings, paragraphs, lists, rows, and code that has comments; what has no words is not."""
    assert document.messages(TEXT) == [
        ("Ask", "# Ask"),
        ("Ask", "One\nparagraph."),
        ("Ask", "```\nmake y  # now\n```"),
        ("Ask", "| a | b |"),
        ("Ask", "| one | two |"),
        ("Again", "## Again"),
        ("Again", "- an item\n- [above](#ask)"),
    ]


def test_a_document_is_put_together(asked: Path) -> None:
    """Each block stands in its place; a link to a heading leads to the translated one."""
    expected = TEXT.replace("One\nparagraph.", "一段。").replace("- an item", "- 一项")
    for english, chinese in {
        "# Ask": "# 提问",
        "now": "现在",
        "| a | b |": "| 甲 | 乙 |",
        "| one | two |": "| 一 | 二 |",
        "## Again": "## 再来",
        "[above](#ask)": "[上面](#提问)",
    }.items():
        expected = expected.replace(english, chinese)
    assert document.build("README", _translated(TEXT)) == expected


def test_a_changed_row_puts_its_table_under_a_notice(asked: Path) -> None:
    """One row is stale, not its neighbours; the notice doesn't break the table."""
    entries = _translated(TEXT)
    changed = TEXT.replace("| one | two |", "| one | twos |")
    asked.write_text(changed, encoding="utf-8")
    wanted = document.messages(changed)
    entries = catalogue.update(entries, wanted)
    assert [problem.split(": ")[1] for problem in stale.of_messages(wanted, entries)] == [
        "the English has changed"
    ]
    table = "| 甲 | 乙 |\n|---|---|\n| 1 | 2 |\n| 一 | 二 |"
    assert f"\n\n{build.NOTICE}{table}\n\n" in document.build("README", entries)


def test_a_new_block_does_not_get_the_words_of_another() -> None:
    """Under one heading only a similar block inherits a translation, as one to look through."""
    changed = TEXT.replace("One\nparagraph.", "Nothing like what was there before.")
    entries = catalogue.update(_translated(TEXT), document.messages(changed))
    found = [entry for entry in entries if entry.msgid.startswith("Nothing")]
    assert [(entry.msgstr, entry.fuzzy) for entry in found] == [("", False)]
