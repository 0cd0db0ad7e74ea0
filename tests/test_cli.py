import subprocess
import sys
from pathlib import Path

import pytest

from nbkit import cli


def test_alone_it_prints_help(capsys: pytest.CaptureFixture[str]) -> None:
    """`nbkit` without a command lists the commands."""
    cli.main([])
    said = capsys.readouterr().out
    for command in ("check", "serve", "teach"):
        assert f"\n    {command} " in said


@pytest.mark.parametrize("command", ["check", "serve", "teach"])
def test_each_command_explains_its_options(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--help` works for each command."""
    with pytest.raises(SystemExit) as left:
        cli.main([command, "--help"])
    assert left.value.code == 0
    assert f"usage: nbkit {command}" in capsys.readouterr().out


def test_an_error_is_one_line(tmp_path: Path) -> None:
    """What a reader can put right is said in one line, with exit code 1."""
    with pytest.raises(SystemExit) as left:
        cli.main(["teach", "live", "--out", str(tmp_path / "out"), "--from", str(tmp_path)])
    assert str(left.value.code).startswith("✗ There are no notebooks of the course in ")
    assert "\n" not in str(left.value.code)


def test_ctrl_c_ends_it_quietly(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An interrupt ends a command without a traceback."""

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("nbkit.teaching.editions.write_edition", interrupted)
    cli.main(["teach", "live", "--out", "nowhere"])
    assert capsys.readouterr().out == "\nStopped.\n"


@pytest.mark.process
def test_the_module_is_the_command() -> None:
    """`python -m nbkit` and the console script do the same."""
    script = Path(sys.executable).with_name("nbkit")
    outputs = {
        subprocess.run(command, capture_output=True, text=True, check=True).stdout
        for command in ([sys.executable, "-m", "nbkit"], [script])
    }
    assert len(outputs) == 1
