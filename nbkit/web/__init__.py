"""Answers for a web page and for programs, as server-sent events. Taught in notebook 08."""
