import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import yaml
from llama_index.core.node_parser import SentenceSplitter

ROOT = Path(__file__).parent.parent
CONDA_NAMES = {"matplotlib-base": "matplotlib"}


def _squeezed(requirement: str) -> str:
    return requirement.replace(" ", "").lower()


def test_environment_file_and_pyproject_ask_for_the_same() -> None:
    """A conda or Binder user gets what a pip user gets with `[cluster]`, with the same bounds."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    listed = yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))["dependencies"]
    pip = next(entry["pip"] for entry in listed if isinstance(entry, dict))
    conda = [entry for entry in listed if isinstance(entry, str)]
    for ours, theirs in CONDA_NAMES.items():
        conda = [entry.replace(ours, theirs) for entry in conda]
    asked = {_squeezed(entry) for entry in [*conda, *pip]}
    tools = {"pip", "--editable.", "python>=3.11,<3.14"}
    wanted = project["dependencies"] + project["optional-dependencies"]["cluster"]
    assert asked - tools == {_squeezed(entry) for entry in wanted}
    assert project["requires-python"] == ">=3.11"


def test_the_tests_take_interrupts_where_their_caller_ignores_them() -> None:
    """Under `nohup make test &` SIGINT is ignored; what the tests start still feels one."""
    code = "import signal, tests.conftest; print(signal.getsignal(signal.SIGINT).__name__)"
    command = f"trap '' INT; {sys.executable} -c '{code}'"
    out = subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert out.stdout.strip() == "default_int_handler"


def test_import_costs_nothing() -> None:
    """`import nbkit` pulls in neither LlamaIndex nor Jupyter: names load when first used."""
    code = (
        "import sys, nbkit; "
        "print([m for m in sys.modules if m.split('.')[0] in "
        "('llama_index', 'IPython', 'anywidget', 'matplotlib', 'numpy', 'openai')])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_imports_keep_to_the_layers() -> None:
    """Imports go downwards only, and in no circle: the contracts in pyproject.toml."""
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


def test_every_public_name_exists_and_says_where_it_is_taught() -> None:
    """What `dir(nbkit)` promises can be imported, is documented, and names its notebook."""
    import nbkit

    for name in nbkit.__all__:
        doc = getattr(nbkit, name).__doc__ or ""
        assert doc.strip(), name
        assert name == "NbkitError" or "Taught in notebook" in doc, name


def test_one_module_imports_httpx_for_the_openai_client() -> None:
    """A new openai on another package than httpx changes one module; until then it is kept out."""
    importing = set()
    for path in (ROOT / "nbkit").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            if any(name.split(".")[0] in ("httpx", "httpx_aiohttp") for name in names):
                importing.add(path.relative_to(ROOT / "nbkit").as_posix())
    # The second speaks with nbkit's own process, not through openai.
    assert importing == {"models/http.py", "simulator/process.py"}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    (bound,) = [entry for entry in project["dependencies"] if entry.startswith("openai")]
    assert "<3" in bound


def test_what_is_installed_can_split_sentences() -> None:
    """The tutorial's own first block runs: nltk refuses word lists that are hard links."""
    split = SentenceSplitter(chunk_size=50, chunk_overlap=0).split_text("Hello there. " * 200)
    assert len(split) > 1
