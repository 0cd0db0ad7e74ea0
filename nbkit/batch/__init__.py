"""Many questions: limited, retried, resumable (notebook 06); or in a provider's file (13)."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from nbkit.batch.batch_run import BatchRun as BatchRun
from nbkit.batch.journal import Journal as Journal
from nbkit.batch.outcome import Outcome as Outcome
from nbkit.batch.run import iter_batch as iter_batch
from nbkit.batch.run import run_batch as run_batch

if TYPE_CHECKING:
    from nbkit.batch.openai_batch import from_openai_jsonl as from_openai_jsonl
    from nbkit.batch.openai_batch import to_openai_jsonl as to_openai_jsonl
    from nbkit.batch.openai_results import BatchFileError as BatchFileError

_LATER = {
    "BatchFileError": "nbkit.batch.openai_results",
    "from_openai_jsonl": "nbkit.batch.openai_batch",
    "to_openai_jsonl": "nbkit.batch.openai_batch",
}
"""Imported when first used, because they need the openai client."""


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'nbkit.batch' has no attribute {name!r}")
    return getattr(import_module(_LATER[name]), name)
