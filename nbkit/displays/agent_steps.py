"""An agent's steps as rows, live and settled: the tool, its arguments, its state, its seconds."""

from typing import Any

from nbkit.language import say
from nbkit.streaming.steps import ToolStep
from nbkit.wording import whole_characters

_SHORT, _RESULT = 60, 2_000
_SIGNS = {"running": "◌", "done": "✓", "failed": "✗"}


def step_rows(steps: list[ToolStep]) -> list[dict[str, str]]:
    """One row per step, as text ready to show: its state, a line, and what the tool returned."""
    several = len({step.agent for step in steps}) > 1
    return [
        {
            "state": step.state,
            "line": f"{_SIGNS[step.state]} {f'{step.agent}: ' if several else ''}{_line(step)}",
            "result": whole_characters(_cut(step.error or step.result or "", _RESULT)),
        }
        for step in steps
    ]


def _line(step: ToolStep) -> str:
    arguments = ", ".join(f"{name}={_cut(repr(value), _SHORT)}" for name, value in _given(step))
    took = "" if step.seconds is None else say(" · {seconds:.2f} s", seconds=step.seconds)
    return whole_characters(" ".join(f"{step.tool}({arguments}){took}".split()))


def _given(step: ToolStep) -> list[tuple[str, Any]]:
    return list(step.arguments.items()) if isinstance(step.arguments, dict) else []


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}…"
