"""Answers as a file of OpenTelemetry traces, which other programs can show."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.metadata import version
from io import StringIO
from os import PathLike
from pathlib import Path
from typing import Any

from nbkit.batch.file_path import file_path, write_text
from nbkit.batch.outcome import Outcome
from nbkit.batch.spans import SpanFacts, spans_of
from nbkit.errors import NbkitError
from nbkit.language import say
from nbkit.streaming.answer import Answer
from nbkit.wording import whole_characters

_Asked = tuple[Answer, str | None]
"""An answer, and its question if it is known."""


class TraceExportError(NbkitError, ValueError):
    """Answers cannot be exported as traces. Taught in notebook 12."""


def export_traces(answers: Any, path: str | PathLike[str], *, content: bool = False) -> Path:
    """Write answers as OpenTelemetry traces, for example for Phoenix or Langfuse; returns the path.

    `answers` is an Answer, a list of Answers or outcomes of a batch, or a dict of these by label.
    Each line of the file is one answer: an OTLP/JSON export request, as the OpenTelemetry file
    exporter writes it. A collector reads such files, and servers of traces that speak OTLP/JSON
    take a line as it is, Langfuse for one; Phoenix takes it as protobuf only. Spans and attributes
    follow the semantic conventions for generative AI: see `nbkit.batch.spans`.

    Without `content=True` no text is in it: no question, answer, thought, argument or result of a
    tool, or message of an error. API keys never are in the messages of errors. An existing file is
    replaced. Outcomes that were never timed are left out.

    Traces hold readings of `time.perf_counter`. They become the time of day by the difference of
    both clocks at the export, so they are wrong by as much as the machine slept, or its clock was
    set, since then; durations are right.

    Raises `TraceExportError` if OpenTelemetry is not installed (`pip install
    "nbkit-streaming[traces]"`), for other objects, if nothing was timed, and if the file cannot be
    written. Taught in notebook 12.
    """
    file = file_path(path, TraceExportError)
    timed = [asked for asked in _timed(answers) if asked[0].trace.is_timed]
    if not timed:
        raise TraceExportError(
            say("None of these answers was timed"), say("ask again, and export those.")
        )
    encode = _encoder()
    offset = time.time_ns() - time.perf_counter_ns()
    spans = (spans_of(answer, question, content=content) for answer, question in timed)
    return write_text(file, (encode(span, offset) for span in spans), TraceExportError)


def _timed(answers: Any) -> Iterator[_Asked]:
    """The answers in what the user passed."""
    if isinstance(answers, Answer):
        yield answers, None
    elif isinstance(answers, Outcome):
        question = answers.item if isinstance(answers.item, str) else None
        partial = getattr(answers.error, "answer", None)
        if isinstance(answers.value, Answer):
            yield answers.value, question
        elif isinstance(partial, Answer):
            yield partial, question
        elif answers.trace is not None:
            yield Answer("", trace=answers.trace, error=answers.error), question
    elif isinstance(answers, Mapping):
        yield from _timed(answers.values())
    elif isinstance(answers, Iterable) and not isinstance(answers, str | bytes):
        for one in answers:
            yield from _timed(one)
    else:
        raise TraceExportError(
            say("Got {kind} where an answer was expected", kind=type(answers).__name__),
            say("pass an Answer, a list of Answers or outcomes, or a dict of them."),
        )


def _encoder() -> Callable[[SpanFacts, int], str]:
    """A function from a span and the offset of the clocks, in nanoseconds, to a line of OTLP/JSON.

    Nothing in the process is changed: a tracer that the user has set up does not hear of it.
    """
    try:
        from opentelemetry.context import Context
        from opentelemetry.exporter.otlp.json.file.trace_exporter import FileSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
        from opentelemetry.sdk.trace.sampling import ALWAYS_ON
        from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context
    except ImportError:
        raise TraceExportError(
            say("OpenTelemetry's SDK or its OTLP/JSON exporter is not installed"),
            say('run `pip install "nbkit-streaming[traces]"`, then restart the kernel.'),
        ) from None
    ended = InMemorySpanExporter()
    provider = TracerProvider(
        sampler=ALWAYS_ON, resource=Resource({"service.name": "nbkit"}), shutdown_on_exit=False
    )
    provider.add_span_processor(SimpleSpanProcessor(ended))
    tracer = provider.get_tracer("nbkit", version("nbkit-streaming"))

    def record(facts: SpanFacts, offset: int, within: Any) -> None:
        span = tracer.start_span(
            whole_characters(facts.name),
            context=within,
            kind=SpanKind.CLIENT if facts.is_call else SpanKind.INTERNAL,
            attributes=_known(facts),
            start_time=_nanoseconds(facts.start, offset),
        )
        for name, moment in facts.events.items():
            span.add_event(name, timestamp=_nanoseconds(moment, offset))
        if facts.error is not None:
            span.set_status(Status(StatusCode.ERROR, whole_characters(facts.message or "")))
        for child in facts.children:
            record(child, offset, set_span_in_context(span, Context()))
        span.end(_nanoseconds(facts.end, offset))

    def encode(facts: SpanFacts, offset: int) -> str:
        ended.clear()
        record(facts, offset, Context())
        line = StringIO()
        done = FileSpanExporter(stream=line).export(ended.get_finished_spans())
        if done is not SpanExportResult.SUCCESS or not line.getvalue():
            raise TraceExportError(
                say("OpenTelemetry did not write the trace"),
                say(
                    "see its log; is OTEL_SDK_DISABLED set? Then unset it, and restart the kernel."
                ),
            )
        return line.getvalue()

    return encode


def _known(facts: SpanFacts) -> dict[str, Any]:
    """The attributes that have a value, in whole characters."""
    attributes = facts.attributes | {"error.type": facts.error}
    return {
        name: whole_characters(value) if isinstance(value, str) else value
        for name, value in attributes.items()
        if value is not None
    }


def _nanoseconds(moment: float, offset: int) -> int:
    """The time of day in nanoseconds since 1970."""
    return round(moment * 1e9) + offset
