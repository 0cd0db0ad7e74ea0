"""For a class: a check of the environment, exercises, and editions of the notebooks."""

from nbkit.teaching.exercises import attempt

__all__ = ["attempt"]
