import asyncio
import threading
from base64 import b64decode
from typing import Any

import matplotlib as mpl
import pytest

mpl.use("Agg")

import matplotlib.pyplot as plt

from nbkit import explore
from nbkit.metrics.requests import NotMeasured
from tests.experiments import experiment, measurement, several


def swept(**fields: Any) -> Any:
    return experiment([*several("a"), *several("b", load=4, slower=2), *several("b")], **fields)


@pytest.mark.parametrize("figure", range(6))
def test_every_figure_is_drawn(figure: int) -> None:
    """Each choice gives a picture, drawn without pyplot, and words for who cannot see it."""
    shown = explore(swept())
    shown.figure.value = shown.figure.options[figure]
    picture = shown.picture()
    assert b64decode(picture["image/png"]).startswith(b"\x89PNG")
    assert picture["text/plain"] == f"{shown.figure.value}: a, b"
    assert plt.get_fignums() == []


def test_runs_of_several_experiments_are_told_apart() -> None:
    """Experiments by name give their runs under it, and what is chosen is what is drawn."""
    shown = explore({"before": swept(), "after": swept()})
    assert shown.runs.options == ("before: a", "before: b", "after: a", "after: b")
    shown.runs.value = ("before: a", "after: a")
    assert shown.picture()["text/plain"] == "time to first token: before: a, after: a"


def test_what_cannot_be_drawn_is_said_in_its_place() -> None:
    """No run, or a run that was not measured at that load: words where the figure would be."""
    shown = explore(swept())
    shown.runs.value = ()
    assert shown.picture()["text/plain"].startswith("Choose at least one run")
    shown.runs.value, shown.load.value = ("a",), ("concurrency", 4)
    assert set(shown.picture()) == {"text/plain", "text/html"}


def test_loads_of_two_kinds_are_kept_apart() -> None:
    """Four at once is not four arriving a second: the list of loads says which, a choice is one."""
    arriving = experiment(several("b", load=4), kind="rate")
    shown = explore({"closed": experiment(several("a", load=4)), "open": arriving})
    assert [name for name, _ in shown.load.options][1:] == [
        "4 requests at once",
        "4 requests arriving a second",
    ]
    assert shown.load.label == "all loads"
    shown.load.value = ("rate", 4)
    shown.runs.value = ("closed: a",)
    assert set(shown.picture()) == {"text/plain", "text/html"}
    shown.runs.value = ("open: b",)
    assert "image/png" in shown.picture()


def test_one_load_has_no_knee_to_choose() -> None:
    """A knee is offered only where several loads were measured."""
    assert len(explore(experiment(several("a"))).figure.options) == 5


async def test_a_choice_made_in_a_thread_is_drawn_by_the_loop() -> None:
    """Front ends call back in threads of their own, where matplotlib is not safe."""
    shown = explore(swept())
    shown._ipython_display_()
    drawn: list[threading.Thread] = []
    shown._renew = lambda: drawn.append(threading.current_thread())  # type: ignore[method-assign]
    thread = threading.Thread(target=lambda: setattr(shown.figure, "value", "end-to-end latency"))
    thread.start()
    thread.join()
    assert drawn == []
    await asyncio.sleep(0)
    assert drawn == [threading.main_thread()]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (5, "Got int where an experiment was expected"),
        ({}, "Got NoneType where an experiment was expected"),
        (experiment([measurement(state="failed", error="gone")]), "Not one request of this"),
    ],
)
def test_only_experiments_are_explored(given: Any, message: str) -> None:
    """Anything else, and what holds no answer, is one clear error."""
    with pytest.raises(NotMeasured, match=message):
        explore(given)
