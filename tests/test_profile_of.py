"""The profile of a measured model: what it finds, and that it gives the same timing."""

import asyncio
from pathlib import Path
from statistics import median
from typing import Any

import pytest

import nbkit
from nbkit.cli import main
from nbkit.simulator import PROFILES, Profile, profile_of
from nbkit.simulator.errors import ProfileError

SHORT = "What is the warranty?"
LONG = "What about this? " + "It is a lamp, and it has an arm. " * 60
LOADS = [1, 4]


async def _measured(profile: Profile) -> nbkit.Experiment:
    llm = nbkit.connect(profile=profile).model_copy(update={"max_tokens": 8})
    return await nbkit.measure(
        [SHORT, LONG], {"it": llm}, max_concurrency=LOADS, requests=10, warmup=False, progress=False
    )


def _medians(experiment: nbkit.Experiment, load: float) -> dict[str, float]:
    traces = [one.trace for one in experiment.requests_of("it", load) if not one.ramp]
    return {name: median(getattr(t, name) for t in traces) for name in ("ttft", "tpot")}


async def test_a_measured_profile_has_the_same_timing() -> None:
    """Simulated with its own profile, a model has the medians it was measured with."""
    settings: list[dict[str, Any]] = [
        {"ttft_per_1k_prompt_tokens": 0.2, "slots": 2},
        {"ttft_per_1k_prompt_tokens": 0.0, "total_tokens_per_second": 100.0},
    ]
    plain = {"ttft": 0.05, "tokens_per_second": 60.0, "jitter": 0.05, "speed": 1}
    profiles = [PROFILES["default"].change({**plain, **one}) for one in settings]
    measured = await asyncio.gather(*map(_measured, profiles))
    found = [profile_of(experiment) for experiment in measured]
    again = await asyncio.gather(*map(_measured, found))
    for given, made, first, second in zip(profiles, found, measured, again, strict=True):
        assert made.slots == given.slots
        slopes = [one.ttft_per_1k_prompt_tokens for one in (made, given)]
        assert slopes[0] == pytest.approx(slopes[1], rel=0.2, abs=0.06)
        totals = [one.total_tokens_per_second or 0 for one in (made, given)]
        assert totals[0] == pytest.approx(totals[1], rel=0.25)
        # In a queue, ten requests scatter more.
        for load, rel in zip(LOADS, (0.1, 0.3), strict=True):
            assert _medians(second, load) == pytest.approx(_medians(first, load), rel=rel, abs=0.03)


async def test_a_profile_says_what_it_is_made_from(tmp_path: Path) -> None:
    """Label, day and n are in it, and a file of it is accepted where a profile's name is."""
    llm = nbkit.connect(speed=0)
    experiment = await nbkit.measure(
        [SHORT], {"my model": llm}, requests=12, warmup=False, progress=False
    )
    found = profile_of(experiment)
    assert found.name == "my_model"
    assert found.resembles.startswith("my model as measured on 20")
    assert found.resembles.endswith("n = 12")
    path = found.save(tmp_path / "mine.json")
    assert nbkit.connect(profile=str(path)).profile == found.change({"speed": 1.0})


async def test_too_little_is_refused() -> None:
    """Ten answers are needed, and one target."""
    llm = nbkit.connect(speed=0)
    few = await nbkit.measure([SHORT], {"a": llm, "b": llm}, requests=3, progress=False)
    with pytest.raises(ProfileError, match="2 targets"):
        profile_of(few)
    with pytest.raises(ProfileError, match=r"3 answers of 'a'.* 10 are needed"):
        profile_of(few, "a")


@pytest.mark.parametrize(
    "text", [None, "{", '{"name": "x"}', '{"name": "x", "resembles": "", "ttft": -1}']
)
def test_a_file_that_is_no_profile(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None
) -> None:
    """`nbkit simulate` says in one line what is wrong with a file."""
    path = tmp_path / "mine.json"
    if text is not None:
        path.write_text(text, "utf-8")
    with pytest.raises(SystemExit, match="✗ ") as raised:
        main(["simulate", "--profile", str(path), "--port", "0"])
    assert "profile" in str(raised.value) or "ttft" in str(raised.value)
