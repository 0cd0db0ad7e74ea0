"""Run the fast tests on every other supported Python this machine has, each in its own venv."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
SUPPORTED = (11, 12, 13)


def find_python(minor: int) -> str | None:
    """Find an interpreter of Python 3.`minor` that really starts (pyenv's shims may not)."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    candidates = [
        shutil.which(f"python3.{minor}"),
        *sorted(map(str, pyenv.glob(f"versions/3.{minor}.*/bin/python3")), reverse=True),
    ]
    for candidate in filter(None, candidates):
        probe = subprocess.run(
            [candidate, "-c", "import sys, venv; print(sys.version_info.minor)"],
            capture_output=True,
            text=True,
            check=False,
        )
        if probe.stdout.strip() == str(minor):
            return candidate
    return None


def prepare(python: str, minor: int) -> Path:
    """Make `.venv-3.x` with the test dependencies, unless it is there and up to date."""
    venv = ROOT / f".venv-3.{minor}"
    stamp, wanted = venv / ".made-for", (ROOT / "pyproject.toml").read_text("utf-8")
    if not stamp.exists() or stamp.read_text("utf-8") != wanted:
        uv = [sys.executable, "-m", "uv"]
        subprocess.run([*uv, "venv", "--quiet", "--clear", "--python", python, venv], check=True)
        subprocess.run(
            [
                *(*uv, "pip", "install", "--quiet", "--compile-bytecode"),
                *("--python", venv / "bin/python", "--editable", ".[test]"),
            ],
            check=True,
            cwd=ROOT,
        )
        stamp.write_text(wanted, "utf-8")
    return venv


def main() -> None:
    """Test on each; say which ones this machine lacks; fail if any fails."""
    failed = []
    for minor in SUPPORTED:
        if minor == sys.version_info.minor:
            continue
        python = find_python(minor)
        if python is None:
            print(f"Python 3.{minor}: not on this machine, not tested", flush=True)
            continue
        print(f"Python 3.{minor}: fast tests", flush=True)
        pytest = prepare(python, minor) / "bin/pytest"
        command = [
            pytest,
            "-q",
            "-m",
            "not process and not kernel and not browser",
            "-p",
            "no:cacheprovider",
        ]
        if subprocess.run(command, check=False, cwd=ROOT).returncode:
            failed.append(f"3.{minor}")
    if failed:
        sys.exit(f"The fast tests failed on Python {', '.join(failed)}.")


if __name__ == "__main__":
    main()
