"""Controls to look at an experiment from all sides, and the figure they show."""

import asyncio
import io
from base64 import b64encode
from collections.abc import Mapping
from html import escape
from typing import Any

import ipywidgets
from IPython.display import display

from nbkit.errors import NbkitError
from nbkit.metrics.load_point import UNITS

_ALL = "all loads"
_FIGURES = {
    "time to first token": "ttft",
    "end-to-end latency": "end_to_end",
    "time per output token": "tpot",
    "time between chunks": "gaps",
    "what the waiting is made of": "breakdown",
}
_KNEE = "where more load stops paying"
_HINT = "The figure below can be changed while its kernel runs: run this cell again."
_NOTHING = "Choose at least one run (with Ctrl or ⌘ several)."


class _Controls(ipywidgets.HBox):  # type: ignore[misc]
    """Widgets that leave a sentence in a saved file, where nobody answers them."""

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        bundle: dict[str, Any] = super()._repr_mimebundle_(**kwargs)
        return {**bundle, "text/plain": _HINT, "text/html": f"<p>{_HINT}</p>"}


class Explorer:
    """A figure of one or several experiments, with controls for runs, figure and load.

    Taught in notebook 08.
    """

    def __init__(self, experiments: Mapping[str, Any]) -> None:
        self._runs = {
            f"{name}: {label}" if name else label: (experiment, label)
            for name, experiment in experiments.items()
            for label in experiment.labels
        }
        loads = {
            (experiment.kind, load)
            for experiment in experiments.values()
            for load in experiment.loads
        }
        figures = [*_FIGURES, *([_KNEE] if len(loads) > 1 else [])]
        rows = min(max(len(self._runs), 2), 6)
        self.runs = ipywidgets.SelectMultiple(
            options=list(self._runs), value=list(self._runs), rows=rows, description="Runs"
        )
        self.figure = ipywidgets.Dropdown(
            options=figures, description="Figure", layout={"width": "24rem"}
        )
        self.load = ipywidgets.Dropdown(
            options=[
                (_ALL, _ALL),
                *((f"{load:g} {UNITS[kind]}", (kind, load)) for kind, load in sorted(loads)),
            ],
            description="Load",
        )
        self._shown: list[Any] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        for control in (self.runs, self.figure, self.load):
            control.observe(self._changed, names="value")

    def _ipython_display_(self) -> None:
        """Show the controls, and the figure as an output of its own: it stays in the file."""
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            self._loop = None
        display(_Controls([self.runs, self.figure, self.load]))  # type: ignore[no-untyped-call]
        self._shown.append(display(self.picture(), raw=True, display_id=True))  # type: ignore[no-untyped-call]

    def picture(self) -> dict[str, Any]:
        """Give the figure that is chosen, by MIME type; or what is wrong, in words."""
        try:
            ax = self._draw()
        except NbkitError as error:
            words = str(error)
            return {"text/plain": words, "text/html": f'<p role="alert">✗ {escape(words)}</p>'}
        png = io.BytesIO()
        ax.figure.savefig(png, format="png", dpi=100)
        words = f"{self.figure.value}: {', '.join(self.runs.value)}"
        return {"image/png": b64encode(png.getvalue()).decode(), "text/plain": words}

    def _changed(self, _change: Any) -> None:
        self.load.disabled = self.figure.value == _KNEE
        # A callback may run in a thread of its own, where matplotlib must not be used.
        if self._loop is None or self._loop.is_closed():
            self._renew()
        else:
            self._loop.call_soon_threadsafe(self._renew)

    def _renew(self) -> None:
        for shown in self._shown:
            shown.update(self.picture(), raw=True)

    def _draw(self) -> Any:
        from nbkit import plots
        from nbkit.plots.style import sheet

        if not self.runs.value:
            raise plots.PlotError(_NOTHING)
        chosen = {name: self._runs[name] for name in self.runs.value}
        ax = sheet()
        if self.figure.value == _KNEE:
            points = [
                point.with_label(name)
                for name, (experiment, label) in chosen.items()
                for point in experiment.points
                if point.label == label
            ]
            return plots.knee(points, ax=ax)
        groups = {name: _requests(*run, self.load.value) for name, run in chosen.items()}
        metric = _FIGURES[self.figure.value]
        if metric in ("gaps", "breakdown"):
            return getattr(plots, metric)(groups, ax=ax)
        return plots.ecdf(groups, metric=metric, ax=ax)


def explore(experiments: Any) -> Explorer:
    """Give controls that pick runs, figure and load of an experiment, or of several by name.

    Put it at the end of a cell. The figure is an output of its own, beneath the controls: it stays
    in a saved notebook as it was chosen last.

    Raises `NotMeasured` for anything that is no experiment, or an empty one.

    Taught in notebook 08.
    """
    from nbkit.metrics.load_point import read_points

    several = dict(experiments) if isinstance(experiments, Mapping) else {"": experiments}
    for experiment in several.values() or [None]:
        read_points(experiment)
    return Explorer(several)


def _requests(experiment: Any, label: str, at: str | tuple[str, float]) -> list[Any]:
    return [
        one for one in experiment.requests_of(label) if at in (_ALL, (experiment.kind, one.load))
    ]
