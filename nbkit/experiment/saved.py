"""An experiment as a file of JSON lines, and back."""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from nbkit.batch.file_path import write_text
from nbkit.batch.records import without_keys
from nbkit.experiment.measurements import ExperimentError, Measurement
from nbkit.language import say
from nbkit.streaming.trace import Usage

_MARK = "nbkit_experiment"
_FORMAT = 3
_HEADER = ("kind", "planned", "parameters", "environment", "questions")
_REQUEST = TypeAdapter(Measurement)


def write(
    path: Path, header: dict[str, Any], results: Sequence[Measurement], *, text: bool
) -> Path:
    """Write the file, and return its path."""
    lines = ({_MARK: _FORMAT, **header}, *(_record(one, text) for one in results))
    written = (json.dumps(line, ensure_ascii=False, separators=(",", ":")) for line in lines)
    return write_text(path, (f"{line}\n" for line in written), ExperimentError)


def read(path: Path) -> tuple[dict[str, Any], list[Measurement]]:
    """The header and the results in a file, without an incomplete last line."""
    if not path.is_file():
        raise ExperimentError(say("There is no file {path}", path=path), say("check the name."))
    first, *lines = path.read_text("utf-8", errors="replace").split("\n")
    header = _header(path, first)
    results = []
    for number, line in enumerate(lines[:-1], 2):
        try:
            results.append(_REQUEST.validate_json(line))
        except ValidationError:
            raise ExperimentError(
                say(
                    "Line {number} of {path} is not a request of an experiment",
                    number=number,
                    path=path,
                ),
                say("correct or remove it; the other lines are correct."),
            ) from None
    return header, results


def _header(path: Path, line: str) -> dict[str, Any]:
    try:
        header = json.loads(line)
        written = int(header[_MARK])
        if written == _FORMAT:
            warmed = [[Usage(*call) for call in each] for each in header.get("warmed", ())]
            return {name: header[name] for name in _HEADER} | {"warmed": warmed}
    except (ValueError, KeyError, TypeError):
        raise ExperimentError(
            say("{path} is not an experiment that nbkit saved", path=path), say("check the name.")
        ) from None
    raise ExperimentError(
        say(
            "{path} was saved by another nbkit version (format {written}, this reads {format})",
            path=path,
            written=written,
            format=_FORMAT,
        ),
        say("load it with that version, or measure again."),
    )


def shown_error(error: str | None, *, text: bool) -> str | None:
    """An error without keys; without `text` only its class: its message may quote documents."""
    if error is None:
        return None
    return without_keys(error) if text else error.split(":", 1)[0]


def _record(one: Measurement, text: bool) -> dict[str, Any]:
    error = shown_error(one.error, text=text)
    return asdict(replace(one, error=error, text=one.text if text else None))
