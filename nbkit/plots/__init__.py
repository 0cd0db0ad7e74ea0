"""Figures of what streaming and async change; each function takes `ax=` and returns the Axes.

Taught in notebooks 01, 04, 06 and 09.
"""

from nbkit.metrics.requests import NotMeasured as PlotError
from nbkit.plots.anatomy import anatomy
from nbkit.plots.breakdowns import breakdown
from nbkit.plots.comparisons import compare, speedup
from nbkit.plots.concurrency import concurrency
from nbkit.plots.distributions import ecdf, gaps
from nbkit.plots.fonts import for_own_figures
from nbkit.plots.over_time import timeline, tokens_over_time
from nbkit.plots.under_load import knee, slo

for_own_figures()

__all__ = [
    "PlotError",
    "anatomy",
    "breakdown",
    "compare",
    "concurrency",
    "ecdf",
    "gaps",
    "knee",
    "slo",
    "speedup",
    "timeline",
    "tokens_over_time",
]
