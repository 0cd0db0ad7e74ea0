"""Record what README and notebook 08 show: an answer that streams, the page (`make picture`)."""

import io
import tempfile
import time
from itertools import pairwise
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

import nbkit
from tests.browser.conftest import FLAGS, Lab, open_notebook, run_all, running_lab
from tests.browser.install import browser_path

IMAGES = Path(__file__).parent.parent.parent / "notebooks" / "images"
PICTURE = IMAGES / "streaming.webp"
SERVED_PAGE = IMAGES / "served_page.webp"
CELLS = (
    "import nbkit\n\nllm = nbkit.connect()\nindex = nbkit.load_index('en')\n"
    "engine = index.as_query_engine(llm=llm, streaming=True)",
    "answer = await nbkit.show(engine.aquery('How do I return it?'))",
    "answer.sources[0].metadata['file_name'], answer.trace.ttft, answer.stopped",
)


Film = list[tuple[float, Image.Image]]


def _film(page: Page) -> Film:
    """Photograph the notebook, as fast as it goes, until the answer has settled."""
    film: Film = []
    area = page.locator(".jp-NotebookPanel-notebook")
    settled = 0
    while settled < 3 and len(film) < 400:
        settled += page.locator(".nbkit-settled").count()
        film.append((time.monotonic(), Image.open(io.BytesIO(area.screenshot())).convert("RGB")))
    return film


def record(page: Page, lab: Lab) -> Film:
    """Run the cells as a user would; returns moments (s) and frames from the first view on."""
    open_notebook(page, lab, lab.write("streaming.ipynb", *CELLS))
    page.evaluate("jupyterapp.commands.execute('application:toggle-left-area')")
    run_all(page)
    page.locator(".nbkit-live").wait_for(timeout=60_000)
    return _film(page)


def photograph(page: Page) -> Image.Image:
    """Ask on the served page as a user would; returns it in the middle of the answer."""
    llm, index = nbkit.connect(), nbkit.load_index("en")
    with nbkit.serve(
        index.as_query_engine(llm=llm, streaming=True),
        chat=lambda: index.as_chat_engine(chat_mode="context", llm=llm),
    ) as server:
        page.set_viewport_size({"width": 960, "height": 620})
        page.goto(server.page)
        page.locator("#question").fill("List all meanings of the status light")
        page.locator("#question").press("Enter")
        page.locator(".answer tr").nth(3).wait_for()
        return Image.open(io.BytesIO(page.screenshot()))


def main() -> None:
    """Write the pictures."""
    folder = Path(tempfile.mkdtemp())
    with running_lab(folder) as lab, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path(), args=FLAGS)
        page = browser.new_page(viewport={"width": 960, "height": 460})
        film = record(page, lab)
        still = photograph(page)
        browser.close()
    IMAGES.mkdir(exist_ok=True)
    still.save(SERVED_PAGE, quality=60)
    frames = [frame for _, frame in film]
    durations = [round(1000 * (b - a)) for (a, _), (b, _) in pairwise(film)] + [4000]
    frames[0].save(
        PICTURE, save_all=True, append_images=frames[1:], duration=durations, loop=0, quality=60
    )
    shown = (sum(durations) - durations[-1]) / 1000
    size = PICTURE.stat().st_size / 1000
    print(f"{PICTURE.name}: {len(frames)} frames of {shown:.1f} s, {size:.0f} kB")


if __name__ == "__main__":
    main()
