"""Translate the notebooks: `python -m tests.translation status|update|build|execute [04 ...]`.

    status    say what is missing, stale or wrong                       (a second)
    update    bring the catalogues up to date with the English notebooks
    build     write notebooks/zh/ from the catalogues, without running anything
    execute   all of this, and run the notebooks whose stored outputs come from other code

Each ends with the status. Without a number: all notebooks that have a catalogue; `update 04`
begins one.
"""

import argparse
import sys

import nbformat

from tests.execute_notebooks import FOLDER, all_notebooks, execute, read, tidy
from tests.translation import catalogue
from tests.translation.build import build, keep_outputs, link_from, place_of
from tests.translation.stale import problems


def _stems(numbers: list[str]) -> list[str]:
    """Give the notebooks with these numbers; without one, those that have a catalogue."""
    stems = [path.stem for path in all_notebooks()]
    if not numbers:
        return [stem for stem in stems if catalogue.path_of(stem).exists()]
    chosen = [stem for stem in stems if stem[:2] in {number[:2] for number in numbers}]
    return chosen or sys.exit(f"no notebook {' '.join(numbers)}")


def status(stems: list[str]) -> bool:
    """Print every problem; tells whether there is none."""
    found = [problem for stem in stems for problem in problems(stem)]
    print("\n".join(found) or "nothing is missing, stale or wrong")
    return not found


def update(stems: list[str]) -> None:
    """Bring catalogues up to date with their English notebooks, which link the translation."""
    for stem in stems:
        path, source = catalogue.path_of(stem), FOLDER / f"{stem}.ipynb"
        english = read(source)
        if link_from(english, stem):
            nbformat.write(english, source)
        wanted = catalogue.messages(english)
        catalogue.save(catalogue.update(catalogue.load(path), wanted), path)


def write(stems: list[str], *, run: bool, anew: bool = False) -> None:
    """Build notebooks; with `run` execute those whose outputs come from other code, or all."""
    for stem in stems:
        path = place_of(stem)
        notebook = build(read(FOLDER / f"{stem}.ipynb"), catalogue.load(catalogue.path_of(stem)))
        kept = keep_outputs(notebook, path)
        if run and (anew or not kept):
            seconds = execute(notebook)
            tidy(notebook, seconds)
            print(f"{path.name}: {seconds:.0f} s", flush=True)
        path.parent.mkdir(exist_ok=True)
        nbformat.write(notebook, path)


def main() -> None:
    """Do what the command line asks; exit code 1 if something is missing, stale or wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=["status", "update", "build", "execute"])
    parser.add_argument("numbers", nargs="*", metavar="04", help="which notebooks")
    parser.add_argument("--anew", action="store_true", help="execute even what is fresh")
    chosen = parser.parse_args()
    stems = _stems(chosen.numbers)
    if chosen.command in ("update", "execute"):
        update(stems)
    if chosen.command in ("build", "execute"):
        write(stems, run=chosen.command == "execute", anew=chosen.anew)
    sys.exit(not status(stems))


if __name__ == "__main__":
    main()
