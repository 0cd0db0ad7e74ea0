"""Record the README's picture: a real answer streaming in a real JupyterLab (`make picture`)."""

import io
import tempfile
import time
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from tests.browser.conftest import FLAGS, Lab, open_notebook, run_all, running_lab
from tests.browser.install import browser_path

PICTURE = Path(__file__).parent.parent.parent / "notebooks" / "images" / "streaming.webp"
FRAMES_PER_SECOND = 8
CELLS = (
    "import nbkit\n\nllm = nbkit.connect()\nindex = nbkit.load_index('en')\n"
    "engine = index.as_query_engine(llm=llm, streaming=True)",
    "answer = await nbkit.show(engine.aquery('How do I return it?'))",
    "answer.sources[0].metadata['file_name'], answer.trace.ttft, answer.stopped",
)


def _frames(page: Page) -> list[Image.Image]:
    """Photograph the notebook until the answer has settled, and a second longer."""
    frames: list[Image.Image] = []
    area = page.locator(".jp-NotebookPanel-notebook")
    settled_for = 0
    while settled_for < FRAMES_PER_SECOND and len(frames) < 20 * FRAMES_PER_SECOND:
        due = time.monotonic() + 1 / FRAMES_PER_SECOND
        frames.append(Image.open(io.BytesIO(area.screenshot())).convert("RGB"))
        settled_for += page.locator(".nbkit-settled").count()
        page.wait_for_timeout(max(0.0, due - time.monotonic()) * 1000)
    return frames


def record(page: Page, lab: Lab) -> list[Image.Image]:
    """Run the cells as a user would; returns the frames from the first live view on."""
    open_notebook(page, lab, lab.write("streaming.ipynb", *CELLS))
    page.evaluate("jupyterapp.commands.execute('application:toggle-left-area')")
    run_all(page)
    page.locator(".nbkit-live").wait_for(timeout=60_000)
    return _frames(page)


def main() -> None:
    """Write the animated picture."""
    folder = Path(tempfile.mkdtemp())
    with running_lab(folder) as lab, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path(), args=FLAGS)
        page = browser.new_page(viewport={"width": 960, "height": 460})
        frames = record(page, lab)
        browser.close()
    PICTURE.parent.mkdir(exist_ok=True)
    durations = [1000 // FRAMES_PER_SECOND] * (len(frames) - 1) + [4000]
    frames[0].save(
        PICTURE, save_all=True, append_images=frames[1:], duration=durations, loop=0, quality=60
    )
    print(f"{PICTURE.name}: {len(frames)} frames, {PICTURE.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
