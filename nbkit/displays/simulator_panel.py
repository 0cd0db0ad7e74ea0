"""Sliders in the notebook that change the simulated model while it runs."""

import math
from collections.abc import Mapping
from functools import partial, reduce
from html import escape
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import anywidget
import ipywidgets  # type: ignore[import-untyped]

from nbkit.displays.live_widget import code_of
from nbkit.errors import ConnectError
from nbkit.language import say, to_say
from nbkit.loops.kernel import in_marimo
from nbkit.models import connect
from nbkit.models.providers import SimulatedOpenAI
from nbkit.simulator import PROFILES, SETTINGS, Profile, Simulator
from nbkit.wording import count

_STYLE = Path(__file__).parent / "static" / "panel.css"
_STEPS: dict[str, tuple[float, ...]] = {
    "ttft": (0, 0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 7, 10),
    "tokens_per_second": (1, 2, 3, 5, 9, 15, 22, 32, 50, 90, 150, 200, 300, 500),
    "slots": (1, 2, 3, 4, 6, 8, 12, 20, 50, math.inf),
    "requests_per_minute": (1, 2, 3, 5, 10, 20, 30, 60, 100, 200, 300, 600, math.inf),
    "failure_rate": (0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1),
}
"""What each slider can be set to; infinity is a profile's `None`, no limit."""
_NAMES = {
    "ttft": to_say("First token (TTFT)"),
    "tokens_per_second": to_say("Tokens per second"),
    "slots": to_say("Slots"),
    "requests_per_minute": to_say("Requests per minute"),
    "failure_rate": to_say("Failure rate"),
}
_TIMED = ("ttft", "tokens_per_second", "requests_per_minute")
"""Settings that mean nothing to a model that never waits."""
_NO_SLIDERS = to_say(
    "The sliders need Jupyter: in marimo change the model by code, as in "
    "`llm.simulator.set(llm.model, ttft=2)`."
)


class Slider(anywidget.AnyWidget, ipywidgets.SelectionSlider):  # type: ignore[misc]
    """A `SelectionSlider` drawn by the browser: ipywidgets' says "5" for "0.7 s", and no name."""

    _esm = code_of("slider.js")


class NotSimulatedError(ConnectError):
    """The model is a real one, whose speed cannot be set from here."""


class Panel(ipywidgets.VBox):  # type: ignore[misc]
    """The sliders of one simulated model, made by `panel`.

    `sliders` (by setting), `profiles` and `reset` are ordinary ipywidgets. A change made
    elsewhere, with `Simulator.set`, shows at the next move, or when the panel is displayed again.
    """

    def __init__(self, llm: SimulatedOpenAI) -> None:
        self._llm = llm
        self._profile = llm.profile
        self._listening = True
        self.profiles = ipywidgets.Dropdown(
            options=list(PROFILES),
            description=say("Profile"),
            style={"description_width": "initial"},
            layout={"width": "16em"},
        )
        self.reset = ipywidgets.Button(
            description=say("Reset"),
            icon="undo",
            tooltip=say("Back to the profile the model was connected with"),
        )
        self.sliders = {setting: _slider(setting) for setting in _STEPS}
        self._words = ipywidgets.HTML()
        self.profiles.observe(self._choose, "value")
        self.reset.on_click(lambda _: self._put(vars(llm.profile)))
        for setting, slider in self.sliders.items():
            slider.observe(partial(self._move, setting), "value")
        style = _STYLE.read_text("utf-8")
        name = ipywidgets.HTML(f"<style>{style}</style><code>{escape(llm.model)}</code>")
        columns = "repeat(auto-fit, minmax(min(27rem, 100%), 1fr))"
        grid = {"grid_template_columns": columns, "grid_gap": "0 1rem"}
        sliders = ipywidgets.GridBox(list(self.sliders.values()), layout=grid)
        head = ipywidgets.HBox(
            [self.profiles, self.reset, name], layout={"flex_flow": "row wrap", "grid_gap": "0 1em"}
        )
        super().__init__([head, sliders, self._words])
        self.add_class("nbkit-panel")

    def refresh(self) -> None:
        """Ask the simulator what is in force, and show that; raises SimulatorError."""
        self._show(Profile(**self._llm.simulator.profile(self._llm.model)))

    def _move(self, setting: str, change: Mapping[str, Any]) -> None:
        if self._listening:
            value = change["new"]
            self._put({setting: None if value == math.inf else value})

    def _choose(self, change: Mapping[str, Any]) -> None:
        """Take over a named profile, but for what belongs to the connection."""
        if self._listening:
            profile, kept = PROFILES[change["new"]], self._llm.profile
            # No speed of a connection makes `instant` slow, or the others instant.
            speed = profile.speed and (kept.speed or profile.speed)
            connected = {"seed": kept.seed, "context_window": kept.context_window}
            self._put({**vars(profile), **connected, "speed": speed})

    def _put(self, settings: Mapping[str, Any]) -> None:
        # An exception in a callback would be printed under no cell, or under the wrong one.
        try:
            told = self._llm.simulator.put(self._llm.model, settings)
        except ConnectError as error:
            self._show(self._profile, str(error))
        else:
            self._show(Profile(**told))

    def _show(self, profile: Profile, error: str = "") -> None:
        self._profile = profile
        self._listening = False
        try:
            self.profiles.value = profile.name
            for setting, slider in self.sliders.items():
                value = getattr(profile, setting)
                value = math.inf if value is None else value
                scale = _scale(setting, value)
                with slider.hold_sync():
                    if slider.options != scale:
                        slider.options = scale
                    slider.value = value
                slider.disabled = setting in _TIMED and profile.speed == 0
        finally:
            self._listening = True
        role, line = ("alert", f"✗ {error}") if error else ("status", in_words(profile))
        self._words.value = f'<div role="{role}">{escape(line)}</div>'

    def __repr__(self) -> str:
        return in_words(self._profile)

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        """Add the words, for readers of a saved notebook, where there is no widget any more."""
        try:
            self.refresh()
        except ConnectError as error:
            self._show(self._profile, str(error))
        bundle: dict[str, Any] = super()._repr_mimebundle_(**kwargs)
        words = f"{self!r} {say(_NO_SLIDERS)}" if in_marimo() else repr(self)
        return {**bundle, "text/plain": words, "text/html": f"<p>{escape(words)}</p>"}


_panels: WeakValueDictionary[tuple[Simulator, str], Panel] = WeakValueDictionary()


def panel(llm: Any = None) -> Panel:
    """Sliders for the simulated model that act at once: speed, slots, limits, failures.

    Without `llm` it is the model of `nbkit.connect()`; one model has one panel. TTFT and tokens per
    second also change answers being written; the limits and the failure rate act from the next
    request on. A profile chosen in the panel keeps the speed, seed and context window of the
    connection, and Reset brings back all that the model was connected with. Below the sliders, the
    profile in force in words. With ipykernel 6 sliders act once the running cell has ended.

    Raises NotSimulatedError for a real model, SimulatorError if the simulator is gone; once the
    panel is up, such errors appear in it. Taught in notebook 01.
    """
    llm = connect() if llm is None else llm
    if not isinstance(llm, SimulatedOpenAI):
        name = getattr(llm, "model", None) or type(llm).__name__
        raise NotSimulatedError(
            say("{name} is not simulated, so nothing here can set its speed", name=name),
            say('use nbkit.panel(nbkit.connect("simulated")).'),
        )
    key = (llm.simulator, llm.model)
    shown = _panels.get(key)
    # A panel that was closed cannot be displayed any more.
    if shown is None or shown.comm is None:
        shown = _panels[key] = Panel(llm)
    shown.refresh()
    return shown


def in_words(profile: Profile) -> str:
    """A profile in words, and the settings that differ from the named one."""
    parts = [say("No waiting at all")]
    if profile.speed:
        per_prompt = profile.ttft_per_1k_prompt_tokens
        parts = [say("First token after {ttft:g} s", ttft=profile.ttft)]
        if per_prompt:
            parts[0] += say(" + {seconds:g} s per 1,000 prompt tokens", seconds=per_prompt)
        parts.append(say("then {rate:g} tokens/s", rate=profile.tokens_per_second))
        if total := profile.total_tokens_per_second:
            parts[1] += say(" ({total:g} for all answers together)", total=total)
        if profile.speed != 1:
            parts.append(say("all at {speed:g} times that speed", speed=profile.speed))
        if (limit := profile.requests_per_minute) is not None:
            parts.append(say("at most {limit:,.12g} requests a minute", limit=limit))
        if (limit := profile.tokens_per_minute) is not None:
            parts.append(say("at most {limit:,.12g} tokens a minute", limit=limit))
    places = profile.slots
    answers = say("any number of answers") if places is None else count(places, "answer")
    parts.append(say("{answers} at once", answers=answers))
    if profile.failure_rate:
        share = _label("failure_rate", profile.failure_rate)
        parts.append(say("{share} of requests fail", share=share))
    if profile.fault is not None:
        parts.append(say("the fault “{fault}” in every answer", fault=profile.fault))
    words = say(
        "Simulated {name} ({resembles}). {parts}.",
        name=profile.name,
        resembles=say(profile.resembles),
        parts=reduce(lambda told, part: say("{told}, {part}", told=told, part=part), parts),
    )
    plain = PROFILES.get(profile.name, profile)
    settings = {name: getattr(profile, name) for name in SETTINGS}
    changed = [
        f"{name}={value:g}" if isinstance(value, float) else f"{name}={value!r}"
        for name, value in settings.items()
        if value != getattr(plain, name)
    ]
    if changed:
        words += say(" Changed: {settings}.", settings=", ".join(changed))
    return words


def _label(setting: str, value: float) -> str:
    if value == math.inf:
        return say("unlimited")
    if setting == "failure_rate":
        return f"{100 * value:g} %"
    units = {
        "ttft": say("{value:g} s", value=value),
        "slots": say("{value:g} at once", value=value),
    }
    return units.get(setting, f"{value:g}")


def _scale(setting: str, value: float) -> tuple[tuple[str, float], ...]:
    """The labels and values of a slider; the nearest step makes room for `value`."""
    steps = _STEPS[setting]
    if value not in steps:
        # The front end never learns of a longer scale: its last steps would be out of reach.
        nearest = min(steps[1:-1], key=lambda step: abs(step - value))
        steps = tuple(sorted({value, *steps} - {nearest}))
    return tuple((_label(setting, step), step) for step in steps)


def _slider(setting: str) -> Slider:
    slider = Slider(options=_scale(setting, _STEPS[setting][0]), description=say(_NAMES[setting]))
    slider.add_class("nbkit-slider")
    return slider
