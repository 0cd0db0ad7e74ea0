"""For a class: whether everything works here, and editions of the notebooks to hand out."""
