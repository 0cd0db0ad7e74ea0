"""A simulated model behind a real OpenAI-compatible HTTP server, in its own process.

Taught in notebook 01: which model answered, and how fast it is set to be.
"""

from nbkit.simulator.measured import profile_of
from nbkit.simulator.pacing import PROFILES, SETTINGS, Profile, named
from nbkit.simulator.process import Simulator, current
from nbkit.simulator.sentence_vectors import encode, load_encoder
from nbkit.simulator.tokens import Tokenizer, tokenize

__all__ = [
    "PROFILES",
    "SETTINGS",
    "Profile",
    "Simulator",
    "Tokenizer",
    "current",
    "encode",
    "load_encoder",
    "named",
    "profile_of",
    "tokenize",
]
