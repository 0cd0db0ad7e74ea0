import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted([*(ROOT / "nbkit").rglob("*.py"), *(ROOT / "tests").rglob("*.py")])


def _tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [ROOT / name for name in listed.stdout.split("\0") if name]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_fits_a_room(path: Path) -> None:
    """No source file grows past what can be read in one sitting."""
    assert len(path.read_text("utf-8").splitlines()) <= 320


def test_every_test_states_its_rule() -> None:
    """Each test has a one-line docstring: the rule it guards."""
    silent = []
    for path in (ROOT / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            if is_function and node.name.startswith("test_"):
                doc = ast.get_docstring(node)
                if not doc or "\n" in doc.strip():
                    silent.append(f"{path.name}::{node.name}")
    assert silent == []


def test_async_tests_are_fast_ones() -> None:
    """Playwright keeps a loop running in the slow session, in which pytest-asyncio cannot run."""
    for path in (ROOT / "tests").rglob("test_*.py"):
        slow_file = "pytestmark" in path.read_text("utf-8")
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.AsyncFunctionDef) and node.name.startswith("test_"):
                marks = " ".join(ast.unparse(mark) for mark in node.decorator_list)
                slow = slow_file or re.search(r"mark\.(process|kernel|browser)", marks)
                assert not slow, f"{path.name}::{node.name}"


def test_no_drawer_modules() -> None:
    """A file's name tells what is found in it."""
    names = {path.stem for path in SOURCES}
    assert not names & {"utils", "util", "helpers", "helper", "common", "misc", "manager"}


def test_only_agreed_things_stand_at_the_top() -> None:
    """The top level holds the four folders, environment.yml and what a project needs."""
    agreed = {"notebooks", "nbkit", "data", "tests", "environment.yml"}
    agreed |= {"README.md", "LICENSE", "pyproject.toml", "Makefile"}
    visible = {path.relative_to(ROOT).parts[0] for path in _tracked()}
    assert {name for name in visible if not name.startswith(".")} <= agreed


def test_no_machine_paths_are_committed() -> None:
    """Nothing that is tracked names a folder of somebody's machine."""
    suspicious = re.compile(rb"(?<![\w.])/(?:home|root|Users|work)/\w")
    culprits = [
        path.relative_to(ROOT)
        for path in _tracked()
        if path.is_file() and path != Path(__file__) and suspicious.search(path.read_bytes())
    ]
    assert culprits == []
