import matplotlib as mpl
import numpy as np
import pytest

mpl.use("Agg")

from nbkit import plots
from nbkit.plots import PlotError
from tests.test_plots import trace


def test_anatomy_measures_what_the_trace_tells() -> None:
    """Each span is as long as the latency it names; an answer in one piece has none to show."""
    ax = plots.anatomy(trace(first=1.0, chunks=5, gap=0.1))
    spans = {
        text.get_text(): line.get_xdata() for text, line in zip(ax.texts, ax.lines, strict=True)
    }
    assert [float(x) for x in np.round(spans["TTFT"], 2)] == [0, 0, 1, 1]
    assert [float(x) for x in np.round(spans["end-to-end latency"], 2)] == [0, 0, 1.4, 1.4]
    assert "the longest gap: 0.10 s" in spans
    with pytest.raises(PlotError, match="pass one that streamed"):
        plots.anatomy(trace(chunks=1))
