import json

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Lab, open_notebook, run_all, save, wait_all_run

pytestmark = pytest.mark.browser

CELLS = (
    "import nbkit\nllm = nbkit.connect(ttft=0.05, tokens_per_second=500, slots=2)\n"
    "questions = [f'What can you do? ({n})' for n in range(8)]",
    "experiment = await nbkit.measure(questions, {'流式': llm}, max_concurrency=[1, 2, 4])\n"
    "experiment",
    "nbkit.explore(experiment)",
    "experiment.plot();",
)


def test_a_figure_is_chosen_and_kept(lab: Lab, page: Page) -> None:
    """The drop-down changes the figure below it, and a saved file shows it without a kernel."""
    name = lab.write("explorer.ipynb", *CELLS)
    open_notebook(page, lab, name)
    run_all(page)
    wait_all_run(page)
    cell = page.locator(".jp-CodeCell").nth(2)
    figure = cell.locator(".jp-OutputArea-output img")
    expect(figure).to_have_count(1)
    before = figure.get_attribute("src")
    cell.get_by_label("Figure").select_option("where more load stops paying")
    expect(figure).not_to_have_attribute("src", before or "")
    page.screenshot(path=lab.folder / "explorer.png")
    chosen = figure.get_attribute("src") or ""
    save(page)
    notebook = json.loads((lab.folder / name).read_text("utf-8"))
    controls, kept = notebook["cells"][2]["outputs"]
    assert "run this cell again" in "".join(controls["data"]["text/html"])
    assert "".join(kept["data"]["image/png"]).strip() in chosen.replace("%0A", "")
    page.evaluate("jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    page.goto("about:blank")
    open_notebook(page, lab, name, kernel=False)
    again = page.locator(".jp-CodeCell").nth(2).locator(".jp-OutputArea-output img")
    expect(again).to_have_count(1)
    page.screenshot(path=lab.folder / "reopened.png")
