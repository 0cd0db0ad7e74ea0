"""The page inside JupyterLab: shown by a cell, and what is left of it without its server."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Frame, Page, expect

import nbkit
from nbkit.web.in_notebook import notebook_url
from tests.browser.conftest import Lab, open_notebook, run_cell, save, wait_idle
from tests.browser.started import started
from tests.simulated import simulated, wait_for

pytestmark = pytest.mark.browser

SETUP = """
import nbkit
llm = nbkit.connect()
engine = nbkit.load_index("en").as_query_engine(llm=llm, streaming=True)
server = nbkit.serve(engine)
"""


def _framed(page: Page) -> Frame:
    """Give the frame that an object element holds."""
    address = page.locator("object").get_attribute("data") or ""
    for _ in range(500):
        for frame in page.frames:
            if frame.url.partition("#")[0] == address.partition("#")[0]:
                return frame
        page.wait_for_timeout(20)
    raise AssertionError(f"nothing is shown of {address}")


def test_show_puts_the_page_under_the_cell(lab: Lab, page: Page) -> None:
    """It can be used there while the kernel works; without its server, words stand in its place."""
    name = lab.write("served.ipynb", SETUP, "server.show()", "import time; time.sleep(3)")
    open_notebook(page, lab, name)
    run_cell(page, 0)
    run_cell(page, 1)
    run_cell(page, 2)
    frame = _framed(page)
    frame.locator("#question").fill("How do I return it?")
    frame.locator("#question").press("Enter")
    expect(frame.locator(".turn")).to_have_attribute("data-state", "done")
    expect(frame.locator(".answer")).to_contain_text("Request a return")
    with page.expect_popup() as opened:
        frame.get_by_role("link", name="Open in a tab").click()
    expect(opened.value.locator("#question")).to_be_focused()
    opened.value.close()
    wait_idle(page)
    save(page)
    page.evaluate("jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    open_notebook(page, lab, name, kernel=False)
    expect(page.get_by_text("The page was here while its server ran")).to_be_visible()


def test_the_page_follows_the_theme_of_the_notebook(lab: Lab, page: Page) -> None:
    """Whoever turns JupyterLab dark has the page dark at once, on a system that is light."""
    # An emulated scheme rules every frame, so that a frame's own reaches no page, as in WebKit.
    page.emulate_media(color_scheme="light")
    name = lab.write("themed.ipynb", SETUP, "server.show()")
    open_notebook(page, lab, name)
    run_cell(page, 0)
    run_cell(page, 1)
    frame = _framed(page)
    for theme, paper in (("Dark", "rgb(22, 24, 28)"), ("Light", "rgb(251, 250, 247)")):
        page.evaluate(
            "theme => jupyterapp.commands.execute('apputils:change-theme', {theme})",
            f"JupyterLab {theme}",
        )
        expect(frame.locator("body")).to_have_css("background-color", paper)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """A Jupyter server under a prefix, as a hub runs it, with jupyter-server-proxy."""
    prefix = "/user/ada/"
    command = [
        *(sys.executable, "-m", "jupyter", "server", "--no-browser", "--allow-root"),
        *("--ServerApp.port=0", "--ServerApp.ip=127.0.0.1", "--IdentityProvider.token=test-token"),
        *(f"--ServerApp.base_url={prefix}", f"--ServerApp.root_dir={tmp_path}"),
    ]
    with started("Jupyter", command, r"http://127\.0\.0\.1:\d+") as url:
        monkeypatch.setenv("JUPYTERHUB_SERVICE_PREFIX", prefix)
        yield url


def test_behind_a_hub_it_streams_and_stops(hub: str, page: Page) -> None:
    """Through the hub's proxy answers still come token by token, and Stop still stops the model."""
    llm = simulated(ttft=0.1, tokens_per_second=15, jitter=0, seed=3)
    engine = nbkit.load_index("en").as_query_engine(llm=llm, streaming=True)
    with nbkit.serve(engine) as server:
        page.goto(f"{hub}/user/ada/tree?token=test-token")
        page.goto(f"{hub}{notebook_url(server.page)}")
        page.locator("#question").fill("How do I return it?")
        page.keyboard.press("Enter")
        turn = page.locator(".turn")
        expect(turn).to_have_attribute("data-state", "writing")
        expect(turn.locator(".answer")).to_contain_text("Lumina")
        page.get_by_role("button", name="Stop").click()
        expect(turn).to_have_attribute("data-state", "stopped")
        wait_for(lambda: llm.simulator.requests(llm.model)[-1]["status"] == "cancelled")
