"""A real JupyterLab and a real Chromium, shared by the browser tests."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from playwright.sync_api import Browser, Dialog, Frame, Page, Route, expect, sync_playwright

from tests.browser.install import browser_path
from tests.browser.lab import Lab, running_lab

# A cold kernel imports for longer than Playwright's five seconds.
expect.set_options(timeout=60_000)

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


# Whether a page shows JupyterLab without a notebook, and how to bring it there, nothing saved.
EMPTY_LAB = (
    "() => !!window.jupyterapp && [...jupyterapp.shell.widgets('main')].every(w => !w.context)"
)
CLOSE_ALL = """async () => {
    for (const widget of [...(window.jupyterapp?.shell.widgets('main') ?? [])]) {
        if (widget.context) widget.context.model.dirty = false;
        widget.close();
    }
}"""


def open_notebook(page: Page, lab: Lab, name: str, *, kernel: bool = True) -> None:
    """Open a notebook, and wait until its kernel (if it shall have one) is ready."""
    if kernel:
        lab.lend_kernel(name)
    if page.url.startswith(lab.url) and page.evaluate(EMPTY_LAB):
        page.evaluate("path => void jupyterapp.commands.execute('docmanager:open', {path})", name)
    else:
        page.goto(lab.address(name))
    shown = "() => !!document.querySelector('.jp-Notebook .jp-Cell')"
    page.wait_for_function(shown, timeout=60_000)
    if kernel:
        wait_idle(page)


def run_cell(page: Page, index: int) -> None:
    """Run one cell, without waiting for the end."""
    page.evaluate(
        """index => {
            jupyterapp.shell.currentWidget.content.activeCellIndex = index;
            jupyterapp.commands.execute("notebook:run-cell");
        }""",
        index,
    )


def run_all(page: Page) -> None:
    """Choose Run All Cells from the menu, without waiting for the end."""
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()


def save(page: Page) -> None:
    """Save the notebook, and wait until the file is written."""
    page.evaluate("jupyterapp.shell.currentWidget.context.save()")


def wait_all_run(page: Page, timeout: float = 240_000) -> None:
    """Wait until the last code cell has run; fails if Run All stopped at an error before it."""
    page.wait_for_function(
        """() => {
            const { content, sessionContext } = jupyterapp.shell.currentWidget;
            const last = content.widgets.findLast(cell => cell.model.type === "code");
            return last.model.executionCount && sessionContext.session.kernel.status === "idle";
        }""",
        timeout=timeout,
    )


def wait_idle(page: Page, timeout: float = 120_000) -> None:
    """Wait until the notebook's kernel has nothing left to do."""
    page.wait_for_function(
        "() => jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'",
        timeout=timeout,
    )


@pytest.fixture(scope="session")
def lasting_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One JupyterLab for all tests of a worker."""
    # Six times the stated speed: fast enough for a test, slow enough to be seen streaming.
    with running_lab(tmp_path_factory.mktemp("lab"), speed=6) as lab:
        yield lab


@pytest.fixture
def lab(lasting_lab: Lab) -> Iterator[Lab]:
    """The JupyterLab, in which a test's kernels end with it."""
    yield lasting_lab
    lasting_lab.end_sessions()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for the tests of a file; a missing one is a failure, not a skip.

    Not for the session: while Playwright runs, pytest-asyncio cannot run a test in this process.
    """
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path(), args=FLAGS)
        yield browser
        browser.close()


WINDOW = {"width": 1280, "height": 720}
"""As on a projector."""


@pytest.fixture(scope="module")
def lasting_page(browser: Browser) -> Iterator[Page]:
    """One window for the tests of a file that are marked `same_page`."""
    context = browser.new_context(viewport=WINDOW)
    yield context.new_page()
    context.close()


@pytest.fixture
def page(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Page]:
    """A fresh window; in a file marked `same_page` the last test's, its notebooks closed.

    To load JupyterLab takes longer than most tests do.
    """
    if request.node.get_closest_marker("same_page"):
        page: Page = request.getfixturevalue("lasting_page")
        yield page
        page.evaluate(CLOSE_ALL)
        page.wait_for_function(EMPTY_LAB)
        return
    context = browser.new_context(viewport=WINDOW)
    yield context.new_page()
    context.close()


@dataclass
class Trap:
    """What text that must be harmless did on a page, in words; empty as long as it is harmless."""

    sprung: list[str] = field(default_factory=list)

    def watch(self, page: Page, home: str) -> None:
        """Note what runs, opens, navigates, or asks for anything that is not under `home`."""

        def route(route: Route) -> None:
            url = route.request.url
            inside = url.startswith((home, "data:", "blob:"))
            if not inside:
                self.sprung.append(f"asked for {url}")
            if "attacker" in url:
                self.sprung.append(f"fetched {url}")
            return route.continue_() if inside else route.abort()

        def dialog(dialog: Dialog) -> None:
            self.sprung.append(f"dialog {dialog.message}")
            dialog.dismiss()

        def frame(frame: Frame) -> None:
            self.sprung.append(f"frame {frame.url}")

        page.context.route("**/*", route)
        page.context.on("page", lambda page: self.sprung.append(f"window {page.url}"))
        page.on("dialog", dialog)
        page.on("frameattached", frame)
        page.expose_function("sprung", lambda what: self.sprung.append(f"ran {what}"))
        page.add_init_script(
            "Object.defineProperty(window, 'hacked', { set: (what) => top.sprung(String(what)) });"
            "addEventListener('securitypolicyviolation', () => top.sprung('policy'));"
        )

    def wait_for(self, page: Page, what: str) -> None:
        """Wait until the trap has noticed something."""
        for _ in range(500):
            if any(what in sprung for sprung in self.sprung):
                return
            page.wait_for_timeout(20)
        raise AssertionError(f"not noticed: {what}; noticed: {self.sprung}")


@pytest.fixture
def trap(page: Page, lab: Lab) -> Trap:
    """A trap around the page: whatever untrusted text achieves in it is in `trap.sprung`."""
    trap = Trap()
    trap.watch(page, lab.url)
    return trap
