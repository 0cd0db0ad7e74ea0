"""An experiment as a file of JSON lines, and back."""

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from nbkit.batch.records import without_keys
from nbkit.experiment.measurements import ExperimentError, Measurement
from nbkit.streaming.trace import Trace
from nbkit.wording import whole_characters

_MARK = "nbkit_experiment"
_FORMAT = 2
"""1 had the clock of an open loop start where the request was sent."""
_MOMENTS = ("responded", "requested", "end")
_FACTS = ("tokens", "reasoning_tokens", "prompt_tokens", "model", "finish_reason", "clock_jump")
_HEADER = ("kind", "planned", "parameters", "made")
"""Names in the file; `made` is `Experiment.environment`."""


def write(
    path: Path, header: dict[str, Any], results: Sequence[Measurement], *, text: bool
) -> Path:
    """Write a temporary file in the same folder, then rename it."""
    first = {_MARK: _FORMAT, **header, "made": header["environment"]}
    del first["environment"]
    begin = min((one.trace.start for one in results), default=0.0)
    records = (_record(one, begin, text=text) for one in results)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("w", encoding="utf-8") as file:
            for line in (first, *records):
                text_line = json.dumps(line, ensure_ascii=False, separators=(",", ":"))
                file.write(whole_characters(text_line) + "\n")
        draft.replace(path)
    except OSError as error:
        raise ExperimentError(
            f"{path} could not be written ({error.strerror or error})",
            "free space or give another name.",
        ) from error
    finally:
        with suppress(OSError):
            draft.unlink()
    return path


def read(path: Path) -> tuple[dict[str, Any], list[Measurement]]:
    """Read what `write` wrote: what an `Experiment` is made with, and its results."""
    if not path.is_file():
        raise ExperimentError(f"There is no file {path}", "check the name.")
    *lines, torn = path.read_text("utf-8", errors="replace").split("\n")
    first = _header(path, lines[0] if lines else torn)
    results = []
    for number, line in enumerate(lines[1:], 2):
        try:
            results.append(_measurement(json.loads(line), first[_MARK]))
        except (ValueError, KeyError, TypeError):
            raise ExperimentError(
                f"Line {number} of {path} is no request of an experiment",
                "correct or remove it, the others are good.",
            ) from None
    header = {name: first[name] for name in ("kind", "planned", "parameters")}
    return {**header, "environment": first["made"], "questions": first.get("questions")}, results


def _header(path: Path, line: str) -> dict[str, Any]:
    try:
        header = json.loads(line)
        written = int(header[_MARK])
        if written <= _FORMAT and not header.keys() >= {*_HEADER}:
            raise ValueError
    except (ValueError, KeyError, TypeError):
        raise ExperimentError(
            f"{path} is no experiment that nbkit saved", "check the name."
        ) from None
    if written > _FORMAT:
        raise ExperimentError(
            f"{path} was saved by a newer nbkit (format {written}, this one reads {_FORMAT})",
            "update nbkit, then load it again.",
        )
    return dict(header)


def _record(one: Measurement, begin: float, *, text: bool) -> dict[str, Any]:
    trace = one.trace
    moments = {name: getattr(trace, name) for name in _MOMENTS}
    record = {
        "label": one.label,
        "load": one.load,
        "repetition": one.repetition,
        "question": one.question,
        "state": one.state,
        "error": _told(one.error, text=text),
        "late": round(one.late, 6),
        "ramp": one.ramp,
        "start": round(trace.start - begin, 6),
        **{name: _since(trace.start, moment) for name, moment in moments.items()},
        "arrivals": [round(arrival - trace.start, 6) for arrival in trace.arrivals],
        "sizes": trace.sizes,
        **{name: getattr(trace, name) for name in _FACTS},
    }
    return record | {"text": one.text} if text else record


def _measurement(record: dict[str, Any], written: int) -> Measurement:
    start = record["start"]
    trace = Trace(start, [start + arrival for arrival in record["arrivals"]], record["sizes"])
    if written == 1:
        trace.start -= record["late"]
    for name in _MOMENTS:
        setattr(trace, name, None if record[name] is None else start + record[name])
    for name in _FACTS:
        setattr(trace, name, record.get(name, getattr(trace, name)))
    return Measurement(
        **{name: record[name] for name in ("label", "load", "repetition", "question", "state")},
        error=record["error"],
        late=record["late"],
        ramp=record.get("ramp", False),
        trace=trace,
        text=record.get("text"),
    )


def _since(start: float, moment: float | None) -> float | None:
    return None if moment is None else round(moment - start, 6)


def _told(error: str | None, *, text: bool) -> str | None:
    """Server messages may quote the question or the documents, so only the error class is saved."""
    if error is None:
        return None
    return without_keys(error) if text else error.split(":", 1)[0]
