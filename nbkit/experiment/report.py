"""A report of one or several experiments: an HTML file that runs no code and loads nothing."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.resources import files
from string import Template
from typing import Any

from nbkit.experiment.report_html import NOTHING, listing, paragraph, row, safe, section, table
from nbkit.experiment.report_numbers import figures, latency, requests
from nbkit.experiment.report_verdicts import Side, sides_of, verdicts
from nbkit.experiment.saved import shown_error
from nbkit.experiment.table import listed
from nbkit.language import language, page_said, say
from nbkit.metrics.load_point import UNITS
from nbkit.metrics.slo import SLO
from nbkit.wording import count, is_simulated
from nbkit.wording import listed as listed_names


def html_report(experiments: Sequence[Any], slo: SLO | None, *, text: bool) -> str:
    """The report as HTML; without `text`, no question and of errors only their class."""
    runs = [_shareable(one, text=text) for one in experiments]
    sides = list(sides_of(runs))
    points = [side.point for side in sides]
    labels = ", ".join(dict.fromkeys(side.label for side in sides)) or say("nothing answered")
    title = say("Latency of {labels}", labels=labels)
    if len(runs) > 1:
        title = say("{title}: {runs}", title=title, runs=count(len(runs), "run"))
    body = [
        f"<h1>{safe(title)}</h1>",
        *map(paragraph, _opening(runs)),
        *(f'<p class="caution">{safe(words)}</p>' for words in _cautions(runs, sides)),
        section(say("Verdicts"), verdicts(sides)),
        section(say("Requests"), requests(points, slo)),
        section(say("Latency"), latency(points)),
        section(say("Figures"), figures(points, slo)),
        section(say("Notes"), _notes(runs)),
        section(say("Circumstances"), _circumstances(runs)),
        section(say("Questions"), _questions(runs) if text else ()),
    ]
    here = files("nbkit.experiment") / "static"
    template, style = (
        (here / name).read_text("utf-8").strip() for name in ("report.html", "report.css")
    )
    whole = Template(page_said(template))
    text_of = {"title": safe(title), "style": style, "body": "\n".join(body)}
    return whole.substitute(text_of, language=language())


def _shareable(experiment: Any, *, text: bool) -> Any:
    """A copy without questions and servers' words, unless they are asked for."""
    results = [replace(one, error=shown_error(one.error, text=text)) for one in experiment.results]
    return replace(experiment, results=results)


def _opening(runs: Sequence[Any]) -> Iterator[str]:
    """When each run was made, and what was asked, in a sentence."""
    for number, run in enumerate(runs, 1):
        name = say("Run {number}, measured", number=number) if len(runs) > 1 else say("Measured")
        failed = sum(one.error is not None for one in run.results)
        asked = count(run.parameters.get("questions", 0), "question")
        when = str(run.environment.get("started", "")).replace("T", " ")
        yield say(
            "{name} {when}: {asked}, asked of {labels} with {loads} {units}; {results} of "
            "{requests} ended, {failed} failed.",
            name=name,
            when=when,
            asked=asked,
            labels=listed_names(run.labels),
            loads=listed(run.loads),
            units=say(UNITS[run.kind]),
            results=len(run.results),
            requests=count(run.planned, "request"),
            failed=failed,
        )


def _cautions(runs: Sequence[Any], sides: Sequence[Side]) -> Iterator[str]:
    """What a reader must not overlook."""
    simulated = {
        one.label
        for run in runs
        for one in run.results
        if run.parameters["against"].get(one.label, {}).get("model") == "simulated"
        or is_simulated(one.trace.model)
    }
    if simulated:
        yield say("Simulated model, no vendor's: {names}.", names=listed_names(sorted(simulated)))
    if len(runs) > 1:
        yield say(
            "These runs were made at different times. A difference between them may come from all "
            "that has changed in between, the load of the server included: see Circumstances."
        )
        if len({side.point.rows[0].question[0] for side in sides}) > 1:
            yield say(
                "Not all runs are known to have asked the same questions (a file keeps them only "
                "if saved with text=True), so these are not compared question by question."
            )


def _notes(runs: Sequence[Any]) -> Iterator[str]:
    for number, run in enumerate(runs, 1):
        if run.notes:
            yield (_heading(number) if len(runs) > 1 else "") + listing("ul", run.notes)


def _heading(number: int) -> str:
    return f"<h3>{say('Run {number}', number=number)}</h3>"


def _circumstances(runs: Sequence[Any]) -> Iterator[str]:
    """Versions, machine and settings; a column per run, and a mark where they differ."""
    told = [
        dict(_flat({**run.environment, **run.parameters}))
        | {
            say("models that answered"): sorted(
                {one.trace.model for one in run.results if one.trace.model}
            )
        }
        for run in runs
    ]
    rows = []
    for name in dict.fromkeys(name for each in told for name in each):
        values = [_words(each.get(name)) for each in told]
        differ = len(set(values)) > 1
        head = say("{name} (differs)", name=name) if differ else name
        rows.append(row(head, values, ' class="differ"' if differ else ""))
    numbered = [say("run {number}", number=number) for number in range(1, len(runs) + 1)]
    yield table(
        say("Circumstances"), numbered if len(runs) > 1 else [say("value")], rows, say("words")
    )


def _flat(facts: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in facts.items():
        if name in ("versions", "machine", "against") and isinstance(value, Mapping):
            yield from (
                (say("asked: {key}", key=key) if name == "against" else str(key), each)
                for key, each in value.items()
            )
        else:
            yield name, value


def _words(value: Any) -> str:
    """A setting as text; settings within it are listed."""
    if isinstance(value, Mapping):
        given = {name: each for name, each in value.items() if each is not None}
        return ", ".join(f"{name}: {_words(each)}" for name, each in given.items())
    if isinstance(value, list):
        return ", ".join(map(_words, value))
    return NOTHING if value is None else str(value)


def _questions(runs: Sequence[Any]) -> Iterator[str]:
    for number, run in enumerate(runs, 1):
        if run.questions:
            head = f"<h3>Run {number}</h3>" if len(runs) > 1 else ""
            yield head + listing("ol", run.questions)
