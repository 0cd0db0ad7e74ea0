"""For a class: whether everything works here, exercises, and editions of the notebooks."""

from nbkit.teaching.exercises import attempt

__all__ = ["attempt"]
