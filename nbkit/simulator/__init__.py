"""A simulated model behind a real OpenAI-compatible HTTP server, in its own process.

Taught in notebook 01: which model answered, and how fast it is set to be.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbkit.simulator.pacing import PROFILES as PROFILES
    from nbkit.simulator.pacing import SETTINGS as SETTINGS
    from nbkit.simulator.pacing import Profile as Profile
    from nbkit.simulator.pacing import named as named
    from nbkit.simulator.process import Simulator as Simulator
    from nbkit.simulator.process import current as current
    from nbkit.simulator.tokens import Tokenizer as Tokenizer
    from nbkit.simulator.tokens import tokenize as tokenize

# Imported when asked for: the kernel's side and the server's side need different halves.
_HOME = {
    "PROFILES": "pacing",
    "Profile": "pacing",
    "SETTINGS": "pacing",
    "Simulator": "process",
    "Tokenizer": "tokens",
    "current": "process",
    "named": "pacing",
    "tokenize": "tokens",
}
__all__ = [
    "PROFILES",
    "SETTINGS",
    "Profile",
    "Simulator",
    "Tokenizer",
    "current",
    "named",
    "tokenize",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'nbkit.simulator' has no attribute {name!r}")
    return getattr(import_module(f"nbkit.simulator.{_HOME[name]}"), name)
