"""See what streaming and async really do to an LLM application, inside Jupyter."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbkit import loops as loops
    from nbkit import plots as plots
    from nbkit import simulator as simulator
    from nbkit.batch import Journal as Journal
    from nbkit.batch import iter_batch as iter_batch
    from nbkit.batch import run_batch as run_batch
    from nbkit.batch.trace_export import export_traces as export_traces
    from nbkit.corpus import load_index as load_index
    from nbkit.corpus import load_questions as load_questions
    from nbkit.displays import chat as chat
    from nbkit.displays import show as show
    from nbkit.displays import show_all as show_all
    from nbkit.displays.simulator_panel import panel as panel
    from nbkit.errors import NbkitError as NbkitError
    from nbkit.experiment import Experiment as Experiment
    from nbkit.experiment import measure as measure
    from nbkit.loops import watch_loop as watch_loop
    from nbkit.metrics.percentiles import summary as summary
    from nbkit.metrics.slo import SLO as SLO
    from nbkit.metrics.slo import goodput as goodput
    from nbkit.models import connect as connect
    from nbkit.streaming.conversation import Conversation as Conversation
    from nbkit.streaming.stream import stream as stream
    from nbkit.streaming.trace import Trace as Trace
    from nbkit.teaching.check import check as check
    from nbkit.web.server import serve as serve

_HOME = {
    "Conversation": "nbkit.streaming.conversation",
    "Experiment": "nbkit.experiment",
    "Journal": "nbkit.batch",
    "NbkitError": "nbkit.errors",
    "SLO": "nbkit.metrics.slo",
    "Trace": "nbkit.streaming.trace",
    "chat": "nbkit.displays",
    "check": "nbkit.teaching.check",
    "connect": "nbkit.models",
    "export_traces": "nbkit.batch.trace_export",
    "goodput": "nbkit.metrics.slo",
    "iter_batch": "nbkit.batch",
    "load_index": "nbkit.corpus",
    "load_questions": "nbkit.corpus",
    "measure": "nbkit.experiment",
    "panel": "nbkit.displays.simulator_panel",
    "run_batch": "nbkit.batch",
    "serve": "nbkit.web.server",
    "show": "nbkit.displays",
    "show_all": "nbkit.displays",
    "stream": "nbkit.streaming.stream",
    "summary": "nbkit.metrics.percentiles",
    "watch_loop": "nbkit.loops",
}

_MODULES = ("loops", "plots", "simulator")

__all__ = sorted([*_HOME, *_MODULES])


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `import nbkit` is fast."""
    if name in _MODULES:
        return import_module(f"nbkit.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'nbkit' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
