"""Each notebook in a real kernel, once: it runs top to bottom, then its exercises are tried."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from operator import attrgetter

import pytest
from nbformat import NotebookNode

from tests.execute_notebooks import all_notebooks, printed, read, run_more, running, shows
from tests.exercises import Attempt, exercises, right_answers, tags, wrong_answers
from tests.translation.build import LANGUAGE
from tests.translation.verdicts import Verdicts, of_notebook

NOTEBOOKS = all_notebooks()
TRANSLATED = all_notebooks(LANGUAGE)
ENGLISH = [
    pytest.param(path, marks=[pytest.mark.cluster] * path.stem.startswith("13"), id=path.stem)
    for path in NOTEBOOKS
]
CHINESE = [
    pytest.param(path, marks=pytest.mark.chinese, id=f"{LANGUAGE}-{path.stem}")
    for path in TRANSLATED
]
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@dataclass
class Tried:
    """What one kernel said: the notebook as it ran, and the verdicts on further answers."""

    notebook: NotebookNode
    stubs: list[str]
    translated: Verdicts | None
    solutions: list[str] = field(default_factory=list)
    wrong: list[tuple[Attempt, str]] = field(default_factory=list)
    right: list[tuple[Attempt, str]] = field(default_factory=list)


@pytest.fixture(scope="module", params=[*ENGLISH, *CHINESE])
def tried(request: pytest.FixtureRequest) -> Iterator[Tried]:
    """Run a notebook once, top to bottom, then every solution and wrong answer in its kernel."""
    path = request.param
    notebook = read(path)
    with running(notebook, speed=0) as kernel:
        found = exercises(notebook)
        translated = of_notebook(path.stem) if path in TRANSLATED else None
        tried = Tried(notebook, [printed(exercise.check) for exercise in found], translated)
        wrong, right = wrong_answers(path.stem), right_answers(path.stem)
        for number, exercise in enumerate(found, start=1):
            for cell in exercise.setup:
                run_more(kernel, cell.source)

            def verdict(source: str, check: str = exercise.check.source) -> str:
                run_more(kernel, source)
                return run_more(kernel, check)

            tried.solutions.append(verdict(exercise.solution.source))
            for answers, verdicts in ((wrong, tried.wrong), (right, tried.right)):
                mine = [answer for answer in answers if answer.exercise == number]
                typed = translated.tried if translated else attrgetter("source")
                verdicts += [(answer, verdict(typed(answer))) for answer in mine]
        yield tried


def _outputs(notebook: NotebookNode) -> list[tuple[NotebookNode, NotebookNode]]:
    """List all outputs, each with its cell."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [(cell, output) for cell in code for output in cell.outputs]


@pytest.mark.kernel
def test_runs_top_to_bottom(tried: Tried) -> None:
    """Run All works in a fresh kernel, and an untouched exercise is told it is not done yet."""
    assert all(verdict.startswith("✗") for verdict in tried.stubs)
    outputs = [output for _, output in _outputs(tried.notebook)]
    assert [o.text for o in outputs if o.get("name") == "stderr"] == []


@pytest.mark.kernel
def test_answers_and_figures_stay(tried: Tried) -> None:
    """What a run leaves: answers and figures, no widget in their place, the announced errors."""
    shown, failed = 0, []
    for cell, output in _outputs(tried.notebook):
        data = output.get("data", {})
        assert "application/vnd.jupyter.widget-view+json" not in data, cell.source
        shown += shows(output)
        if output.output_type == "error":
            failed.append(cell)
    assert shown >= 3
    code = [cell for cell in tried.notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code)
    assert failed == [cell for cell in code if "raises-exception" in tags(cell)]


@pytest.mark.kernel
def test_solutions_pass_their_checks(tried: Tried) -> None:
    """Each solution, put in place of its stub, gets the check's approval."""
    assert len(tried.solutions) == len(tried.stubs)
    for verdict in tried.solutions:
        assert verdict.startswith("✓"), verdict


@pytest.mark.kernel
def test_wrong_answers_get_their_own_hint(tried: Tried) -> None:
    """A common mistake is answered with what is wrong about it, not with the stub's verdict."""
    for answer, verdict in tried.wrong:
        shown = f"exercise {answer.exercise}:\n{answer.source}\n→ {verdict}"
        assert verdict.startswith("✗"), shown
        assert _says(tried, answer, verdict), f"no {answer.about!r} for {shown}"
        assert verdict != tried.stubs[answer.exercise - 1], shown


def _says(tried: Tried, answer: Attempt, verdict: str) -> bool:
    """Tell whether a verdict has an answer's hint, in the notebook's language."""
    if tried.translated is None:
        return answer.about in verdict
    check = exercises(tried.notebook)[answer.exercise - 1].check
    return tried.translated.says(check.id, answer.about, verdict)


@pytest.mark.kernel
def test_right_answers_of_another_form_are_accepted(tried: Tried) -> None:
    """An answer that does what was asked in another way than the solution passes its check."""
    for answer, verdict in tried.right:
        assert verdict.startswith("✓"), f"{answer.about}:\n{answer.source}\n→ {verdict}"


@each_notebook
def test_each_exercise_has_wrong_answers(path) -> None:
    """At least two common mistakes are tried on each exercise, and each has a hint of its own."""
    answers = wrong_answers(path.stem)
    count = Counter(answer.exercise for answer in answers)
    assert set(count) == set(range(1, len(exercises(read(path))) + 1))
    assert min(count.values()) >= 2
    assert len({(answer.exercise, answer.about) for answer in answers}) == len(answers)
