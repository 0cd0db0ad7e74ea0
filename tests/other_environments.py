"""Run the fast tests in other environments, each in a venv of its own.

`pythons`: every other supported Python this machine has. `floors`: the oldest dependencies allowed.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
SUPPORTED = (11, 12, 13)
FAST = "not process and not kernel and not browser"


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


def prepare(name: str, python: str, resolution: str = "highest") -> Path:
    """Make the venv with the test dependencies, unless it is there and up to date."""
    venv = ROOT / name
    stamp, wanted = venv / ".made-for", (ROOT / "pyproject.toml").read_text("utf-8")
    if not stamp.exists() or stamp.read_text("utf-8") != wanted:
        uv = [sys.executable, "-m", "uv"]
        subprocess.run([*uv, "venv", "--quiet", "--clear", "--python", python, venv], check=True)
        subprocess.run(
            [
                *(*uv, "pip", "install", "--quiet", "--compile-bytecode", "--link-mode=copy"),
                *("--python", venv / "bin/python", "--resolution", resolution),
                *("--editable", ".[test]"),
            ],
            check=True,
            cwd=ROOT,
        )
        stamp.write_text(wanted, "utf-8")
    return venv


def passes(venv: Path) -> bool:
    """Run the fast tests in a venv."""
    workers = ["-n", "2", "--no-loadscope-reorder"]
    command = [venv / "bin/pytest", "-q", "-m", FAST, "-p", "no:cacheprovider", *workers]
    return subprocess.run(command, check=False, cwd=ROOT).returncode == 0


def try_other_pythons() -> None:
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
        if not passes(prepare(f".venv-3.{minor}", python)):
            failed.append(f"3.{minor}")
    if failed:
        sys.exit(f"The fast tests failed on Python {', '.join(failed)}.")


def try_floors() -> None:
    """Test with the oldest version of each dependency that pyproject.toml allows."""
    print("The oldest dependencies allowed: fast tests", flush=True)
    if not passes(prepare(".venv-floors", sys.executable, "lowest-direct")):
        sys.exit("The fast tests failed with the oldest dependencies that pyproject.toml allows.")


if __name__ == "__main__":
    {"pythons": try_other_pythons, "floors": try_floors}[sys.argv[1]]()
