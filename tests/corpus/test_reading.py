"""A folder is read: what counts as text, and one clear error for whatever cannot be read."""

import os
from pathlib import Path

import pytest

from nbkit.corpus import CorpusError, load_index, reading
from nbkit.corpus.html import html_text
from tests.corpus.conftest import NOTE, names


def read(folder: Path, content: dict[str, bytes]) -> dict[str, str]:
    """Read files with these bytes."""
    for name, its_bytes in content.items():
        (folder / name).write_bytes(its_bytes)
    files, _ = reading.find_files(folder)
    return {name: "".join(text.pages) for name, text in reading.texts(folder, files).items()}


def test_reads_text_in_all_subfolders_but_nothing_hidden(folder: Path) -> None:
    """Markdown, text and HTML, whatever the case and language of the name; no dot files."""
    index = load_index(str(folder))
    assert names(index) == {"cats.md", "deep/狗.txt", "page.HTML"}


def test_a_hidden_parent_hides_nothing(tmp_path: Path) -> None:
    """A folder given by name is read even when it lies in a hidden one."""
    place = tmp_path / ".config" / "notes"
    place.mkdir(parents=True)
    (place / "a.md").write_text(NOTE, encoding="utf-8")
    assert names(load_index(place)) == {"a.md"}


def test_home_is_expanded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`~` is the home folder."""
    monkeypatch.setenv("HOME", str(folder.parent))
    monkeypatch.setenv("USERPROFILE", str(folder.parent))
    assert "cats.md" in names(load_index("~/notes"))


def test_a_path_named_like_a_language_is_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name "en" is the handbook; a Path or "./en" is a folder."""
    (tmp_path / "en").mkdir()
    (tmp_path / "en" / "mine.md").write_text(NOTE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert names(load_index(Path("en"))) == names(load_index("./en")) == {"mine.md"}
    assert "warranty.md" in names(load_index("en"))


def test_html_is_text() -> None:
    """Tags, scripts and styles are gone; headings are as in Markdown, entities are characters."""
    page = (
        "<title>t</title><style>a{}</style><h2>Birds</h2><p>fly\n &amp; sing</p><script>x</script>"
    )
    assert html_text(page) == "## Birds\n\nfly & sing"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_marks_of_encodings_are_understood(encoding: str, tmp_path: Path) -> None:
    """Files from Windows editors, with a byte order mark, read as what they say."""
    (tmp_path / "a.txt").write_bytes("狗喜欢散步。\r\n\r\n好。".encode(encoding))
    node = next(iter(load_index(tmp_path).docstore.docs.values()))
    assert node.get_content() == "狗喜欢散步。\n\n好。"


def test_missing_folder_suggests_names(folder: Path) -> None:
    """The error has the near name and the bundled ones."""
    with pytest.raises(CorpusError, match="Did you mean 'notes'") as error:
        load_index(folder.parent / "nots")
    assert '"en" or "zh"' in str(error.value)


@pytest.mark.parametrize("name", ["", "  ", "english-handbook", "/no/such/place", "~nobody/notes"])
def test_missing_folder(name: str) -> None:
    """A name that is no folder is an error, an empty one too."""
    with pytest.raises(CorpusError, match="There is no folder"):
        load_index(name)


def test_a_file_is_not_a_folder(folder: Path) -> None:
    """A file is refused with the advice to give its folder."""
    with pytest.raises(CorpusError, match="is a file"):
        load_index(folder / "cats.md")


@pytest.mark.parametrize("wrong", [None, 3, ["en"], b"en"])
def test_wrong_type(wrong: object) -> None:
    """Anything but a name or path is refused with the name of its type."""
    with pytest.raises(CorpusError, match=type(wrong).__name__):
        load_index(wrong)  # type: ignore[arg-type]


def test_wrong_embedding(folder: Path) -> None:
    """An embedding that is none is refused before anything is read into it."""
    with pytest.raises(CorpusError, match="embed_model is a str"):
        load_index(folder, embed_model="default")  # type: ignore[arg-type]


def test_empty_folder_lists_what_is_read(tmp_path: Path) -> None:
    """No readable file: the error lists the types that are read."""
    (tmp_path / "photo.png").write_bytes(b"\x89PNG")
    with pytest.raises(CorpusError, match=r"\.html.*\.md.*\.txt"):
        load_index(tmp_path)


def test_files_without_text(tmp_path: Path) -> None:
    """Only blank files: the error names them."""
    (tmp_path / "blank.md").write_text(" \n\n", encoding="utf-8")
    with pytest.raises(CorpusError, match=r"hold no text: blank\.md"):
        load_index(tmp_path)


def test_a_blank_file_beside_others_is_no_error(folder: Path) -> None:
    """Blank files among others are skipped, and the reader is told, at each start."""
    (folder / "blank.md").write_text("", encoding="utf-8")
    (folder / "spaces.md").write_text(" \n", encoding="utf-8")
    told = r"Not read:\n  blank\.md — empty\.\n  spaces\.md — empty\."
    for _ in range(2):
        with pytest.warns(UserWarning, match=told):
            assert names(load_index(folder)) == {"cats.md", "deep/狗.txt", "page.HTML"}


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("狗喜欢散步。狗不喜欢洗澡。", "gb18030"),
        ("保固期限為二十四個月，從購買日起計算。", "big5"),
        ("La lampe coûte 20 €. Où est l’œuvre d’été ?", "cp1252"),
        ("Größe und Maße: 20 cm, für Küche und Büro.", "latin-1"),
        ("The lamp is bright.\n", "utf-16-le"),
        ("台灯很亮。\n它很暖。\n", "utf-16-be"),
        ("The lamp is bright.\n", "utf-32-le"),
        ("Лампа светит ярко и тепло. Гарантия два года.", "cp1251"),
    ],
)
def test_other_encodings_are_recognised_and_named(text: str, encoding: str, tmp_path: Path) -> None:
    """What is not UTF-8 is read as what it says, and the reader is told what was assumed."""
    content = text.encode(encoding)
    with pytest.warns(UserWarning, match=r"Not UTF-8, so read a\.txt as \w+ — if that is wrong"):
        assert read(tmp_path, {"a.txt": content}) == {"a.txt": text}


def test_files_that_are_no_text_are_named_together(folder: Path) -> None:
    """All files without text in any encoding are in one error, with what to do."""
    for name in ("旧.txt", "old.txt"):
        (folder / name).write_bytes(bytes(range(256)) * 8)
    with pytest.raises(CorpusError, match=r"old\.txt, 旧\.txt — save as UTF-8"):
        load_index(folder)


@pytest.mark.skipif(os.name != "posix", reason="elsewhere all names are Unicode")
def test_names_that_are_not_utf_8_are_read_too(tmp_path: Path) -> None:
    """A file from an old Chinese system is found under the name it had there."""
    with open(os.fsencode(tmp_path) + b"/" + "保修说明.txt".encode("gb18030"), "wb") as file:  # noqa: PTH123
        file.write(NOTE.encode())
    (name,) = names(load_index(tmp_path))
    assert name == "保修说明.txt"


@pytest.mark.skipif(os.name != "posix", reason="elsewhere all names are Unicode")
def test_a_folder_whose_name_is_not_utf_8_can_be_named_in_an_error(tmp_path: Path) -> None:
    """A message that could not be encoded could not be shown."""
    folder = tmp_path / os.fsdecode("保修说明".encode("gb18030"))
    folder.mkdir()
    with pytest.raises(CorpusError, match=r"Nothing to read in .*保修说明 — put"):
        load_index(folder)


def test_a_link_that_leads_nowhere_is_passed_over(folder: Path) -> None:
    """What is not there is no reason to read nothing: it is skipped, and the reader is told."""
    (folder / "gone.md").symlink_to(folder / "nowhere.md")
    with pytest.warns(UserWarning, match=r"Not read: gone\.md — not a regular file"):
        assert "gone.md" not in names(load_index(folder))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_what_a_file_says_itself_is_no_guess(
    encoding: str, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    """A byte order mark tells the encoding, so there is nothing to warn about."""
    content = {"a.txt": "狗喜欢散步。".encode(encoding)}
    assert read(tmp_path, content) == {"a.txt": "狗喜欢散步。"}
    assert not recwarn.list


def test_a_stray_zero_byte_is_left_out(tmp_path: Path) -> None:
    """A log with a zero byte in it is still UTF-8, and no other encoding is guessed."""
    content = "灯很亮。The lamp is bright. ".encode() * 20
    assert read(tmp_path, {"a.txt": content + b"\0" + content})["a.txt"] == content.decode() * 2


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with a name")
def test_what_is_no_regular_file_is_passed_over(folder: Path) -> None:
    """A pipe would be waited for without end: it is skipped, and the reader is told."""
    os.mkfifo(folder / "pipe.txt")
    with pytest.warns(UserWarning, match=r"Not read: pipe\.txt — not a regular file"):
        assert "pipe.txt" not in names(load_index(folder))


def test_pasted_pictures_are_not_text(tmp_path: Path) -> None:
    """The letters of an embedded picture are left out, in Markdown and HTML; its words stay."""
    picture = "data:image/png;base64," + "iVBORw0KGgo+/AAA" * 10_000 + "=="
    page = (
        f"# Lamp\n\nBright. ![the lamp]({picture}) Warm.\n\n[1]: {picture}\n<img src='{picture}'>"
    )
    short = "data:text/plain,short"
    text, other = read(tmp_path, {"a.md": page.encode(), "b.md": short.encode()}).values()
    assert "iVBOR" not in text
    assert "Bright. [image: the lamp] Warm." in text
    assert other == short


def test_code_in_html_keeps_its_lines() -> None:
    """Line ends and indents within <pre> count, as they do in no other place of HTML."""
    page = (
        "<p>Run:</p><pre><code>def lamp():\n    on()\n\n    # off\n</code></pre><p>Then\nwait</p>"
    )
    assert html_text(page) == ("Run:\n\n```\ndef lamp():\n    on()\n\n    # off\n```\n\nThen wait")


@pytest.mark.parametrize(
    ("page", "text"),
    [
        (
            "<pre><span>def</span> lamp():\n    <span>on</span>()\n<span># off</span></pre>",
            "```\ndef lamp():\n    on()\n# off\n```",
        ),
        ("<pre>one<br>two</pre>", "```\none\ntwo\n```"),
        ("<pre><div>one</div><div>two</div></pre>", "```\none\ntwo\n```"),
        ("<pre>```\n# no heading\n```</pre>", "````\n```\n# no heading\n```\n````"),
        ("<pre>never closed\nbut read", "```\nnever closed\nbut read\n```"),
        ("<p>a</p><pre> \n</pre><p>b</p>", "a\n\nb"),
        ("<p>See <img src='x.png' alt='the lamp'>.</p>", "See [image: the lamp]."),
    ],
)
def test_highlighted_code_in_html_keeps_its_lines(page: str, text: str) -> None:
    """Code is kept as it is shown, however a highlighter has cut it; a picture by its words."""
    assert html_text(page) == text


def test_unreadable_file_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that cannot be opened is named, with the system's reason."""

    def refuse(path: Path, *_: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(CorpusError, match=r"cats\.md \(Permission denied\)"):
        load_index(folder)


def test_slides_without_their_reader(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slides and e-books are passed over with a warning that has the pip line."""
    monkeypatch.setattr(reading, "_has_other_readers", lambda: False)
    (folder / "manual.pptx").write_bytes(b"PK")
    with pytest.warns(UserWarning, match=r"manual\.pptx — `pip install llama-index-readers-file`"):
        index = load_index(folder)
    assert "manual.pptx" not in names(index)


def test_only_slides_without_their_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When there is nothing else, that is the error."""
    monkeypatch.setattr(reading, "_has_other_readers", lambda: False)
    (tmp_path / "manual.pptx").write_bytes(b"PK")
    with pytest.raises(CorpusError, match="pip install llama-index-readers-file"):
        load_index(tmp_path)
