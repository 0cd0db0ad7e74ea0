import pytest

import nbkit
from nbkit import stream
from nbkit.streaming import stream as streams
from nbkit.streaming.trace import Trace
from tests.wire import WORDS, Wire, chunk, serving


def _trace(**fields: object) -> Trace:
    trace = Trace(start=10.0, **fields)  # type: ignore[arg-type]
    for moment in (10.5, 10.6, 10.8):
        trace.add(moment, 4)
    return trace


def test_metrics_follow_their_definitions() -> None:
    """Each metric is the difference its docstring states, counted from the same start."""
    trace = _trace(tokens=5, responded=10.2)
    assert trace.ttft == pytest.approx(0.5)
    assert trace.gaps == pytest.approx([0.1, 0.2])
    assert trace.end_to_end == pytest.approx(0.8)
    assert trace.tpot == pytest.approx(0.3 / 4)
    assert trace.chunk_rate == pytest.approx(2 / 0.3)
    assert trace.retrieval == pytest.approx(0.2)
    assert trace.chunks == 3


def test_what_never_happened_has_no_figure() -> None:
    """A metric whose moments are missing is None, never zero."""
    trace = Trace(start=0.0)
    assert trace.ttft is None
    assert trace.end_to_end is None
    assert trace.tpot is None
    assert trace.chunk_rate is None
    assert trace.retrieval is None
    assert trace.gaps == []


@pytest.mark.parametrize("tokens", [None, 0, 1])
def test_tpot_needs_two_counted_tokens(tokens: int | None) -> None:
    """Chunks are not tokens: without the server's count there is no time per token."""
    assert _trace(tokens=tokens).tpot is None


def test_one_piece_has_no_time_per_token() -> None:
    """The tokens of an answer that came whole were not timed one by one."""
    assert Trace(0.0, arrivals=[1.0], sizes=[90], tokens=30).tpot is None


def test_ttft_is_what_came_before_the_call_and_the_wait_after_it() -> None:
    """Before the call, first-token wait and streaming add up to end-to-end latency."""
    trace = _trace(requested=10.2)
    assert trace.before_call == pytest.approx(0.2)
    assert trace.first_token_wait == pytest.approx(0.3)
    assert trace.streaming == pytest.approx(0.3)


def test_an_answer_made_before_the_clock_has_no_time_before_the_call() -> None:
    """With no call, or one before the start, all of TTFT is waiting, never less than zero."""
    early = _trace(requested=9.0)
    assert (early.before_call, early.first_token_wait) == (0, pytest.approx(0.5))
    assert (_trace().before_call, _trace().first_token_wait) == (None, pytest.approx(0.5))


def _arriving(*moments: float, tokens: int | None = None, size: int = 10) -> Trace:
    trace = Trace(start=0.0, tokens=tokens)
    for moment in moments:
        trace.add(moment, size)
    return trace


@pytest.mark.parametrize(
    ("trace", "verdict"),
    [
        (_arriving(2.0, size=200), True),
        (_arriving(*(2 + 0.0002 * n for n in range(40))), True),
        (_arriving(0.3, *(2 + 0.0002 * n for n in range(40))), True),
        (_arriving(*(0.5 + 0.02 * n for n in range(40))), False),
        (_arriving(*(0.005 + 0.0002 * n for n in range(40))), None),
        (_arriving(0.005, size=200), True),
        (_arriving(1.0, 1.5, size=20), False),
        (_arriving(*(5 + 0.01 * n for n in range(10))), False),
        (_arriving(0.5, 2.0, 2.0005), None),
        (_arriving(2.0, size=200, tokens=2), None),
        (_arriving(), None),
        (_arriving(*(2 + 0.0002 * n + 0.004 * (n // 20) for n in range(60))), True),
    ],
    ids=[
        "one chunk",
        "all at the end",
        "one token, then all at the end",
        "a stream",
        "a stream without waiting",
        "one chunk without waiting",
        "two large chunks",
        "a short answer after a long wait",
        "too short",
        "too few tokens",
        "no text",
        "all at the end, read by a busy machine",
    ],
)
def test_a_lump_is_told_from_a_stream(trace: Trace, verdict: bool | None) -> None:
    """One lump after a wait looks buffered; real streams do not, and short ones cannot be told."""
    assert trace.looks_buffered is verdict


def test_waiting_before_the_call_is_not_held_against_the_server() -> None:
    """The lump is compared with the time since the model was called, not since the question."""
    trace = _arriving(*(9.9 + 0.001 * n for n in range(100)))
    assert trace.looks_buffered is True
    trace.requested = 9.8
    assert trace.looks_buffered is False


async def test_a_suspended_machine_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the wall clock ran on by a minute meanwhile, the answer's durations are marked."""
    offsets = iter([100.0, 160.0, 160.0, 160.0])
    monkeypatch.setattr(streams, "clock_offset", lambda: next(offsets))
    assert (await stream(["a ", "b "])).trace.suspended
    assert not (await stream(["a ", "b "])).trace.suspended


def test_one_chunk_has_no_rate() -> None:
    """A single delta is an arrival, not a rate."""
    trace = Trace(start=0.0)
    trace.add(1.0, 3)
    assert trace.chunk_rate is None
    assert "1 chunk ·" in trace.caption


def test_caption_names_the_model() -> None:
    """Figures are never shown without the model they belong to, when it is known."""
    assert _trace(model="simulated-default").caption.endswith("simulated-default")


def test_caption_of_an_answer_without_text() -> None:
    """A stream that failed before its first token says how long it was waited for."""
    assert Trace(start=1.0, end=3.5).caption == "no text after 2.50 s"


@pytest.mark.parametrize(
    ("reasoning", "expected"), [(0, 0.3 / 4), (2, 0.3 / 2), (4, None), (5, None), (None, None)]
)
def test_tpot_counts_the_tokens_of_the_text(reasoning: int | None, expected: float | None) -> None:
    """Tokens of thoughts were not streamed: they are left out, and uncounted ones leave none."""
    tpot = _trace(tokens=5, reasoning_tokens=reasoning).tpot
    assert tpot == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    ("thought", "details", "expected"),
    [
        (False, None, 0),
        (False, {"reasoning_tokens": 30}, 30),
        (True, {"reasoning_tokens": 30}, 30),
        (True, {"reasoning_tokens": 0}, None),
        (True, {}, None),
        (True, None, None),
    ],
)
@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
async def test_reasoning_is_heard(
    field: str, thought: bool, details: dict[str, int] | None, expected: int | None
) -> None:
    """The server's count is taken; thoughts that came without a count make it unknown."""
    wire = Wire()
    if thought:
        wire.chunks.insert(1, chunk({field: "Let me see."}))
    wire.chunks[-1]["usage"] = {**wire.chunks[-1]["usage"], "completion_tokens_details": details}
    async with serving(wire):
        llm = nbkit.connect(wire.base_url, model="wire", context_window=32_768)
        answer = await stream(llm.astream_complete("Why?"))
    assert answer.text == "".join(WORDS)
    assert answer.trace.tokens == len(WORDS)
    assert answer.trace.reasoning_tokens == expected
    assert (answer.trace.tpot is None) == (expected is None)


def test_hidden_tokens_do_not_tell_of_buffering() -> None:
    """A short text after a long thought is too little to tell a buffered answer by."""
    trace = Trace(0.0, arrivals=[2.0], sizes=[4], tokens=1_001, reasoning_tokens=1_000)
    assert trace.looks_buffered is None
