"""Many questions: limited in number and rate, retried, resumable. Taught in notebooks 06 and 13."""

from nbkit.batch.journal import Journal as Journal
from nbkit.batch.openai_batch import from_openai_jsonl as from_openai_jsonl
from nbkit.batch.openai_batch import to_openai_jsonl as to_openai_jsonl
from nbkit.batch.openai_results import BatchFileError as BatchFileError
from nbkit.batch.outcome import Outcome as Outcome
from nbkit.batch.run import BatchRun as BatchRun
from nbkit.batch.run import iter_batch as iter_batch
from nbkit.batch.run import run_batch as run_batch
