"""The static output a finished answer leaves in the notebook file.

It needs no kernel and no widget: it survives saving, reopening, GitHub and nbconvert.
"""

from html import escape
from typing import Any

from nbkit.answer import Answer
from nbkit.timing import count
from nbkit.views.markdown import to_html, without_html

_MARKS = {"done": "✓", "stopped": "■", "truncated": "✂", "failed": "✗"}
_EXCERPT = 220
_FRAME = "max-width: 60em; padding-left: 0.9em; border-left: 3px solid #8888"


def source_rows(sources: list[Any]) -> list[dict[str, str]]:
    """Name, score and opening of each source, as text ready to show."""
    rows = []
    for source in sources:
        metadata = source.node.metadata
        name = metadata.get("file_name") or metadata.get("title") or source.node.node_id
        excerpt = " ".join(source.node.get_content().split())
        rows.append(
            {
                "name": str(name),
                "score": "–" if source.score is None else f"{source.score:.3f}",
                "excerpt": excerpt[:_EXCERPT] + ("…" if len(excerpt) > _EXCERPT else ""),
            }
        )
    return rows


def caption(answer: Answer) -> str:
    """State and timing in one line, then what went wrong, if something did."""
    line = f"{_MARKS[answer.state]} {answer.state} · {answer.trace.caption}"
    return line if answer.error is None else f"{line}\n{answer.error}"


def settled(answer: Answer) -> dict[str, str]:
    """A MIME bundle of the answer: sanitised HTML, Markdown without HTML, plain text."""
    line, rows = caption(answer), source_rows(answer.sources)
    return {
        "text/html": _html(answer.text, line, rows),
        "text/markdown": _markdown(answer.text, line, rows),
        "text/plain": f"{answer.text}\n\n{line}".strip(),
    }


def _html(text: str, line: str, rows: list[dict[str, str]]) -> str:
    items = "".join(
        f"<li><code>{escape(row['name'])}</code> {row['score']}<br>{escape(row['excerpt'])}</li>"
        for row in rows
    )
    folded = (
        f"<details><summary>{count(len(rows), 'source')}</summary><ol>{items}</ol></details>"
        if rows
        else ""
    )
    status = "<br>".join(escape(part) for part in line.splitlines())
    return (
        f'<div class="nbkit-settled" style="{_FRAME}"><div class="nbkit-text">{to_html(text)}</div>'
        f'<p class="nbkit-caption" style="opacity: 0.75">{status}</p>{folded}</div>'
    )


def _markdown(text: str, line: str, rows: list[dict[str, str]]) -> str:
    parts = [without_html(text), "*" + without_html(" — ".join(line.splitlines())) + "*"]
    parts += [f"- `{without_html(row['name'])}` {row['score']}" for row in rows]
    return "\n\n".join(parts)
