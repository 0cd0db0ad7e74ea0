import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Lab, open_notebook, run_all, wait_all_run
from tests.execute_notebooks import all_notebooks, shows

pytestmark = pytest.mark.browser

# One with streams, stops and figures, one with a server and its page; `tests/test_exercises.py`
# runs them all, in kernels without a browser, and asks the same of their outputs.
IN_A_BROWSER = [path for path in all_notebooks() if path.name[:2] in ("01", "08")]


@pytest.mark.parametrize("path", IN_A_BROWSER, ids=lambda path: path.stem)
def test_run_all_in_jupyterlab(lab: Lab, page: Page, path: Path) -> None:
    """Run All, as a learner does it: every cell runs, answers and figures show, no other errors."""
    lab.use_fresh_kernel()
    shutil.copy(path, lab.folder / path.name)
    open_notebook(page, lab, path.name)
    page.evaluate("jupyterapp.commands.execute('notebook:clear-all-cell-outputs')")
    run_all(page)
    wait_all_run(page)
    notebook = page.evaluate("jupyterapp.shell.currentWidget.content.model.toJSON()")
    shown, errors = 0, []
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code":
            continue
        assert cell["execution_count"], f"not run: {cell['source']}"
        for output in cell["outputs"]:
            data = output.get("data", {})
            assert "application/vnd.jupyter.widget-view+json" not in data
            shown += shows(output)
            if output["output_type"] == "error":
                errors.append(cell)
    assert shown >= 3
    assert all("raises-exception" in cell["metadata"].get("tags", []) for cell in errors)
    expect(page.locator(".nbkit-live")).to_have_count(0)
