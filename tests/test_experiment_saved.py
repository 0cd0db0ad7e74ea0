import json
from pathlib import Path

import pytest

from nbkit import Experiment
from nbkit.experiment.measurements import ExperimentError
from tests.experiments import experiment, measurement, several


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    """Parameters, figures and errors survive; only what was to be kept private does not."""
    bad = measurement("b", state="failed", error="StreamBroken: said What is secret?", late=0.1)
    made = experiment([*several("a"), bad], planned=20)
    loaded = Experiment.load(made.save(tmp_path / "new" / "run.jsonl"))
    assert (loaded.table() - made.table()).abs().max().max() < 1e-5
    assert (loaded.kind, loaded.planned, loaded.environment) == (made.kind, 20, made.environment)
    assert loaded.parameters == made.parameters
    assert loaded.stopped
    assert loaded.failures == {"StreamBroken": 1}
    assert loaded.results[-1].late == 0.1
    first, then = loaded.results[0].trace, made.results[0].trace
    assert first.gaps == pytest.approx(then.gaps)
    assert (first.tokens, first.model, first.sizes) == (5, "m", then.sizes)
    assert first.before_call == pytest.approx(0.1)


def test_where_it_is_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`~` is the home folder; a name of no file, or one that cannot be written, is a sentence."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    made = experiment([measurement()])
    assert made.save("~/run.jsonl") == tmp_path / "run.jsonl"
    assert len(Experiment.load("~/run.jsonl").results) == 1
    for wrong in ("", ".", str(tmp_path), tmp_path / "run.jsonl" / "below"):
        with pytest.raises(ExperimentError, match=" — "):
            made.save(wrong)
        with pytest.raises(ExperimentError, match=" — "):
            Experiment.load(wrong)


def test_text_is_saved_only_if_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No question, answer or server's words in the file unless `text=True`; a key never."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-verysecretkey")
    bad = measurement(state="failed", error="StreamBroken: sk-verysecretkey is wrong, secret words")
    made = experiment([measurement(text="the secret answer"), bad])
    path = tmp_path / "run.jsonl"
    assert "secret" not in made.save(path).read_text("utf-8")
    assert Experiment.load(path).questions is None
    told = made.save(path, text=True).read_text("utf-8")
    assert "verysecretkey" not in told
    loaded = Experiment.load(path)
    assert loaded.questions == ["What is secret?"]
    assert loaded.results[0].text == "the secret answer"
    assert list(loaded.failures) == ["StreamBroken: [key] is wrong, secret words"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["run.jsonl"]


def test_a_torn_line_is_left_out(tmp_path: Path) -> None:
    """A file cut in the middle of its last line gives all before it, as one that was stopped."""
    path = experiment(several("a")).save(tmp_path / "run.jsonl")
    path.write_bytes(path.read_bytes()[:-20])
    loaded = Experiment.load(path)
    assert len(loaded.results) == 11
    assert loaded.stopped


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not an experiment that nbkit saved"),
        ("hello\n", "not an experiment that nbkit saved"),
        ('{"nbkit_journal":1}\n', "not an experiment that nbkit saved"),
        (
            '{"nbkit_experiment":99}\n',
            r"another nbkit version \(format 99, this reads 3\) — load it with that version",
        ),
        ('{"nbkit_experiment":"x"}\n', "not an experiment that nbkit saved"),
        ('{"nbkit_experiment":3}\n', "not an experiment that nbkit saved"),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: str, message: str) -> None:
    """Other files, and those of another version, are refused in words."""
    path = tmp_path / "run.jsonl"
    path.write_text(content, "utf-8")
    with pytest.raises(ExperimentError, match=message):
        Experiment.load(path)


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    """A line in the middle that is no request is named; nothing is guessed."""
    path = experiment(several("a")).save(tmp_path / "run.jsonl")
    lines = path.read_text("utf-8").splitlines()
    lines[3] = json.dumps({"label": "a"})
    path.write_text("\n".join([*lines, ""]), "utf-8")
    with pytest.raises(ExperimentError, match=r"Line 4 of .* is not a request of an experiment"):
        Experiment.load(path)
    with pytest.raises(ExperimentError, match="There is no file"):
        Experiment.load(tmp_path / "other.jsonl")
