from pathlib import Path

import pytest

from tests.build_book import build, dead_links
from tests.execute_notebooks import FOLDER, all_notebooks, read
from tests.exercises import exercises

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The book as `make book` builds it."""
    folder = tmp_path_factory.mktemp("build") / "book"
    build(folder)
    return folder


def test_every_link_of_the_book_leads_somewhere(book: Path) -> None:
    """All pages are there, and every link and picture of theirs; no page links a notebook."""
    names = {path.stem for path in all_notebooks()} | {"index", "README", "README.zh"}
    assert {page.stem for page in book.glob("*.html")} == names
    translated = {path.stem for path in all_notebooks("zh")}
    assert {page.stem for page in (book / "zh").glob("*.html")} - {"index"} == translated
    assert dead_links(book) == []
    assert not any(".ipynb)" in page.read_text("utf-8") for page in book.rglob("*.html"))


def test_a_dead_link_is_found(tmp_path: Path) -> None:
    """What the check relies on: a missing page, picture or place, and one outside, are told."""
    (tmp_path / "outside.html").write_text("")
    book = tmp_path / "book"
    book.mkdir()
    good = '<h1 id="a%20b">x</h1><a href="#a%20b">x</a><a href="https://example.org">x</a>'
    bad = '<a href="no.html">x</a><img src="no.png"><a href="#no">x</a><a href="../outside.html">'
    (book / "index.html").write_text(good + bad)
    found = [line.partition(": ")[2] for line in dead_links(book)]
    assert found == ["no.html", "no.png", "#no", "../outside.html"]


def test_the_book_has_outputs_and_folded_solutions(book: Path) -> None:
    """A reader without a kernel sees the answers and figures, and opens solutions by a click."""
    for path in [*all_notebooks(), *all_notebooks("zh")]:
        page = book / path.relative_to(FOLDER).with_suffix(".html")
        html = page.read_text("utf-8")
        found = exercises(read(path))
        assert html.count('<details class="nbkit-solution">') == len(found) >= 2
        assert "nbkit-settled" in html or "data:image/png" in html
        assert "✗ " in html
