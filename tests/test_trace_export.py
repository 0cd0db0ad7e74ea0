import base64
import json
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from opentelemetry import trace as otel
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes

import nbkit
from nbkit.batch import Outcome
from nbkit.batch.trace_export import TraceExportError
from nbkit.streaming.answer import Answer
from nbkit.streaming.errors import AnswerTruncated, StreamBroken
from nbkit.streaming.steps import ToolStep
from nbkit.streaming.trace import Trace
from tests.asked_agents import agent
from tests.experiments import trace

WEATHER = "What's the weather in Paris and Lima today?"


def _requests(path: Path) -> Iterator[ExportTraceServiceRequest]:
    """Parse each line with the protobuf classes, to which ids are base64."""
    for line in path.read_text("utf-8").splitlines():
        sent = re.sub(
            r'("(?:traceId|spanId|parentSpanId)":)"((?:[0-9a-f]{16}){1,2})"',
            lambda found: f'{found[1]}"{base64.b64encode(bytes.fromhex(found[2])).decode()}"',
            line,
        )
        yield json_format.Parse(sent, ExportTraceServiceRequest())


def _spans(path: Path) -> list[list[Any]]:
    """The spans of each line, the first one first."""
    found = [
        [
            span
            for part in request.resource_spans
            for each in part.scope_spans
            for span in each.spans
        ]
        for request in _requests(path)
    ]
    return [sorted(spans, key=lambda span: span.start_time_unix_nano) for spans in found]


def _attributes(span: Any) -> dict[str, Any]:
    values = {}
    for each in span.attributes:
        value = getattr(each.value, each.value.WhichOneof("value"))
        is_list = each.value.HasField("array_value")
        values[each.key] = [one.string_value for one in value.values] if is_list else value
    return values


def _exported(answers: Any, tmp_path: Path, **options: Any) -> list[list[Any]]:
    return _spans(nbkit.export_traces(answers, tmp_path / "otlp.jsonl", **options))


def _seconds(first: int, second: int) -> float:
    return (second - first) / 1e9


async def test_an_agent_with_two_tools_at_once(tmp_path: Path) -> None:
    """One span for the run, with its tokens; in it the two tools, which overlap."""
    before = time.time_ns()
    answer = await nbkit.stream(agent().run(user_msg=WEATHER))
    ((run, *tools),) = _exported(answer, tmp_path)
    assert run.name == "invoke_agent Agent"
    assert (run.kind, run.parent_span_id) == (Span.SPAN_KIND_INTERNAL, b"")
    said, known = _attributes(run), answer.trace
    assert said["gen_ai.operation.name"] == "invoke_agent"
    assert said["gen_ai.agent.name"] == "Agent"
    assert said["gen_ai.request.model"] == known.model
    assert said["gen_ai.usage.input_tokens"] == known.prompt_tokens
    assert said["gen_ai.usage.output_tokens"] == known.tokens
    assert said["gen_ai.response.finish_reasons"] == ["stop"]
    assert said["nbkit.ttft"] == known.ttft
    assert "nbkit.time_per_output_chunk" not in said
    assert [tool.name for tool in tools] == ["execute_tool weather"] * 2
    assert tools[1].start_time_unix_nano < tools[0].end_time_unix_nano
    for tool, step in zip(tools, answer.steps, strict=True):
        assert (tool.trace_id, tool.parent_span_id) == (run.trace_id, run.span_id)
        assert _attributes(tool)["gen_ai.tool.call.id"] == step.call_id
        assert _seconds(tool.start_time_unix_nano, tool.end_time_unix_nano) == pytest.approx(
            step.seconds, abs=1e-5
        )
    assert tools[0].span_id != tools[1].span_id
    assert before <= run.start_time_unix_nano <= run.end_time_unix_nano <= time.time_ns()


async def test_a_query_and_its_model_call(tmp_path: Path) -> None:
    """The answer is one span, the call of the model one in it, which begins after retrieval."""
    llm = nbkit.connect(speed=0, thinking_tokens=20)
    engine = nbkit.load_index("en").as_query_engine(llm=llm, streaming=True)
    answer = await nbkit.stream(engine.aquery("How long is the warranty?"))
    ((whole, call),) = _exported({"one": answer}, tmp_path)
    known = answer.trace
    assert (whole.name, call.name) == ("invoke_workflow", f"chat {known.model}")
    assert (call.kind, call.parent_span_id) == (Span.SPAN_KIND_CLIENT, whole.span_id)
    said = _attributes(call)
    assert said["gen_ai.provider.name"] == "nbkit.simulated"
    assert said["gen_ai.request.stream"] is True
    assert said["gen_ai.response.time_to_first_chunk"] == known.first_token_wait
    assert said["gen_ai.usage.reasoning.output_tokens"] == known.reasoning_tokens == 20
    assert known.before_call is not None
    waited = _seconds(whole.start_time_unix_nano, call.start_time_unix_nano)
    assert waited == pytest.approx(known.before_call, abs=1e-5)
    assert waited > 0
    events = {
        event.name: _seconds(whole.start_time_unix_nano, event.time_unix_nano)
        for event in call.events
    }
    assert events == {
        "nbkit.first_chunk": pytest.approx(known.ttft, abs=1e-5),
        "nbkit.first_output_chunk": pytest.approx(known.ttfo, abs=1e-5),
    }
    mean = sum(known.gaps) / len(known.gaps)
    assert _attributes(whole)["nbkit.time_per_output_chunk"] == pytest.approx(mean)
    assert _attributes(whole)["nbkit.time_per_output_token"] == known.tpot
    assert _attributes(whole)["nbkit.sources"] == len(answer.sources)


def _made(**fields: Any) -> Answer:
    step = ToolStep("search", {"q": "secret argument"}, "Agent", 10.1, 10.3, "secret result")
    broken = ToolStep("search", {}, "Agent", 10.1, 10.2, error="secret reason")
    running = ToolStep("search", {}, "Agent", 10.2)
    return Answer(
        "secret answer",
        **{"trace": trace(), "steps": [step, broken, running], "thought": "secret", **fields},
    )


def test_the_file_keeps_to_the_format(tmp_path: Path) -> None:
    """A line per answer; ids in hex, enums and times as OTLP/JSON wants them, names that exist."""
    answers = [_made(error=StreamBroken("x")), Answer("a", trace=trace(chunks=0))]
    path = nbkit.export_traces(answers, tmp_path / "otlp.jsonl", content=True)
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert len(lines) == len(answers)
    spans = [span for line in lines for span in line["resourceSpans"][0]["scopeSpans"][0]["spans"]]
    for span in spans:
        assert re.fullmatch("[0-9a-f]{32}", span["traceId"])
        assert re.fullmatch("[0-9a-f]{16}", span["spanId"])
        assert isinstance(span["kind"], int)
        assert isinstance(span["status"].get("code", 0), int)
        assert isinstance(span["startTimeUnixNano"], str)
        assert int(span["startTimeUnixNano"]) <= int(span["endTimeUnixNano"])
    assert len({span["traceId"] for span in spans}) == 2
    names = {each["key"] for span in spans for each in span["attributes"]}
    agreed = {value for name, value in vars(gen_ai_attributes).items() if name.isupper()}
    assert {name for name in names if not name.startswith("nbkit.")} <= {*agreed, "error.type"}
    assert {name.split(".")[0] for name in names} == {"gen_ai", "nbkit", "error"}


def test_text_is_exported_only_if_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without `content=True` not a word of question, answer, tools or errors; a key never."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-verysecretkey")
    answer = _made(error=StreamBroken("The key sk-verysecretkey is secret"))
    asked = Outcome("secret question", 0, value=answer)
    path = nbkit.export_traces([asked], tmp_path / "otlp.jsonl")
    assert "secret" not in path.read_text("utf-8")
    ((whole, tool, broken, _),) = _exported([asked], tmp_path, content=True)
    said = _attributes(whole)
    assert json.loads(said["gen_ai.input.messages"]) == [
        {"role": "user", "parts": [{"type": "text", "content": "secret question"}]}
    ]
    (message,) = json.loads(said["gen_ai.output.messages"])
    assert [part["type"] for part in message["parts"]] == ["reasoning", "text"]
    assert message["parts"][1]["content"] == "secret answer"
    assert message["finish_reason"] == "error"
    assert whole.status.message == "The key [key] is secret"
    assert json.loads(_attributes(tool)["gen_ai.tool.call.arguments"]) == {"q": "secret argument"}
    assert _attributes(tool)["gen_ai.tool.call.result"] == "secret result"
    assert broken.status.message == "secret reason"
    alone = Answer("said", trace=Trace(1.0, [2.0], [4], model="m"))
    ((whole, call),) = _exported(alone, tmp_path, content=True)
    for span in (whole, call):
        (message,) = json.loads(_attributes(span)["gen_ai.output.messages"])
        assert message["parts"] == [{"type": "text", "content": "said"}]


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({}, None),
        ({"stopped": True}, "stopped"),
        ({"truncated": True}, "truncated"),
        ({"error": StreamBroken("gone")}, "StreamBroken"),
        ({"truncated": True, "error": AnswerTruncated("cut")}, "AnswerTruncated"),
    ],
)
def test_how_it_ended_is_the_status(fields: Any, error: str | None, tmp_path: Path) -> None:
    """A complete answer has no status; what failed, was cut or stopped is an error by its class."""
    answer = Answer("text", **{"trace": Trace(10.0, [10.5], [4], model="m", end=11.0), **fields})
    for span in _exported(answer, tmp_path)[0]:
        assert span.status.code == (Status.STATUS_CODE_ERROR if error else 0)
        assert _attributes(span).get("error.type") == error


def test_tools_that_failed_or_never_returned(tmp_path: Path) -> None:
    """A tool's error is its own, not the answer's; one that was still running ends with the run."""
    ((whole, done, broken, running),) = _exported(_made(stopped=True), tmp_path)
    errors = [_attributes(span).get("error.type") for span in (whole, done, broken, running)]
    assert errors == ["stopped", None, "_OTHER", "stopped"]
    assert running.end_time_unix_nano == whole.end_time_unix_nano
    assert _attributes(running)["nbkit.state"] == "running"


def test_outcomes_of_a_batch(tmp_path: Path) -> None:
    """Each gives its answer, the partial one of its error, or its timing; else it is left out."""
    cut = AnswerTruncated("cut")
    cut.answer = Answer("half", trace=trace(), truncated=True, error=cut)
    outcomes = [
        Outcome("a", 0, value=Answer("text", trace=trace())),
        Outcome("b", 1, error=cut),
        Outcome("c", 2, error=StreamBroken("gone"), trace=Trace(10.0, end=11.0)),
        Outcome("d", 3, error=StreamBroken("never asked")),
    ]
    spans = [spans[0] for spans in _exported(outcomes, tmp_path)]
    states = [_attributes(span)["nbkit.state"] for span in spans]
    assert states == ["done", "truncated", "failed"]
    with pytest.raises(TraceExportError, match="None of these answers was timed — ask again"):
        nbkit.export_traces(outcomes[3:], tmp_path / "otlp.jsonl")


def test_characters_in_halves_do_no_harm(tmp_path: Path) -> None:
    """Half a character, as a stream may leave it, is a sign that can be written."""
    answer = _made(steps=[ToolStep("t\ud83d", {"q": "\ud83d"}, "Agent", 10.05, 10.1, "\ude00")])
    ((_, tool),) = _exported(answer, tmp_path, content=True)
    assert tool.name == "execute_tool t\ufffd"
    assert _attributes(tool)["gen_ai.tool.call.result"] == "\ufffd"


def test_the_users_own_tracer_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Settings for a tracer in the process neither sample an export, nor become its parent."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "secret=1")
    before = otel._TRACER_PROVIDER
    outer = otel.NonRecordingSpan(otel.SpanContext(1, 2, False, otel.TraceFlags(1)))
    with otel.use_span(outer):
        ((whole, *_),) = _exported(_made(), tmp_path)
    assert whole.parent_span_id == b""
    assert "secret" not in (tmp_path / "otlp.jsonl").read_text("utf-8")
    assert otel._TRACER_PROVIDER is before
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    with pytest.raises(TraceExportError, match="is OTEL_SDK_DISABLED set"):
        _exported(_made(), tmp_path)


def test_where_it_is_written(tmp_path: Path) -> None:
    """As other files of nbkit: folders are made, a file is replaced, nothing is left beside it."""
    path = tmp_path / "new" / "otlp.jsonl"
    for _ in range(2):
        assert nbkit.export_traces(_made(), path) == path
    assert len(path.read_text("utf-8").splitlines()) == 1
    assert [entry.name for entry in path.parent.iterdir()] == ["otlp.jsonl"]
    for wrong in ("", str(tmp_path), path / "below"):
        with pytest.raises(TraceExportError, match=" — "):
            nbkit.export_traces(_made(), wrong)


@pytest.mark.parametrize("wrong", ["text", 3, None, [trace()], {"a": "text"}, [_made(), 1]])
def test_what_is_no_answer_is_refused(wrong: Any, tmp_path: Path) -> None:
    """Anything else is named, and nothing is written."""
    with pytest.raises(TraceExportError, match=r"Got \w+ where an answer was expected — pass an"):
        nbkit.export_traces(wrong, tmp_path / "otlp.jsonl")
    assert list(tmp_path.iterdir()) == []


def test_without_opentelemetry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the extra is not installed, the error says how to install it."""
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.json.file.trace_exporter", None)
    with pytest.raises(TraceExportError, match=r'run `pip install "nbkit-streaming\[traces\]"`'):
        nbkit.export_traces(_made(), tmp_path / "otlp.jsonl")
    assert list(tmp_path.iterdir()) == []
