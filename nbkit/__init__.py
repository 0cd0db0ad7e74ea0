"""See what streaming and async really do to an LLM application, inside Jupyter."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbkit import loops as loops
    from nbkit import plots as plots
    from nbkit.answer import Answer as Answer
    from nbkit.batch import BatchRun as BatchRun
    from nbkit.batch import Journal as Journal
    from nbkit.batch import Outcome as Outcome
    from nbkit.batch import Rate as Rate
    from nbkit.batch import iter_batch as iter_batch
    from nbkit.batch import run_batch as run_batch
    from nbkit.conversation import Conversation as Conversation
    from nbkit.corpus import load_index as load_index
    from nbkit.environment_check import check as check
    from nbkit.errors import NbkitError as NbkitError
    from nbkit.experiment import Comparison as Comparison
    from nbkit.experiment import Experiment as Experiment
    from nbkit.experiment import measure as measure
    from nbkit.loops import watch_loop as watch_loop
    from nbkit.models import connect as connect
    from nbkit.models.simulator.panel import panel as panel
    from nbkit.percentiles import summary as summary
    from nbkit.serve.server import serve as serve
    from nbkit.service_levels import SLO as SLO
    from nbkit.service_levels import goodput as goodput
    from nbkit.streams import TokenStream as TokenStream
    from nbkit.streams import stream as stream
    from nbkit.timing import Trace as Trace
    from nbkit.views import chat as chat
    from nbkit.views import explore as explore
    from nbkit.views import show as show
    from nbkit.views import show_all as show_all

_HOME = {
    "Answer": "nbkit.answer",
    "BatchRun": "nbkit.batch",
    "Comparison": "nbkit.experiment",
    "Conversation": "nbkit.conversation",
    "Experiment": "nbkit.experiment",
    "Journal": "nbkit.batch",
    "NbkitError": "nbkit.errors",
    "Outcome": "nbkit.batch",
    "Rate": "nbkit.batch",
    "SLO": "nbkit.service_levels",
    "TokenStream": "nbkit.streams",
    "Trace": "nbkit.timing",
    "chat": "nbkit.views",
    "check": "nbkit.environment_check",
    "connect": "nbkit.models",
    "explore": "nbkit.views",
    "goodput": "nbkit.service_levels",
    "iter_batch": "nbkit.batch",
    "load_index": "nbkit.corpus",
    "measure": "nbkit.experiment",
    "panel": "nbkit.models.simulator.panel",
    "run_batch": "nbkit.batch",
    "show": "nbkit.views",
    "show_all": "nbkit.views",
    "stream": "nbkit.streams",
    "summary": "nbkit.percentiles",
    "watch_loop": "nbkit.loops",
}

_MODULES = ("loops", "plots", "serve")

__all__ = sorted([*_HOME, *_MODULES])


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `import nbkit` costs nothing."""
    if name in _MODULES:
        return import_module(f"nbkit.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'nbkit' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
