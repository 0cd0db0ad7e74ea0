import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from nbkit.teaching import editions
from nbkit.teaching.editions import EditionError, write_edition
from tests.execute_notebooks import FOLDER, all_notebooks, printed, read, running
from tests.exercises import exercises, tags

ROOT = FOLDER.parent
NAMES = [path.name for path in all_notebooks()]


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All three editions of the whole course, side by side."""
    folder = tmp_path_factory.mktemp("shelf")
    for edition in ("live", "exercise", "solutions"):
        write_edition(edition, folder / edition)
    return folder


def _pairs(folder: Path) -> list[tuple[NotebookNode, NotebookNode]]:
    return [(read(FOLDER / name), read(folder / name)) for name in NAMES]


def _sources(notebook: NotebookNode, kind: str) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == kind]


@pytest.mark.parametrize("edition", ["live", "exercise", "solutions"])
def test_an_edition_opens(shelf: Path, edition: str) -> None:
    """Each is the whole course in valid notebooks, without a single stored output."""
    assert sorted(path.name for path in (shelf / edition).glob("*.ipynb")) == NAMES
    for before, after in _pairs(shelf / edition):
        nbformat.validate(after)
        assert after.metadata.kernelspec == before.metadata.kernelspec
        for cell in after.cells:
            assert not cell.get("outputs")
            assert "solution" not in tags(cell)


@pytest.mark.parametrize("edition", ["live", "exercise", "solutions"])
def test_prose_is_kept_and_its_links_work(shelf: Path, edition: str) -> None:
    """Every word stays where it was; pictures and notebooks it points at are there."""
    for before, after in _pairs(shelf / edition):
        words = [
            [editions._LINK.sub(r"\2", text) for text in _sources(notebook, "markdown")]
            for notebook in (before, after)
        ]
        assert words[0] == words[1]
        for link in editions._LINK.findall("\n".join(_sources(after, "markdown"))):
            assert (shelf / edition / link[2]).is_file(), link


def test_exercise_edition_tells_no_solution(shelf: Path) -> None:
    """No solution's code is anywhere in the files; stubs and checks are as in the course."""
    for before, after in _pairs(shelf / "exercise"):
        text = "\n".join(_sources(after, "code"))
        for exercise in exercises(before):
            assert exercise.solution.source not in text
            assert exercise.stub.source in text
            assert exercise.check.source in text


def test_solutions_stand_in_place_of_stubs(shelf: Path) -> None:
    """Each stub holds its solution, once, and nothing else has changed."""
    for before, after in _pairs(shelf / "solutions"):
        solutions = iter([exercise.solution.source for exercise in exercises(before)])
        expected = [
            next(solutions) if "exercise" in tags(cell) else cell.source
            for cell in before.cells
            if cell.cell_type == "code" and "solution" not in tags(cell)
        ]
        assert _sources(after, "code") == expected


def test_live_edition_is_ready_to_be_typed(shelf: Path) -> None:
    """A number stands for the code, which the crib sheet has; what is not typed can be run."""
    for name, (before, after) in zip(NAMES, _pairs(shelf / "live"), strict=True):
        crib = (shelf / "live" / name).with_suffix(".crib.md").read_text("utf-8")
        code = {cell.id: cell.source for cell in before.cells}
        typed = [c for c in after.cells if c.cell_type == "code" and c.source != code[c.id]]
        assert [cell.source for cell in typed] == [f"# {n}" for n in range(1, len(typed) + 1)]
        assert len(typed) >= 8
        for number, cell in enumerate(typed, start=1):
            assert f"\n{number}.\n\n```python\n{code[cell.id]}\n```\n" in crib
            assert len(code[cell.id].splitlines()) <= editions.TYPED
        for exercise in exercises(before):
            assert exercise.check.source in [cell.source for cell in after.cells]
            assert exercise.solution.source in crib


def test_one_notebook_alone(tmp_path: Path) -> None:
    """By number or name; what it links to and was left behind becomes plain words."""
    one = write_edition("exercise", tmp_path / "one", notebooks=["4"])
    assert [path.name for path in one] == ["04_concurrent_queries.ipynb"]
    top = read(one[0]).cells[0].source
    assert "← Previous: 03 Chat streaming" in top
    assert "](" not in top
    names = ["05_streaming_concurrently.ipynb", "04"]
    two = write_edition("live", tmp_path / "two", notebooks=names)
    assert [path.stem[:2] for path in two] == ["04", "05"]
    assert "(05_streaming_concurrently.ipynb)" in read(two[0]).cells[0].source


def test_pictures_come_along(tmp_path: Path) -> None:
    """A picture in the prose is copied to where the edition looks for it; one outside is not."""
    course = tmp_path / "course"
    (course / "images").mkdir(parents=True)
    (course / "images/a b.webp").write_bytes(b"picture")
    (tmp_path / "private.webp").write_bytes(b"secret")
    (course / "README.md").write_text("for teachers")
    prose = "![one](images/a%20b.webp) ![two](../private.webp) [far](https://example.org/x)"
    prose += " [guide](README.md)"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(prose)])
    nbformat.write(notebook, course / "00_start_here.ipynb")
    written = write_edition("live", tmp_path / "out", source=course)
    assert (tmp_path / "out/images/a b.webp").read_bytes() == b"picture"
    kept = prose.replace("![two](../private.webp)", "two").replace("[guide](README.md)", "guide")
    assert read(written[0]).cells[0].source == kept
    assert not (tmp_path / "out" / "README.md").exists()
    assert list(tmp_path.rglob("private.webp")) == [tmp_path / "private.webp"]


def test_work_is_never_overwritten(tmp_path: Path) -> None:
    """A folder with anything in it is refused, and stays as it was; an empty one is taken."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/04_concurrent_queries.ipynb").write_text("my answers")
    with pytest.raises(EditionError, match=r"mine is not empty.*name a new folder"):
        write_edition("exercise", tmp_path / "mine")
    assert [path.read_text() for path in (tmp_path / "mine").iterdir()] == ["my answers"]
    with pytest.raises(EditionError, match=r"could not be written .*name another folder"):
        write_edition("exercise", tmp_path / "mine/04_concurrent_queries.ipynb")
    assert (tmp_path / "mine/04_concurrent_queries.ipynb").read_text() == "my answers"
    (tmp_path / "empty").mkdir()
    assert write_edition("exercise", tmp_path / "empty", notebooks=["00"])


def test_an_edition_is_whole_or_not_there(tmp_path: Path) -> None:
    """A damaged notebook leaves nothing behind."""
    course = tmp_path / "course"
    shutil.copytree(FOLDER, course)
    (course / "01_streaming.ipynb").write_text("{}")
    with pytest.raises(EditionError, match=r"01_streaming\.ipynb is not a notebook"):
        write_edition("live", tmp_path / "out", source=course)
    assert [path.name for path in tmp_path.iterdir()] == ["course"]


def test_a_path_through_a_file(tmp_path: Path) -> None:
    """A folder that cannot exist is told in one line."""
    (tmp_path / "file").write_text("")
    with pytest.raises(EditionError, match=r"could not be written \(.+\) — name another folder"):
        write_edition("live", tmp_path / "file" / "out", notebooks=["00"])


@pytest.mark.parametrize(
    ("edition", "wanted", "message"),
    [
        ("blank", [], "no edition 'blank' — choose live, exercise, solutions."),
        ("live", ["44"], "no notebook '44' — choose from 00_start_here, 01_"),
        ("live", ["04_concurent_queries"], "no notebook '04_concurent_queries'"),
        ("live", [""], "no notebook ''"),
    ],
)
def test_unknown_names(tmp_path: Path, edition: str, wanted: list[str], message: str) -> None:
    """A name that means nothing is refused with those that do, before anything is written."""
    with pytest.raises(EditionError) as refused:
        write_edition(edition, tmp_path / "out", notebooks=wanted)
    assert message in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_the_chinese_course(tmp_path: Path) -> None:
    """Its notebooks, with the pictures of the course; only code of ideas is taken out."""
    written = write_edition("live", tmp_path / "zh", notebooks=["00", "01"], lang="zh")
    assert [path.name for path in written] == NAMES[:2]
    notebooks = [read(path) for path in written]
    text = "\n".join(part for one in notebooks for part in _sources(one, "markdown"))
    links = [link[2].partition("#")[0] for link in editions._LINK.findall(text)]
    assert any(link.startswith("images/") for link in links)
    assert [link for link in links if not (tmp_path / "zh" / link).is_file()] == []
    crib = (tmp_path / "zh" / "01_streaming.crib.md").read_text("utf-8")
    assert "## 练习 1" in crib  # its solution, for the teacher
    assert "## 要做什么" not in crib


def test_a_language_that_is_not_there(tmp_path: Path) -> None:
    """The error names the languages in which the course exists."""
    with pytest.raises(EditionError, match="in the language 'fr' — choose from en, zh"):
        write_edition("live", tmp_path / "fr", lang="fr")


def test_another_folder_of_notebooks(tmp_path: Path) -> None:
    """A teacher's own copy of the course can be the source; a folder without any is refused."""
    assert write_edition("live", tmp_path / "out", source=FOLDER, notebooks=["00"])
    with pytest.raises(EditionError, match=r"no notebooks of the course in .*00_start_here"):
        write_edition("live", tmp_path / "other", source=tmp_path)


@pytest.mark.process
def test_from_an_installed_wheel(tmp_path: Path) -> None:
    """The wheel holds the notebooks: its command writes an edition far from the repository."""
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "build", "--quiet", "--wheel", "--out-dir", tmp_path, ROOT], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    site = tmp_path / "site"
    install = [*uv, "pip", "install", "--quiet", "--no-deps", "--python", sys.executable]
    subprocess.run([*install, "--target", site, wheel], check=True)
    done = subprocess.run(
        [sys.executable, site / "bin" / "nbkit", "teach", "exercise", "--out", "class"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
    )
    assert done.stderr == ""
    assert sorted(path.name for path in (tmp_path / "class").glob("*.ipynb")) == NAMES
    assert (site / "nbkit" / "data" / "en").is_dir()


def _command(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "nbkit", "teach", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.process
def test_the_command(tmp_path: Path) -> None:
    """A line for each notebook, then where they are; refusals are one line, with an exit code."""
    done = _command("exercise", "--out", tmp_path / "out", "--notebook", "03", "--notebook", "4")
    assert done.returncode == 0
    assert [line[:2] for line in done.stdout.splitlines()] == ["03", "04", "✓ "]
    again = _command("exercise", "--out", tmp_path / "out")
    assert (again.returncode, again.stdout) == (1, "")
    assert again.stderr.startswith("✗ ")
    assert again.stderr.count("\n") == 1
    assert _command("blank", "--out", tmp_path / "x").returncode == 2
    assert "crib" in _command("--help").stdout


@pytest.mark.kernel
def test_solutions_edition_passes_its_checks(shelf: Path) -> None:
    """Run All of a notebook from the solutions edition: every verdict is a yes."""
    notebook = read(shelf / "solutions" / "05_streaming_concurrently.ipynb")
    with running(notebook, speed=0):
        verdicts = [printed(cell) for cell in notebook.cells if "check" in tags(cell)]
    assert len(verdicts) >= 2
    assert all(verdict.startswith("✓") for verdict in verdicts), verdicts


@pytest.mark.kernel
def test_live_edition_typed_from_its_crib(shelf: Path) -> None:
    """A teacher who types what the crib sheet says, cell by cell, gets through the lesson."""
    notebook = read(shelf / "live" / "01_streaming.ipynb")
    crib = (shelf / "live" / "01_streaming.crib.md").read_text("utf-8")
    for cell in notebook.cells:
        if cell.source.startswith("# ") and cell.source[2:].isdecimal():
            _, _, rest = crib.partition(f"\n{cell.source[2:]}.\n\n```python\n")
            cell.source = rest.partition("\n```\n")[0]
    with running(notebook, speed=0):
        assert all(printed(cell) for cell in notebook.cells if "check" in tags(cell))
