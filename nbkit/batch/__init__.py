"""Many questions: limited in number and rate, retried, resumable. Taught in notebook 06."""

from nbkit.batch.batch_run import BatchRun as BatchRun
from nbkit.batch.journal import Journal as Journal
from nbkit.batch.outcome import Outcome as Outcome
from nbkit.batch.run import iter_batch as iter_batch
from nbkit.batch.run import run_batch as run_batch
