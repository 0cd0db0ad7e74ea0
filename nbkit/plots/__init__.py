"""Figures that show what streaming and async did: each takes `ax=`, and returns the Axes.

Taught in notebooks 01, 04, 06 and 08.
"""

from nbkit.plots.comparisons import compare, speedup
from nbkit.plots.distributions import ecdf, gaps
from nbkit.plots.over_time import timeline, tokens_over_time
from nbkit.plots.path import concurrency
from nbkit.plots.reading import PlotError

__all__ = [
    "PlotError",
    "compare",
    "concurrency",
    "ecdf",
    "gaps",
    "speedup",
    "timeline",
    "tokens_over_time",
]
