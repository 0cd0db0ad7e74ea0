"""How long `import nbkit` takes, beside `import llama_index.core`."""

import statistics
import subprocess
import sys

ROUNDS = 7
_TIMED = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"


def _seconds(module: str) -> float:
    command = [sys.executable, "-c", _TIMED.format(module)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    """Print the medians of fresh processes, taken in turns, and their ratio."""
    ours, theirs = [], []
    for _ in range(ROUNDS):
        ours.append(_seconds("nbkit"))
        theirs.append(_seconds("llama_index.core"))
    nbkit, llama = statistics.median(ours), statistics.median(theirs)
    print(f"import nbkit            {1000 * nbkit:8.1f} ms")
    print(f"import llama_index.core {1000 * llama:8.1f} ms")
    print(f"ratio                   {100 * nbkit / llama:8.1f} %   (goal: at most 10 %)")


if __name__ == "__main__":
    main()
