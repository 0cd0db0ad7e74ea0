"""What a reader sees: how late, how smoothly and how completely, in a real JupyterLab."""

import ast
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from statistics import median

from playwright.sync_api import Browser, Page, sync_playwright
from playwright.sync_api import TimeoutError as TooLate

from tests.benchmarks.displays.kernel_side import BURST, RATE, SETUP
from tests.benchmarks.displays.peers import DELTAS, FLOOR, GRID, NONE, OURS, PEERS, SHOW, missing
from tests.benchmarks.displays.table import print_table, spread
from tests.benchmarks.displays.workload import answer, letters, visible_forms
from tests.browser.conftest import FLAGS, Lab, open_notebook, running_lab
from tests.browser.install import browser_path

PROBE = (Path(__file__).parent / "probe.js").read_text("utf-8")
TOKENS = 200
PATIENCE = 5.0
"""Seconds to wait for what is missing after the kernel has said that it is done."""
STUCK = 30.0
"""Seconds to wait for the kernel: iopub may have lost its last word."""
LATE_MS, FOREIGN, RELOAD_EVERY = 1_000, 4_000, 5
MARKDOWN_10_HZ, VALUE = "update_display(Markdown) at 10 Hz", "ipywidgets.HTML.value"
CASES = (
    (1, [label for label in [*PEERS, GRID] if label not in (NONE, GRID)]),
    (8, [FLOOR, MARKDOWN_10_HZ, VALUE, DELTAS, SHOW, GRID]),
    (64, [FLOOR, DELTAS, SHOW, GRID]),
)


@dataclass
class Shown:
    """One run as the page saw it; milliseconds."""

    last: float | None
    """From the last token produced to the frame that shows it; `None` if it never came."""
    ages: list[float]
    """The same for every marker of every stream that was ever seen."""
    tasks: list[float]
    """Lengths of the long tasks (over 50 ms) in the page."""
    right: bool
    """All streams stood there, letter by letter, once."""


class Notebook:
    """A notebook of one cell, open in a page, with the probe beside it."""

    def __init__(self, page: Page, lab: Lab, name: str) -> None:
        self._page, self._lab = page, lab
        self._name = lab.write(name, "")
        self.open()
        self._ask(SETUP, "0")

    def open(self) -> None:
        """Load the page anew; the kernel, and what it has imported, stay."""
        open_notebook(self._page, self._lab, self._name)
        self._page.evaluate(PROBE)

    def run(
        self,
        label: str,
        streams: int = 1,
        tokens: int = TOKENS,
        rate: float | None = RATE,
        *,
        foreign: int = 0,
        late: int = 0,
    ) -> Shown:
        """Run a display in the cell, wait until all of it is visible, and compare."""
        code = f"result = await measure({label!r}, {streams}, {tokens}, {rate}, {foreign})"
        self._page.evaluate("([code, late]) => probe.start(code, late)", [code, late])
        ends = [f"{stream}.end" for stream in range(streams)]
        self._wait("probe.ended", STUCK)
        self._wait(f"probe.missing({ends}) === 0", PATIENCE)
        self._page.wait_for_timeout(500)  # long enough to catch what takes its text back
        found = self._page.evaluate("probe.stop()")
        produced: dict[str, float] = ast.literal_eval(self._ask("", "repr(result['produced'])"))
        seen, text = found["seen"], letters(found["text"])
        forms = (visible_forms("".join(answer(tokens, stream))) for stream in range(streams))
        delays = {name: seen[name] - 1000 * at for name, at in produced.items() if name in seen}
        return Shown(
            last=max(delays[end] for end in ends) if delays.keys() >= set(ends) else None,
            ages=list(delays.values()),
            tasks=found["tasks"],
            right=all(sum(map(text.count, either)) == 1 for either in forms),
        )

    def _wait(self, condition: str, seconds: float) -> None:
        with suppress(TooLate):  # what is missing shows in the figures
            self._page.wait_for_function(condition, timeout=1000 * seconds)

    def _ask(self, code: str, expression: str) -> str:
        asked = self._page.evaluate("([code, it]) => probe.ask(code, it)", [code, expression])
        return str(ast.literal_eval(asked))


def _row(label: str, streams: int, runs: list[Shown]) -> list[str]:
    last = [run.last for run in runs if run.last is not None]
    never = len(runs) - len(last)
    tasks = list(chain.from_iterable(run.tasks for run in runs))
    ages = list(chain.from_iterable(run.ages for run in runs))
    return [
        label,
        str(streams),
        str(len(runs)),
        (spread(last) if last else "") + (f" never in {never}" if never else ""),
        f"{median(ages):.0f}" if ages else "",
        f"{len(tasks)}" + (f" (≤ {max(tasks):.0f} ms)" if tasks else ""),
        f"{sum(run.right for run in runs)}/{len(runs)}",
    ]


def latency(browser: Browser, lab: Lab, rounds: int) -> None:
    """Print how late, how smoothly and how completely paced streams appear."""
    head = ("display", "streams", "n", "last token → visible, ms", "median age of text, ms")
    head += ("long tasks", "complete & correct")
    rows = [["**goal**", "1, 8, 64", "", "≤ 100", "", "0", "all"]]
    notebook = Notebook(browser.new_page(), lab, "latency.ipynb")
    for streams, labels in CASES:
        for label in labels:
            if reason := missing(label):
                rows.append([label, str(streams), reason])
                continue
            notebook.run(label, 1, 20)  # the first of its kind loads code
            turns = rounds if label in OURS else 1
            rows.append(_row(label, streams, [notebook.run(label, streams) for _ in range(turns)]))
    print_table(head, rows)
    print(f"\n{TOKENS} tokens a stream at {RATE:.0f}/s each. Median (min–max) of n.\n")


def correctness(browser: Browser, lab: Lab, runs: int) -> None:
    """Print in how many bursts the answer was complete and correct, against odds."""
    rows = [["**goal**", f"{runs}/{runs}"]]
    for label in (MARKDOWN_10_HZ, DELTAS, SHOW, GRID):
        if reason := missing(label):
            rows.append([label, reason])
            continue
        turns = runs if label == SHOW else min(runs, RELOAD_EVERY)
        notebook = Notebook(browser.new_page(), lab, "correctness.ipynb")
        right = 0
        for turn in range(turns):
            if turn and turn % RELOAD_EVERY == 0:
                notebook.open()
            right += notebook.run(label, 1, BURST, None, foreign=FOREIGN, late=LATE_MS).right
        rows.append([label, f"{right}/{turns}"])
    print_table(("display", "complete & correct"), rows)
    print(
        f"\n{BURST:,} tokens as fast as the loop turns, and {FOREIGN:,} messages of another widget "
        f"among and after them. The page is newly loaded every {RELOAD_EVERY} runs, and late: it "
        f"does nothing for {LATE_MS / 1000:.0f} s once the kernel has been asked.\n"
    )


def _show_all_outputs(lab: Lab) -> None:
    """Have JupyterLab show more than the first 50 outputs of a cell: 64 displays are compared."""
    file = lab.folder / ".settings/@jupyterlab/notebook-extension/tracker.jupyterlab-settings"
    file.parent.mkdir(parents=True)
    file.write_text('{"maxNumberOutputs": 100}', "utf-8")


def main(rounds: int = 3, runs: int = 30) -> None:
    """Print both tables."""
    with (
        tempfile.TemporaryDirectory() as folder,
        running_lab(Path(folder)) as lab,
        sync_playwright() as playwright,
    ):
        _show_all_outputs(lab)
        browser = playwright.chromium.launch(executable_path=browser_path(), args=FLAGS)
        latency(browser, lab, rounds)
        correctness(browser, lab, runs)
        browser.close()


if __name__ == "__main__":
    main()
