import re
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest
from nbformat import NotebookNode

from tests.execute_notebooks import FOLDER, all_notebooks, code_hash, read

NOTEBOOKS = all_notebooks()
TRANSLATED = all_notebooks("zh")
LEARNED, ON_YOUR_OWN, IN_PRACTICE = "What you learned", "On your own", "In practice"
STRETCHED = ("04", "06", "09")
"""Notebooks that end with a harder exercise."""
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def _cells(notebook: NotebookNode, kind: str, tag: str | None = None) -> list[NotebookNode]:
    return [
        cell
        for cell in notebook.cells
        if cell.cell_type == kind and (tag is None or tag in cell.metadata.get("tags", []))
    ]


def _prose(notebook: NotebookNode) -> str:
    return "\n\n".join(cell.source for cell in _cells(notebook, "markdown"))


def _words(text: str) -> int:
    return len(re.findall(r"[\w’'-]+", text))


def _section(prose: str, heading: str) -> str:
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", prose, re.M | re.S)
    assert found, f"no section {heading!r}"
    return found.group(1)


def test_the_course_is_there() -> None:
    """The notebooks are numbered without gaps, from 00."""
    assert [path.name[:2] for path in NOTEBOOKS] == [f"{i:02}" for i in range(len(NOTEBOOKS))]
    assert len(NOTEBOOKS) >= 2


@each_notebook
def test_opens_and_closes_as_agreed(path: Path) -> None:
    """A reader is told what to expect first, and reminded of it, point by point, at the end."""
    prose = _prose(read(path))
    for heading in ("What you'll do", "What you'll need", ON_YOUR_OWN, IN_PRACTICE):
        assert _section(prose, heading).strip()
    promised = re.findall(r"^- ", _section(prose, "What you'll learn"), re.M)
    kept = re.findall(r"^- ", _section(prose, LEARNED), re.M)
    assert len(promised) == len(kept) >= 3
    headings = re.findall(r"^## (.+)", prose, re.M)
    assert headings[:3] == ["What you'll do", "What you'll learn", "What you'll need"]
    assert headings[-3:] == [LEARNED, ON_YOUR_OWN, IN_PRACTICE]


@each_notebook
def test_links_to_its_neighbours(path: Path) -> None:
    """Previous and next stand at the top and the bottom, and lead somewhere."""
    cells = _cells(read(path), "markdown")
    place = NOTEBOOKS.index(path)
    for neighbour in {max(place - 1, 0), min(place + 1, len(NOTEBOOKS) - 1)} - {place}:
        assert f"({NOTEBOOKS[neighbour].name})" in cells[0].source
        assert f"({NOTEBOOKS[neighbour].name})" in cells[-1].source


def _by_heading(notebook: NotebookNode) -> Iterator[tuple[str, str]]:
    """Yield each Markdown cell with the second-level heading it stands under."""
    heading = ""
    for cell in _cells(notebook, "markdown"):
        found = re.match(r"## (.+)", cell.source)
        heading = found.group(1) if found else heading
        yield heading, cell.source


@each_notebook
def test_nothing_is_put_off(path: Path) -> None:
    """A lesson stands on the notebooks before it; only its end, and the map, point further."""
    allowed = {ON_YOUR_OWN, IN_PRACTICE, "The map", "Which way through?"}
    for heading, text in list(_by_heading(read(path)))[1:]:
        named = re.findall(r"\(([0-9]{2})_\w+\.ipynb|[Nn]otebooks? ([0-9]{2})", text)
        later = {number for pair in named for number in pair if number > path.stem[:2]}
        assert not later or heading in allowed, f"{heading}: {sorted(later)}"


@each_notebook
def test_links_lead_somewhere(path: Path) -> None:
    """Every relative link and picture exists."""
    for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", _prose(read(path))):
        assert (path.parent / target).exists(), target


@each_notebook
def test_cells_are_small(path: Path) -> None:
    """One idea a cell: code of a few lines, prose of a few sentences."""
    notebook = read(path)
    lines = [len(cell.source.splitlines()) for cell in _cells(notebook, "code")]
    assert statistics.median(lines) <= 4
    assert max(lines) <= 20
    prose = [_words(cell.source) for cell in _cells(notebook, "markdown")]
    assert statistics.quantiles(prose, n=4)[2] <= 60
    assert 1000 <= sum(prose) <= 2000


@each_notebook
def test_ideas_are_predicted_then_explained(path: Path) -> None:
    """Each idea runs predict, what happened, try it: the code stands between the first two."""
    notebook = read(path)
    for place, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown" and "**Predict.**" in cell.source:
            assert notebook.cells[place + 1].cell_type == "code", cell.source
        if cell.source.startswith("**What happened.**"):
            assert notebook.cells[place - 1].cell_type == "code", cell.source
    prose = _prose(notebook)
    predictions = prose.count("**Predict.**")
    assert predictions >= 3
    assert prose.count("**What happened.**") >= predictions
    assert prose.count("**Try it.**") >= 3


@each_notebook
def test_exercises_come_with_check_and_solution(path: Path) -> None:
    """At least two exercises: a stub, a check, and a folded solution, in this order."""
    notebook = read(path)
    kinds = [
        tag
        for cell in notebook.cells
        for tag in cell.metadata.get("tags", [])
        if tag in {"exercise", "check", "solution"}
    ]
    assert len(kinds) >= 6
    assert kinds == ["exercise", "check", "solution"] * (len(kinds) // 3)
    for cell in _cells(notebook, "code", "solution"):
        assert cell.metadata["jupyter"]["source_hidden"] is True
    for heading, _ in _by_heading(notebook):
        assert re.match(r"Exercise \d: |Stretch: |(?!Exercise|Stretch)", heading), heading
    stretches = len(re.findall(r"^## Stretch: ", _prose(notebook), re.M))
    assert stretches == (path.stem[:2] in STRETCHED)


@each_notebook
def test_needs_no_key_no_download_no_install(path: Path) -> None:
    """A learner offline and without a key can run every cell."""
    code = "\n".join(cell.source for cell in _cells(read(path), "code"))
    assert not re.search(
        r"^\s*[!%](pip|conda|wget|curl)|OPENAI_API_KEY\s*=|nest_asyncio", code, re.M
    )


@pytest.mark.parametrize(
    "path", [*NOTEBOOKS, *TRANSLATED], ids=lambda path: str(path.relative_to(FOLDER))
)
def test_outputs_are_stored_and_fresh(path: Path) -> None:
    """What a reader on the web sees came from the code they see: `make notebooks`, `make zh`."""
    notebook = read(path)
    assert notebook.metadata["nbkit"]["code_hash"] == code_hash(notebook)
    assert "widgets" not in notebook.metadata
    assert path.stat().st_size < 400_000
    for cell in _cells(notebook, "code"):
        assert cell.execution_count is not None
        for output in cell.outputs:
            assert output.get("name") != "stderr"
            assert "application/vnd.jupyter.widget-view+json" not in output.get("data", {})
            if output.output_type == "error":
                assert "raises-exception" in cell.metadata.tags
        if "raises-exception" in cell.metadata.get("tags", []):
            assert any(output.output_type == "error" for output in cell.outputs)


def test_the_map_shows_the_course() -> None:
    """Notebook 00 names every notebook, with a small picture of what it shows: `make gallery`."""
    place = _section(_prose(read(NOTEBOOKS[0])), "The map")
    for path in NOTEBOOKS:
        assert f"({path.name})" in place or path == NOTEBOOKS[0]
        assert f"(images/{path.stem}.webp)" in place
        assert (FOLDER / "images" / f"{path.stem}.webp").stat().st_size < 40_000


def test_the_course_fits_a_lesson() -> None:
    """Run All of everything takes at most fourteen minutes: the seconds `make notebooks` stored."""
    seconds = {path.stem: read(path).metadata["nbkit"].get("seconds") for path in NOTEBOOKS}
    assert None not in seconds.values(), f"run `make notebooks` for those without: {seconds}"
    assert max(seconds.values()) <= 100, seconds
    assert sum(seconds.values()) <= 840, seconds
