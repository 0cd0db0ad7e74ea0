"""LLMs by name."""
