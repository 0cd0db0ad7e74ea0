"""What a screen reader says of a figure."""

from typing import Any

import pytest

from nbkit import plots
from nbkit.plots.alt_text import alt_text
from tests.test_plots_style import EVERY_PLOT, trace

each_plot = pytest.mark.parametrize("draw", EVERY_PLOT.values(), ids=list(EVERY_PLOT))


@each_plot
def test_every_plot_says_what_it_found(draw: Any) -> None:
    """The text has the title, a figure that was measured, and what the axes are."""
    ax = draw("a < b", None)
    said = alt_text(ax.figure)
    assert said.startswith(ax.get_title())
    assert any(char.isdigit() for char in said.removeprefix(ax.get_title()))
    assert f"Across: {ax.get_xlabel()}." in said


def test_a_title_set_later_is_said() -> None:
    """The text is made when the figure is shown, from what it is then."""
    ax = plots.compare({"slow": 2, "fast": 1})
    ax.set_title("How long?")
    assert alt_text(ax.figure).startswith("How long? slow: 2.00 s; fast: 1.00 s, 2.0 × as fast.")


def test_many_requests_are_summed_up() -> None:
    """A timeline of a hundred requests is not a hundred sentences."""
    said = alt_text(plots.timeline([trace() for _ in range(100)]).figure)
    assert "100 requests, the last of them ended after 1.20 s" in said
    assert "first text after 1.00 s to 1.00 s" in said
    assert len(said) < 300
