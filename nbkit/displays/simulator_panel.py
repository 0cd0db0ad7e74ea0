"""Sliders in the notebook that change the simulated model while it runs."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from html import escape
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import ipywidgets  # type: ignore[import-untyped]

from nbkit.errors import ConnectError
from nbkit.models import connect
from nbkit.models.providers import SimulatedOpenAI
from nbkit.simulator import PROFILES, SETTINGS, Profile, Simulator

_STYLE = Path(__file__).parent / "static" / "panel.css"


class NotSimulatedError(ConnectError):
    """The model is a real one, whose speed cannot be set from here."""


@dataclass(frozen=True)
class _Knob:
    """One slider; infinity on its scale is a profile's `None`, no limit."""

    setting: str
    title: str
    steps: tuple[float, ...]
    number: Callable[[float], str]
    timed: bool = True
    """Whether it means nothing to a model that never waits."""

    def scale(self, value: float) -> tuple[tuple[str, float], ...]:
        """The labels and values of the slider; the nearest step makes room for `value`."""
        steps = set(self.steps)
        if value not in steps:
            # The front end never learns of a longer scale: its last steps would be out of reach.
            steps.remove(min(self.steps[1:-1], key=lambda step: abs(step - value)))
            steps.add(value)
        return tuple(
            ("unlimited" if step == math.inf else self.number(step), step) for step in sorted(steps)
        )


def _percent(share: float) -> str:
    return f"{100 * share:g} %"


_KNOBS = (
    _Knob(
        "ttft",
        "First token (TTFT)",
        (0, 0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 7, 10),
        "{:g} s".format,
    ),
    _Knob(
        "tokens_per_second",
        "Tokens per second",
        (1, 2, 3, 5, 9, 15, 22, 32, 50, 90, 150, 200, 300, 500),
        "{:g}".format,
    ),
    _Knob(
        "slots",
        "Slots",
        (1, 2, 3, 4, 6, 8, 12, 20, 50, math.inf),
        "{:g} at once".format,
        timed=False,
    ),
    _Knob(
        "requests_per_minute",
        "Requests per minute",
        (1, 2, 3, 5, 10, 20, 30, 60, 100, 200, 300, 600, math.inf),
        "{:g}".format,
    ),
    _Knob(
        "failure_rate",
        "Failure rate",
        (0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1),
        _percent,
        timed=False,
    ),
)


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
            description="Profile",
            style={"description_width": "initial"},
            layout={"width": "16em"},
        )
        self.reset = ipywidgets.Button(
            description="Reset",
            icon="undo",
            tooltip="Back to the profile the model was connected with",
        )
        self.sliders = {knob.setting: _slider(knob) for knob in _KNOBS}
        self._words = ipywidgets.HTML()
        self.profiles.observe(self._choose, "value")
        self.reset.on_click(lambda _: self._put(vars(llm.profile)))
        for setting, slider in self.sliders.items():
            slider.observe(partial(self._move, setting), "value")
        style = _STYLE.read_text("utf-8")
        name = ipywidgets.HTML(f"<style>{style}</style><code>{escape(llm.model)}</code>")
        columns = ipywidgets.GridBox(
            list(self.sliders.values()),
            layout={
                "grid_template_columns": "repeat(auto-fit, minmax(27rem, 1fr))",
                "grid_gap": "0 1rem",
            },
        )
        head = ipywidgets.HBox([self.profiles, self.reset, name])
        super().__init__([head, columns, self._words])
        self.add_class("nbkit-panel")

    @property
    def words(self) -> str:
        """What the model does at this moment, in words; raises SimulatorError."""
        self.refresh()
        return in_words(self._profile)

    def refresh(self) -> None:
        """Ask the simulator what is in force, and show that; raises SimulatorError."""
        self._show(Profile(**self._llm.simulator.profile(self._llm.model)))

    def _move(self, setting: str, change: Mapping[str, Any]) -> None:
        if self._listening:
            value = change["new"]
            self._put({setting: None if value == math.inf else value})

    def _choose(self, change: Mapping[str, Any]) -> None:
        if self._listening:
            self._put(vars(_like(self._llm.profile, PROFILES[change["new"]])))

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
            for knob in _KNOBS:
                value = getattr(profile, knob.setting)
                _point(self.sliders[knob.setting], knob, math.inf if value is None else value)
                self.sliders[knob.setting].disabled = knob.timed and profile.speed == 0
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
        return {**bundle, "text/plain": repr(self), "text/html": f"<p>{escape(repr(self))}</p>"}


def panel(llm: Any = None) -> Panel:
    """Give sliders for the simulated model that act at once: speed, slots, limits, failures.

    Without `llm` it is the model of `nbkit.connect()`. TTFT and tokens per second also change
    answers being written (within 0.1 s); more slots let waiting requests in at once, fewer cut no
    answer off; the rate limit and the failure rate act from the next request on. A profile chosen
    in the panel keeps the speed, seed and context window of the connection, and Reset brings back
    all that the model was connected with. Below the sliders, the profile in force in words.

    One model has one panel, however often it is asked for. Sliders move the model when they are
    let go; with ipykernel 6, only once the running cell has ended.

    Raises NotSimulatedError for a real model, SimulatorError if the simulator is gone; once the
    panel is up, such errors appear in it.

    Taught in notebook 01.
    """
    llm = connect() if llm is None else llm
    if not isinstance(llm, SimulatedOpenAI):
        name = getattr(llm, "model", None) or type(llm).__name__
        raise NotSimulatedError(
            f"{name} is not simulated, so nothing here can set its speed",
            'use nbkit.panel(nbkit.connect("simulated")).',
        )
    key = (llm.simulator, llm.model)
    shown = _panels.get(key)
    # A panel that was closed cannot be displayed any more.
    if shown is None or shown.comm is None:
        shown = _panels[key] = Panel(llm)
    shown.refresh()
    return shown


_panels: WeakValueDictionary[tuple[Simulator, str], Panel] = WeakValueDictionary()


def in_words(profile: Profile) -> str:
    """A profile in words, and the settings that differ from the named one."""
    failures = f"{_percent(profile.failure_rate)} of requests fail"
    parts = [
        _waiting(profile),
        _places(profile.slots),
        _limits(profile),
        failures if profile.failure_rate else "no failures",
    ]
    if profile.fault is not None:
        parts.append(f"the fault “{profile.fault}” in every answer")
    words = f"Simulated {profile.name} ({profile.resembles}). {', '.join(parts)}."
    plain = PROFILES.get(profile.name, profile)
    changed = [
        f"{name}={_literal(getattr(profile, name))}"
        for name in SETTINGS
        if getattr(profile, name) != getattr(plain, name)
    ]
    return f"{words} Changed: {', '.join(changed)}." if changed else words


def _literal(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else repr(value)


def _waiting(profile: Profile) -> str:
    if profile.speed == 0:
        return "No waiting at all"
    words = f"First token after {profile.ttft:g} s"
    if profile.ttft_per_1k_prompt_tokens:
        words += f" + {profile.ttft_per_1k_prompt_tokens:g} s per 1,000 prompt tokens"
    words += f", then {profile.tokens_per_second:g} tokens/s"
    return words if profile.speed == 1 else f"{words}, all at {profile.speed:g} times that speed"


def _places(slots: int | None) -> str:
    if slots is None:
        return "any number of answers at once"
    return "one answer at a time" if slots == 1 else f"{slots} answers at once"


def _limits(profile: Profile) -> str:
    limits = {"requests": profile.requests_per_minute, "tokens": profile.tokens_per_minute}
    told = [f"{limit:,.12g} {what}" for what, limit in limits.items() if limit is not None]
    if not told or profile.speed == 0:
        return "no limit on requests"
    return f"at most {' and '.join(told)} a minute"


def _like(connected: Profile, profile: Profile) -> Profile:
    """A named profile with what belongs to the connection, not to the service it shows."""
    # No speed of a connection makes `instant` slow, or the others instant.
    speed = profile.speed and (connected.speed or profile.speed)
    window = connected.context_window
    return profile.change({"speed": speed, "seed": connected.seed, "context_window": window})


def _slider(knob: _Knob) -> ipywidgets.SelectionSlider:
    return ipywidgets.SelectionSlider(
        options=knob.scale(knob.steps[0]),
        description=knob.title,
        continuous_update=False,
        style={"description_width": "10.5rem"},
        layout={"width": "auto"},
    )


def _point(slider: ipywidgets.SelectionSlider, knob: _Knob, value: float) -> None:
    with slider.hold_sync():
        scale = knob.scale(value)
        if slider.options != scale:
            slider.options = scale
        slider.value = value
