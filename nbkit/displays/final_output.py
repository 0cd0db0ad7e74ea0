"""The static output a finished answer leaves in the notebook file; it needs no kernel."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from nbkit.displays.agent_steps import step_rows
from nbkit.displays.live_cell import SHOWN
from nbkit.displays.markdown import to_html
from nbkit.language import say, to_say
from nbkit.streaming.answer import NOTHING_FOUND, Answer, named_sources
from nbkit.wording import count

Bundle = dict[str, str]
"""One output by MIME type: text/html, text/plain."""

_MARKS = {
    to_say("done"): "✓",
    to_say("stopped"): "■",
    to_say("truncated"): "✂",
    to_say("failed"): "✗",
}
_FRAME = "max-width: 60em; padding-left: 0.9em; border-left: 3px solid #8888"
_TABLE = "width: 100%; font-size: 1em"
_CELL = "text-align: left; vertical-align: top; line-height: 1.5"
# MathJax would set "$5 and $10" as mathematics, and `\href{javascript:...}` as a link that runs.
_SETTLED = "nbkit-settled tex2jax_ignore mathjax_ignore"


def source_rows(sources: list[Any]) -> list[dict[str, str]]:
    """Name, score and opening of each source, as text ready to show."""
    return [
        {
            "name": source.name,
            "score": "–" if source.score is None else f"{source.score:.3f}",
            "excerpt": source.excerpt,
        }
        for source in named_sources(sources)
    ]


def caption(answer: Answer) -> str:
    """State and timing in one line, then what went wrong, if something did."""
    found = f" · {say(NOTHING_FOUND)}" if answer.nothing_found else ""
    line = f"{_MARKS[answer.state]} {say(answer.state)}{found} · {answer.trace.caption}"
    return line if answer.error is None else f"{line}\n{answer.error}"


def settled(answer: Answer) -> Bundle:
    """One answer: sanitised HTML, plain text."""
    text, line = _shown(answer.text), caption(answer)
    # No script may run here, so no button: one click selects it all.
    copy = f'<pre style="user-select: all; white-space: pre-wrap">{escape(text)}</pre>'
    html = _html(answer) + (_folded(say("Markdown to copy"), copy) if text else "")
    return {
        "text/html": f'<div class="{_SETTLED}" style="{_FRAME}">{html}</div>',
        "text/plain": f"{text}\n\n{line}".strip(),
    }


def settled_grid(answers: Mapping[str, Answer], *, race: bool = False) -> Bundle:
    """Several answers in one table; of a race, whole ones first, by how long they took."""
    rows = list(answers.items())
    if race:
        rows.sort(key=lambda row: (row[1].state != "done", row[1].trace.end_to_end or math.inf))
    longest = max((answer.trace.end_to_end or 0.0 for answer in answers.values()), default=0.0)
    cells = [
        f'<tr><th scope="row" style="{_CELL}; width: 20%">{escape(name)}</th>'
        f'<td style="{_CELL}">{_lane(answer, longest) if race else ""}{_html(answer)}</td></tr>'
        for name, answer in rows
    ]
    table = f'<table class="{_SETTLED}" style="{_TABLE}">{"".join(cells)}</table>'
    return {"text/html": table, "text/plain": _as_text(rows)}


def settled_chat(turns: Sequence[tuple[str, Answer]], note: str | None = None) -> Bundle:
    """A transcript: a note on it, what was said, and each answer with its caption and sources."""
    parts = [
        f'<p style="margin: 0.8em 0 0.3em"><strong>{escape(said)}</strong></p>'
        f'<div style="{_FRAME}">{_html(answer)}</div>'
        for said, answer in turns
    ]
    html, text = "".join(parts), _as_text(turns)
    if note:
        html, text = f"<p><em>{escape(note)}</em></p>{html}", f"{note}\n\n{text}"
    return {"text/html": f'<div class="{_SETTLED}">{html}</div>', "text/plain": text}


def _as_text(named: Sequence[tuple[str, Answer]]) -> str:
    """Several answers under their names."""
    return "\n\n".join(
        f"{name}\n{_shown(answer.text)}\n{caption(answer)}" for name, answer in named
    )


def _shown(text: str) -> str:
    if len(text) <= SHOWN:
        return text
    rest = len(text) - SHOWN
    more = say("… {rest:,} more characters are in the answer's `.text`.", rest=rest)
    return f"{text[:SHOWN]}\n\n{more}"


def _html(answer: Answer) -> str:
    status = "<br>".join(escape(part) for part in caption(answer).splitlines())
    items = [
        f"<li><code>{escape(row['name'])}</code> {row['score']}<br>{escape(row['excerpt'])}</li>"
        for row in source_rows(answer.sources)
    ]
    sources = f"<ol>{''.join(items)}</ol>"
    sources = _folded(count(len(items), "source"), sources) if items else ""
    text = to_html(_shown(answer.text)) if answer.object is None else _fields(answer.object)
    return (
        f'{_way(answer)}<div class="nbkit-text">{text}</div>'
        f'<p class="nbkit-caption" style="opacity: 0.75">{status}</p>{sources}'
    )


def _way(answer: Answer) -> str:
    """What came before the answer, folded: the thoughts, and the steps of an agent."""
    thought, seconds = _shown(answer.thought), answer.trace.thinking
    title = say("Thought") if seconds is None else say("Thought for {time:.2f} s", time=seconds)
    kept = 'style="white-space: pre-wrap; opacity: 0.75"'
    text = f"<p {kept}>{escape(thought)}</p>"
    steps = [
        _folded(escape(row["line"]), f"<p {kept}>{escape(row['result'])}</p>")
        for row in step_rows(answer.steps)
    ]
    return (_folded(title, text) if thought else "") + "".join(steps)


def _fields(found: Any) -> str:
    """The fields of an object, or of several one below the other, as a table."""
    tables = []
    for one in found if isinstance(found, list) else [found]:
        values = one.model_dump() if hasattr(one, "model_dump") else dict(one)
        rows = "".join(
            f'<tr><th scope="row" style="{_CELL}">{escape(str(name))}</th>'
            f'<td style="{_CELL}">{escape(str(value))}</td></tr>'
            for name, value in values.items()
        )
        tables.append(f"<table>{rows}</table>")
    return "".join(tables)


def _lane(answer: Answer, longest: float) -> str:
    """A runner's lane: hollow while it waited for the first token, solid while it streamed."""
    waited, took = answer.trace.ttft or 0.0, answer.trace.end_to_end or 0.0
    if not took:
        return ""
    widths = [f"{100 * seconds / longest:.1f}%" for seconds in (waited, took - waited)]
    hollow = "box-sizing: border-box; border: 1px dashed #888"
    return (
        '<div style="display: flex; height: 0.7em; margin: 0.3em 0">'
        f'<div style="width: {widths[0]}; {hollow}"></div>'
        f'<div style="width: {widths[1]}; border-top: 0.7em solid #1976d2"></div></div>'
    )


def _folded(summary: str, content: str) -> str:
    return f"<details><summary>{summary}</summary>{content}</details>"
