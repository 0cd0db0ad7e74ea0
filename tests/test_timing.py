import pytest

from nbkit.timing import Trace


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
