"""All benchmarks, one table after the other: `make bench`, or `make bench ARGS=startup`.

`other_rulers` runs only when it is named, for it installs 6 GB.
"""

import importlib
import sys

ALL = (
    "startup",
    "retrieval",
    "many_chunks",
    "answers",
    "fidelity",
    "first_chunk",
    "aquery_cpu",
    "thousand_streams",
    "displays",
    "agents",
    "loop_watch",
    "batch",
    "cluster",
    "serve",
    "known_truth",
    "latency_lab",
    "local",
    "profiles",
)


def main(names: list[str]) -> None:
    """Run the named benchmarks, or all."""
    for name in names or ALL:
        module = importlib.import_module(f"tests.benchmarks.{name}")
        assert module.__doc__ is not None
        print(f"\n── {name}: {module.__doc__.splitlines()[0]}", flush=True)
        module.main()


if __name__ == "__main__":
    main(sys.argv[1:])
