"""The panel: sliders that move the running simulated model, and what they tell."""

import sys
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from nbkit import connect, stream
from nbkit.displays.simulator_panel import NotSimulatedError, in_words, panel
from nbkit.models import SimulatorError
from nbkit.models.providers import SimulatedOpenAI
from nbkit.simulator import PROFILES, Profile
from nbkit.streaming.errors import StreamBroken
from tests.simulated import simulated

QUESTION = "What can you do?"
PROMPT = {"ttft_per_1k_prompt_tokens": 0.0, "jitter": 0.0}


async def _ttft(llm: SimulatedOpenAI) -> float:
    answer = await stream(llm.astream_complete(QUESTION))
    assert answer.trace.ttft is not None
    return answer.trace.ttft


@pytest.fixture
async def llm() -> AsyncIterator[SimulatedOpenAI]:
    """Give a quick model, warm, and leave it as it was connected."""
    llm = simulated(ttft=0.1, tokens_per_second=500, **PROMPT)
    await _ttft(llm)
    yield llm
    panel(llm).reset.click()


# --- what the knobs do


async def test_a_slider_moves_the_next_request(llm: SimulatedOpenAI) -> None:
    """TTFT as a client measures it follows the slider, up and down."""
    slider = panel(llm).sliders["ttft"]
    slider.value = 1
    slow = await _ttft(llm)
    slider.value = 0.1
    fast = await _ttft(llm)
    assert slow >= 1
    assert slow > 3 * fast


async def test_an_answer_being_written_follows(llm: SimulatedOpenAI) -> None:
    """Tokens not yet sent come at the new pace; the whole answer takes 40 s and more at the old."""
    rate = panel(llm).sliders["tokens_per_second"]
    rate.value = 1
    tokens = stream(llm.astream_complete(QUESTION))
    async for _ in tokens:
        rate.value = 500
    assert tokens.trace.chunks > 40
    assert tokens.trace.end_to_end is not None
    assert tokens.trace.end_to_end < 20


async def test_every_request_fails_at_a_rate_of_one(llm: SimulatedOpenAI) -> None:
    """The failure rate is a share of requests, shown as a percentage."""
    slider = panel(llm).sliders["failure_rate"]
    slider.label = "100 %"
    with pytest.raises(StreamBroken, match=r"server (had an error|is overloaded)"):
        await _ttft(llm)
    slider.label = "0 %"
    await _ttft(llm)


async def test_the_rate_limit_refuses_the_next_request(llm: SimulatedOpenAI) -> None:
    """One request a minute: the second is refused, and `unlimited` lets it through."""
    slider = panel(llm).sliders["requests_per_minute"]
    slider.value = 1
    await _ttft(llm)
    with pytest.raises(StreamBroken, match="Rate limit reached"):
        await _ttft(llm)
    slider.label = "unlimited"
    await _ttft(llm)


def test_slots_are_whole_or_unlimited(llm: SimulatedOpenAI) -> None:
    """The end of the slider is the profile's None, every other step a whole number."""
    slider = panel(llm).sliders["slots"]
    told = []
    for label, _ in slider.options:
        slider.label = label
        told.append(llm.simulator.profile(llm.model)["slots"])
    assert told[-1] is None
    assert told[:3] == [1, 2, 3]
    assert all(isinstance(slots, int) for slots in told[:-1])


def test_reset_restores_everything(llm: SimulatedOpenAI) -> None:
    """Reset undoes sliders, profile, and what code has set meanwhile."""
    before = llm.simulator.profile(llm.model)
    shown = panel(llm)
    shown.profiles.value = "laptop_cpu"
    shown.sliders["failure_rate"].value = 0.5
    llm.simulator.set(llm.model, fault="cut", context_window=1000)
    assert llm.simulator.profile(llm.model) != before
    shown.reset.click()
    assert llm.simulator.profile(llm.model) == before
    assert shown.sliders["ttft"].label == "0.1 s"
    assert shown.profiles.value == "default"


def test_a_profile_brings_all_its_settings() -> None:
    """A profile replaces what another one set, but not seed, speed and context window."""
    llm = simulated(slots=3, seed=7, speed=2, context_window=5000)
    panel(llm).profiles.value = "rate_limited"
    kept = {"seed": 7, "speed": 2, "context_window": 5000}
    told = Profile(**llm.simulator.profile(llm.model))
    assert told == PROFILES["rate_limited"].change(kept)
    assert panel(llm).sliders["requests_per_minute"].label == "20"


def test_a_model_that_never_waits_says_so() -> None:
    """Where `speed` is 0 sliders of time would do nothing: they are off; a profile revives them."""
    shown = panel(simulated(profile="instant", seed=1))
    sliders = shown.sliders
    off = {name for name, slider in sliders.items() if slider.disabled}
    assert off == {"ttft", "tokens_per_second", "requests_per_minute"}
    shown.profiles.value = "busy"
    assert not any(slider.disabled for slider in sliders.values())
    shown.profiles.value = "instant"
    assert sliders["ttft"].disabled


# --- whose panel, and whether it tells the truth


def test_one_model_has_one_panel(llm: SimulatedOpenAI) -> None:
    """Asked for twice, it is one object with two views, so neither can be out of date."""
    shown = panel(llm)
    assert panel(llm) is shown
    assert panel(simulated(seed=99)) is not shown


def test_without_a_model_it_is_the_default_one() -> None:
    """`panel()` moves what `connect()` gives."""
    shown = panel()
    assert panel(connect()) is shown


def test_a_closed_panel_is_replaced(llm: SimulatedOpenAI) -> None:
    """A widget that was closed cannot be shown again: the next call makes a new one."""
    closed = panel(llm)
    closed.close()
    assert panel(llm) is not closed


def test_it_shows_what_code_has_set(llm: SimulatedOpenAI) -> None:
    """Values that are on no step, or beyond the last one, are shown as they are, not rounded."""
    shown = panel(llm)
    llm.simulator.set(llm.model, ttft=0.123, tokens_per_second=2000, slots=77)
    shown.refresh()
    told = {name: slider.label for name, slider in shown.sliders.items()}
    assert (told["ttft"], told["tokens_per_second"], told["slots"]) == (
        "0.123 s",
        "2000",
        "77 at once",
    )
    assert llm.simulator.profile(llm.model)["ttft"] == 0.123


@pytest.mark.parametrize("share", [0.01, 0.33, 0.99])
def test_a_scale_keeps_length_order_and_ends(llm: SimulatedOpenAI, share: float) -> None:
    """A value between two steps takes the place of one; front ends ignore a longer scale."""
    shown = panel(llm)
    slider = shown.sliders["failure_rate"]
    before = [value for _, value in slider.options]
    llm.simulator.set(llm.model, failure_rate=share)
    shown.refresh()
    values = [value for _, value in slider.options]
    assert share in values
    assert values == sorted(values)
    assert (len(values), values[0], values[-1]) == (len(before), 0, 1)
    slider.value = 1
    assert [value for _, value in slider.options] == before


def test_a_move_shows_what_code_has_set_meanwhile(llm: SimulatedOpenAI) -> None:
    """A move changes its own setting only, and brings the others up to date."""
    shown = panel(llm)
    llm.simulator.set(llm.model, slots=4)
    shown.sliders["ttft"].value = 0.5
    assert shown.sliders["slots"].label == "4 at once"
    assert llm.simulator.profile(llm.model)["slots"] == 4


@pytest.mark.parametrize("provider", ["openai", "http://127.0.0.1:1/v1"])
def test_a_real_model_is_refused(provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the model and the call that works."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    real = connect(provider, model="some-model")
    with pytest.raises(NotSimulatedError, match=r"some-model.*connect\(.simulated.\)"):
        panel(real)
    monkeypatch.setenv("NBKIT_LLM", "openai")
    with pytest.raises(NotSimulatedError):
        panel()


@pytest.mark.process
def test_a_dead_simulator_shows_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    """The line is in the panel, nothing is printed, and the slider goes back."""
    llm = simulated(seed=13)
    shown = panel(llm)
    llm.simulator.stop()
    shown.sliders["ttft"].value = 5
    line: Any = shown.children[-1]
    assert "not running any more — call nbkit.connect()" in line.value
    assert "First token after" not in line.value
    assert shown.sliders["ttft"].label == "0.7 s"
    assert capfd.readouterr() == ("", "")
    with pytest.raises(SimulatorError):
        panel(llm)
    assert panel() is not shown


# --- in words


@pytest.mark.parametrize("profile", PROFILES.values(), ids=lambda profile: profile.name)
def test_a_named_profile_in_words(profile: Profile) -> None:
    """It says that it is simulated, its name, and what it resembles; nothing is changed."""
    words = in_words(profile)
    assert words.startswith(f"Simulated {profile.name} ({profile.resembles}). ")
    assert "Changed" not in words
    assert "\n" not in words


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"ttft": 2.0}, ". First token after 2 s + 0.1 s per 1,000 prompt tokens, then"),
        ({"ttft": 2.0, "slots": 3}, "3 answers at once. Changed: ttft=2, slots=3."),
        ({"ttft_per_1k_prompt_tokens": 0.0}, "First token after 0.7 s, then 32 tokens/s"),
        ({"speed": 6.0}, "all at 6 times that speed"),
        ({"speed": 0, "requests_per_minute": 2}, "No waiting at all, any number of answers at"),
        ({"slots": 1}, "1 answer at once"),
        ({"slots": 9}, "9 answers at once"),
        ({"requests_per_minute": 20}, "at most 20 requests a minute"),
        ({"tokens_per_minute": 4e6}, "at most 4,000,000 tokens a minute"),
        ({"failure_rate": 0.25}, "25 % of requests fail."),
        ({"fault": "cut"}, "the fault “cut” in every answer. Changed: fault='cut'."),
    ],
)
def test_changes_in_words(settings: dict[str, Any], words: str) -> None:
    """What was changed is told as `connect` takes it, and what is in force as a person says it."""
    assert words in in_words(PROFILES["default"].change(settings))


def test_what_stays_in_a_saved_notebook(llm: SimulatedOpenAI) -> None:
    """Beside the widget, which needs a kernel, the whole words are left, as text and as HTML."""
    shown = panel(llm)
    llm.simulator.set(llm.model, fault="cut")
    bundle = shown._repr_mimebundle_()
    assert bundle["text/plain"] == repr(shown)
    assert bundle["text/plain"].endswith("fault='cut'.")
    assert "fault=&#x27;cut&#x27;" in bundle["text/html"]
    assert "application/vnd.jupyter.widget-view+json" in bundle


def test_marimo_is_told_why_there_are_no_sliders(
    llm: SimulatedOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where only the words can be shown they say so, with the code that does what a slider does."""
    shown = panel(llm)
    assert "marimo" not in shown._repr_mimebundle_()["text/html"]
    marimo = SimpleNamespace(running_in_notebook=lambda: True)
    monkeypatch.setitem(sys.modules, "marimo", marimo)  # type: ignore[arg-type]
    for words in ("text/plain", "text/html"):
        assert "`llm.simulator.set(llm.model, ttft=2)`" in shown._repr_mimebundle_()[words]
