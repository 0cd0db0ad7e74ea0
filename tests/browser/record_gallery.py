"""Take the README's gallery and the map's thumbnails in a real JupyterLab (`make gallery`).

A scene is run and photographed at the moment that shows most. A thumbnail is what one cell of a
notebook has stored: the cell tagged `picture`, or else its first figure.
"""

import io
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from nbformat import NotebookNode
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.conftest import FLAGS, Lab, open_notebook, run_all, running_lab
from tests.browser.install import browser_path
from tests.execute_notebooks import FOLDER, all_notebooks, read
from tests.exercises import tags

IMAGES = FOLDER / "images"
THUMBNAIL = (360, 290)
"""Most pixels across and down; small enough for a dozen in a table."""
WINDOW = {"width": 1160, "height": 1400}
"""High enough that nothing of a scene has to be scrolled."""
MARGIN = 8

SETUP = (
    "import asyncio, nbkit\n\nllm = nbkit.connect()\nindex = nbkit.load_index('en')\n"
    "engine = index.as_query_engine(llm=llm, streaming=True)\n"
    "questions = ['How much does the product cost?', 'How do I return it?',\n"
    "             'Which payment methods are supported?', 'How long is the warranty?',\n"
    "             'How long does shipping take?', 'What colours does the lamp come in?']"
)


@dataclass(frozen=True)
class Scene:
    """A picture of the gallery: cells to run, and the moment, in JavaScript, to take it."""

    name: str
    cells: tuple[str, ...]
    moment: str
    dark: bool = False


SCENES = (
    Scene(
        "grid",
        ("answers = await nbkit.show_all({q: engine.aquery(q) for q in questions})",),
        "document.querySelectorAll('.nbkit-live [data-state=done]').length >= 2",
    ),
    Scene(
        "race",
        (
            "speeds = {'laptop': 'laptop_cpu', 'medium': 'default', 'fast': 'hosted_fast'}\n"
            "models = {name: nbkit.connect(profile=p) for name, p in speeds.items()}",
            "ask = lambda model: index.as_query_engine(llm=model, streaming=True)"
            ".aquery(questions[3])\n"
            "racing = {name: ask(m) for name, m in models.items()}\n"
            "answers = await nbkit.show_all(racing, race=True)",
        ),
        "document.querySelector('.nbkit-live [data-state=done]')"
        " && document.querySelector('.nbkit-live .nbkit-cell:nth-child(2) .nbkit-text')"
        ".innerText.length > 60",
        dark=True,
    ),
    Scene(
        "chat",
        (
            "chat = nbkit.chat(index.as_chat_engine('condense_plus_context', llm=llm))",
            "for message in ['How long is the warranty?', 'And for the battery?']:\n"
            "    await chat.say(message)",
        ),
        "[...document.querySelectorAll('.nbkit-settled')].some(e => e.innerText.includes('✓'))"
        " && /battery\\?[^]*24 months/.test(document.querySelector('.nbkit-live').innerText)",
    ),
    Scene(
        "timeline",
        (
            "jobs = {q: nbkit.stream(engine.aquery(q)) for q in questions}\n"
            "answers = dict(zip(jobs, await asyncio.gather(*jobs.values())))",
            "nbkit.plots.timeline(answers);",
        ),
        "document.querySelector('.jp-OutputArea-output img')?.complete",
    ),
    Scene(
        "panel",
        (
            "nbkit.panel()",
            "answer = await nbkit.show(engine.aquery('List all meanings of the status light'))",
        ),
        "document.querySelector('.nbkit-panel')"
        " && document.querySelectorAll('.nbkit-live table tr').length > 4",
    ),
    Scene(
        "knee",
        (
            "four_places = nbkit.connect(slots=4, ttft=0.1, tokens_per_second=300)\n"
            "mine = index.as_query_engine(llm=four_places, streaming=True)",
            "experiment = await nbkit.measure(questions, {'mine': mine},"
            " max_concurrency=[1, 2, 4, 8, 16], progress=False)\n"
            "experiment.plot();",
        ),
        "document.querySelector('.jp-OutputArea-output img')?.complete",
    ),
    Scene(
        "check",
        ("nbkit.check()",),
        "document.querySelectorAll('.jp-RenderedHTMLCommon table tr').length > 5",
    ),
)


def _picture(png: bytes) -> Image.Image:
    return Image.open(io.BytesIO(png)).convert("RGB")


def _theme(page: Page, name: str) -> None:
    page.evaluate(f"jupyterapp.commands.execute('apputils:change-theme', {{theme: '{name}'}})")
    page.locator(f"body[data-jp-theme-name='{name}']").wait_for(state="attached")
    page.wait_for_timeout(500)  # the style sheet comes after the name


def _clean(page: Page) -> None:
    """Leave only the notebook in the window."""
    page.evaluate("jupyterapp.commands.execute('application:toggle-left-area')")


def take(browser: Browser, lab: Lab, scene: Scene) -> Image.Image:
    """Run a scene's cells and photograph the notebook at its moment."""
    page = browser.new_page(viewport=WINDOW)
    open_notebook(page, lab, lab.write(f"{scene.name}.ipynb", SETUP, *scene.cells))
    _theme(page, "JupyterLab Dark" if scene.dark else "JupyterLab Light")
    _clean(page)
    run_all(page)
    page.wait_for_function(scene.moment, timeout=90_000)
    page.wait_for_timeout(150)  # the frame that is being painted
    # The notebook, from the cell after the set-up to the end of the last output.
    frame, *cells = [
        found.bounding_box() or {}
        for found in page.locator(".jp-NotebookPanel-notebook, .jp-Cell").all()
    ]
    top = cells[1]["y"] - MARGIN
    bottom = max(box["y"] + box["height"] for box in cells[1:]) + MARGIN
    clip = {"x": frame["x"], "y": top, "width": frame["width"], "height": bottom - top}
    picture = _picture(page.screenshot(clip=clip))  # type: ignore[arg-type]
    page.close()
    return picture


def pictured(notebook: NotebookNode) -> int:
    """Find the cell whose output stands for the notebook; raises AssertionError without one."""
    chosen = [place for place, cell in enumerate(notebook.cells) if "picture" in tags(cell)]
    figures = [
        place
        for place, cell in enumerate(notebook.cells)
        if any("image/png" in str(output.get("data")) for output in cell.get("outputs", []))
    ]
    assert chosen or figures, "nothing to show: tag a code cell `picture`"
    return (chosen or figures)[0]


def thumbnail(browser: Browser, lab: Lab, path: Path) -> Image.Image:
    """Photograph what one cell of a stored notebook shows, without a kernel."""
    place = pictured(read(path))
    page = browser.new_page(viewport={"width": 660, "height": 900})
    open_notebook(page, lab, path.relative_to(FOLDER).as_posix(), kernel=False)
    _clean(page)
    page.evaluate(f"jupyterapp.shell.currentWidget.content.activeCellIndex = {place}")
    output = f'.jp-Cell[data-windowed-list-index="{place}"] .jp-OutputArea-output >> nth=0'
    # Outputs above it get their height when they are in the page, which moves it once more.
    for _ in range(2):
        page.evaluate(f"jupyterapp.shell.currentWidget.content.scrollToItem({place}, 'start')")
        page.locator(output).wait_for(timeout=60_000)
        page.wait_for_timeout(500)  # figures are decoded after they are in the page
    picture = _picture(page.locator(output).screenshot())
    page.close()
    across, down = THUMBNAIL
    picture = picture.resize((across, round(picture.height * across / picture.width)))
    return picture.crop((0, 0, across, min(down, picture.height)))


def store(picture: Image.Image, name: str, quality: int = 80) -> None:
    """Write one picture, and tell its size."""
    path = IMAGES / f"{name}.webp"
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, quality=quality, method=6)
    print(f"{path.name}: {picture.width} × {picture.height}, {path.stat().st_size / 1000:.0f} kB")


def main(names: list[str]) -> None:
    """Take the named ones, scenes or notebooks, or all."""
    wanted = set(names)
    folder = Path(tempfile.mkdtemp())
    course = [*all_notebooks(), *all_notebooks("zh")]
    for path in course:
        copy = folder / path.relative_to(FOLDER)
        copy.parent.mkdir(exist_ok=True)
        shutil.copy(path, copy)
    shutil.copytree(IMAGES, folder / "images")
    with running_lab(folder) as lab, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path(), args=FLAGS)
        for scene in (each for each in SCENES if not wanted or each.name in wanted):
            store(take(browser, lab, scene), f"gallery_{scene.name}")
        for path in (each for each in course if not wanted or each.stem in wanted):
            name = path.relative_to(FOLDER).with_suffix("").as_posix()
            store(thumbnail(browser, lab, path), name)
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1:])
