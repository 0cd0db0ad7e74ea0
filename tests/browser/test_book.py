from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Browser

from tests import build_book
from tests.browser.conftest import Trap

pytestmark = pytest.mark.browser

ATTACK = "<script>window.hacked='script'</script><img src=x onerror=\"window.hacked='handler'\">"


def test_a_page_of_the_book_runs_and_fetches_nothing(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scripts in a stored output stay dead, nothing comes from elsewhere, both themes are there."""
    shown = nbformat.v4.new_output("display_data", {"text/html": f"<p>still here</p>{ATTACK}"})
    cells = [
        nbformat.v4.new_markdown_cell("# Attacked"),
        nbformat.v4.new_code_cell("1", outputs=[shown], execution_count=1),
    ]
    notebook = nbformat.v4.new_notebook(cells=cells)
    pages = {"en": {"attack": notebook}, "zh": {}}
    monkeypatch.setattr(build_book, "_pages", pages.get)
    page_file, *_ = build_book.build(tmp_path / "book")
    grounds = []
    for scheme in ("light", "dark"):
        context = browser.new_context(color_scheme=scheme)
        page, trap = context.new_page(), Trap()
        trap.watch(page, "file://")
        page.goto(page_file.as_uri())
        page.get_by_text("still here").wait_for()
        assert not page.evaluate("'hacked' in window && !!window.hacked")
        assert set(trap.sprung) == {"ran policy"}, "each attempt is refused by the policy"
        grounds.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        context.close()
    assert grounds == ["rgb(255, 255, 255)", "rgb(17, 17, 17)"]
