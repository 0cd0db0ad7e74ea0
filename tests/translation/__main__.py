"""Translate the course: `python -m tests.translation status|update|build|execute [04 ...]`.

    status    say what is missing, stale or wrong                       (a second)
    update    bring the catalogues up to date with the English course
    build     write notebooks/zh/, README.zh.md and the guide, without running anything
    execute   all of this, and run the notebooks whose stored outputs come from other code

Each ends with the status. Without a number: both documents, and all notebooks that have a
catalogue; `update 04` begins one. The documents are called `README` and `guide`.
"""

import argparse
import sys

import nbformat

from tests.execute_notebooks import FOLDER, all_notebooks, execute, read, tidy
from tests.translation import catalogue, document, stale
from tests.translation.build import build, keep_outputs, link_from, place_of


def _stems(numbers: list[str]) -> list[str]:
    """Give what has these numbers or names; without one, all that has a catalogue."""
    stems = [*document.DOCUMENTS, *(path.stem for path in all_notebooks())]
    if not numbers:
        return [stem for stem in stems if catalogue.path_of(stem).exists()]
    chosen = [stem for stem in stems if stem[:2] in {number[:2] for number in numbers}]
    return chosen or sys.exit(f"no notebook {' '.join(numbers)}")


def status(stems: list[str]) -> bool:
    """Print every problem; tells whether there is none."""
    found = [
        problem
        for stem in stems
        for problem in (document if stem in document.DOCUMENTS else stale).problems(stem)
    ]
    print("\n".join(found) or "nothing is missing, stale or wrong")
    return not found


def update(stems: list[str]) -> None:
    """Bring catalogues up to date with their English notebooks, which link the translation."""
    for stem in stems:
        if stem in document.DOCUMENTS:
            document.update(stem)
            continue
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
    parser.add_argument("numbers", nargs="*", metavar="04", help="which notebooks, or documents")
    parser.add_argument("--anew", action="store_true", help="execute even what is fresh")
    chosen = parser.parse_args()
    stems = _stems(chosen.numbers)
    if chosen.command in ("update", "execute"):
        update(stems)
    if chosen.command in ("build", "execute"):
        notebooks = [stem for stem in stems if stem not in document.DOCUMENTS]
        write(notebooks, run=chosen.command == "execute", anew=chosen.anew)
        for name in document.DOCUMENTS:  # All of them: they link the notebooks that are there.
            document.write(name)
    sys.exit(not status(stems))


if __name__ == "__main__":
    main()
