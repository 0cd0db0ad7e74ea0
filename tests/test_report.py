import re
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup

from nbkit import SLO, Experiment
from nbkit.experiment import report as report_module
from nbkit.experiment.measurements import ExperimentError
from tests.experiments import experiment, measurement, several

HOSTILE = "<img src=x onerror=alert(1)>\"'&$title{{x}}</style><script>"


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the figures out, which take most of the time."""
    monkeypatch.setattr(report_module, "figures", lambda *_: iter(()))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> BeautifulSoup:
    """Write one report with figures, of two loads and an objective."""
    labels = [HOSTILE, "sk-verysecretkey of a"]
    results = [one for label in labels for load in (1, 4) for one in several(label, load=load)]
    path = tmp_path_factory.mktemp("report") / "week.html"
    return _read(experiment(results).report(path, slo=SLO(ttft=0.6)))


def _read(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text("utf-8"), "html.parser")


def _rows(html: BeautifulSoup, table: str) -> list[list[str]]:
    """The cells of a table, by row, the head included."""
    (found,) = html.select(f'[aria-label="{table}"] table')
    return [[cell.get_text() for cell in row.select("th, td")] for row in found.select("tr")]


def _verdicts(html: BeautifulSoup) -> list[str]:
    for size in html.select(".verdicts small"):
        size.extract()
    return [item.get_text().strip() for item in html.select(".verdicts li")]


def _cautions(html: BeautifulSoup) -> str:
    return " ".join(item.get_text() for item in html.select(".caution"))


def test_it_executes_and_fetches_nothing(drawn: BeautifulSoup) -> None:
    """No script, event handler, frame, link or address, and a policy that forbids them."""
    assert not drawn.select("script, iframe, object, embed, form, a, base, svg, video, audio")
    assert {tag["href"] for tag in drawn.select("[href]")} == {"data:,"}
    assert all(tag["src"].startswith("data:image/svg+xml;") for tag in drawn.select("[src]"))
    assert not [name for tag in drawn.find_all(True) for name in tag.attrs if name[:2] == "on"]
    assert not re.search(r"https?:|url\(|@import", str(drawn))
    policy = drawn.select_one('[http-equiv="Content-Security-Policy"]')
    assert policy is not None
    assert policy["content"] == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_figures_say_in_words_what_they_show(drawn: BeautifulSoup) -> None:
    """Objective, both knees and the parts are drawn, each with title, alternative text, no key."""
    titles = [caption.get_text() for caption in drawn.select("figcaption")]
    assert [title.split("?")[0] for title in titles] == [
        "How much load keeps the promise",
        "Where does more load stop paying",
        "Where does more load stop paying",
        "What is the waiting made of",
    ]
    for image, title in zip(drawn.select("img"), titles, strict=True):
        assert image["alt"].startswith(title)
        assert "<img src=x" in image["alt"]
        svg = b64decode(image["src"].partition(",")[2]).decode()
        assert "verysecret" not in svg
        assert "<script" not in svg


def test_untrusted_text_is_shown_as_it_is(drawn: BeautifulSoup) -> None:
    """A label is text wherever it stands: title, verdicts, tables; a key in it is never shown."""
    assert drawn.title is not None
    assert HOSTILE in drawn.title.get_text()
    assert [row[0] for row in _rows(drawn, "Requests")[1:3]] == [HOSTILE, HOSTILE]
    assert all(HOSTILE in verdict for verdict in _verdicts(drawn))
    assert "verysecret" not in str(drawn)
    assert "[key] of a" in str(drawn)


def test_the_figures_of_the_tables(no_figures: None, tmp_path: Path) -> None:
    """Each table has the experiment's own values, with their n, and a dash where n is too small."""
    bad = measurement("b", question=12, state="failed", error="StreamBroken: gone")
    made = experiment([*several("a"), *several("b", 9, slower=2), bad])
    html, table = _read(made.report(tmp_path / "week.html", slo=SLO(ttft=0.62))), made.table()
    head, *rows = _rows(html, "Requests")
    cells = [dict(zip(head, row, strict=True)) for row in rows]
    assert [(row["asked"], row["n"], row["errors"]) for row in cells] == [
        ("12", "12", "0"),
        ("10", "9", "1"),
    ]
    assert [row["promise kept"] for row in cells] == ["58%", "10%"]
    assert float(cells[0]["answers a second"]) == pytest.approx(
        table.loc[("a", 1), "throughput"], abs=0.005
    )
    head, *rows = _rows(html, "time to first token")
    assert head == ["", "n", "p50", "from", "to", "p90", "p99"]
    low, high = made.points[0].spread("ttft").interval or (0, 0)
    assert [float(cell) for cell in rows[0][1:6]] == pytest.approx(
        [12, table.loc[("a", 1), "ttft_p50"], low, high, table.loc[("a", 1), "ttft_p90"]], rel=0.003
    )
    assert (rows[1][1], rows[1][5:]) == ("9", ["–", "–"])
    assert _rows(html, "time between chunks")[0][1:] == ["n gaps", "p50", "p90", "p99"]
    assert _rows(html, "time between chunks")[1][1] == "48"
    assert "time to first output token" not in [tag["aria-label"] for tag in html.select(".wide")]


def test_verdicts_are_those_of_compare(no_figures: None, tmp_path: Path) -> None:
    """The later label is judged by the earlier one, at each load, in the words of `compare`."""
    slow = [*several("a", slower=2), *several("a", load=4)]
    made = experiment([*slow, *several("b"), *several("b", load=4)])
    html = _read(made.report(tmp_path / "week.html"))
    metrics = ("ttft", "tpot", "end_to_end")
    expected = [
        made.compare("b", "a", name, at=load).verdict for load in (1, 4) for name in metrics
    ]
    assert _verdicts(html) == expected
    assert len(html.select(".verdicts .differ")) == 2
    heads = [head.get_text() for head in html.select("h3")[:2]]
    assert heads == ["Requests at once: 1", "Requests at once: 4"]


def _against(tmp_path: Path, first: Experiment, *others: Experiment) -> BeautifulSoup:
    return _read(first.report(tmp_path / "runs.html", *others))


def test_runs_with_the_same_questions_are_compared_by_pairs(
    no_figures: None, tmp_path: Path
) -> None:
    """The same label in two runs gets a verdict; two other labels do not."""
    before = experiment([*several("a", slower=2), *several("b")])
    after = experiment([*several("a"), *several("c")], environment={"started": "later"})
    html = _against(tmp_path, before, after)
    ttft = [verdict for verdict in _verdicts(html) if verdict.startswith("time to first token")]
    told = [re.findall(r"[abc] \(run \d\)", verdict) for verdict in ttft]
    assert told == [
        ["b (run 1)", "a (run 1)"],
        ["a (run 2)", "a (run 1)"],
        ["c (run 2)", "a (run 2)"],
    ]
    assert ttft[1] == (
        "time to first token: a (run 2) is faster than a (run 1), 2.0 × (n = 12 pairs)"
    )
    assert "different times" in _cautions(html)
    assert "not compared question by question" not in _cautions(html)
    facts = {row[0]: row[1:] for row in _rows(html, "Circumstances")}
    assert facts["started (differs)"] == ["now", "later"]


@pytest.mark.parametrize("questions", [None, ["What else?"]], ids=["unknown", "others"])
def test_runs_with_other_questions_are_not_compared_by_pairs(
    questions: Any, no_figures: None, tmp_path: Path
) -> None:
    """Where the lists are not known to be the same, the first question of each is no pair."""
    after = experiment(several("a"), questions=questions)
    html = _against(tmp_path, experiment(several("a", slower=3)), after)
    assert "n = 12)" in _verdicts(html)[0]
    assert "pairs" not in _verdicts(html)[0]
    assert "not compared question by question" in _cautions(html)


def test_runs_without_a_common_label(no_figures: None, tmp_path: Path) -> None:
    """Two runs that share no label are compared label by label; without a common load, not."""
    html = _against(tmp_path, experiment(several("a", slower=2)), experiment(several("b")))
    assert "b (run 2) is faster than a (run 1)" in _verdicts(html)[0]
    html = _against(tmp_path, experiment(several("a")), experiment(several("a", load=4)))
    assert _verdicts(html) == []
    assert "Nothing to compare" in html.get_text()


def test_many_comparisons_warn_of_chance(no_figures: None, tmp_path: Path) -> None:
    """From twenty comparisons on, the report says how many show a difference by chance."""
    made = experiment([one for label in "abcde" for one in several(label, 6)])
    assert "Of 30 comparisons" in _read(made.report(tmp_path / "week.html")).get_text()
    few = experiment([*several("a"), *several("b")])
    assert "by chance" not in _read(few.report(tmp_path / "week.html")).get_text()


def test_text_is_reported_only_if_asked(
    no_figures: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No question or server's words without `text=True`, an answer in no case, a key never."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-verysecretkey")
    said = f"StreamBroken: sk-verysecretkey is wrong, secret {HOSTILE}"
    bad = measurement(state="failed", error=said)
    made = experiment([measurement(text="the answer's own words"), bad], questions=[HOSTILE])
    html = _read(made.report(tmp_path / "week.html"))
    assert "1 of 2 requests failed: StreamBroken" in html.get_text()
    assert "secret" not in str(html)
    assert "Questions" not in [head.get_text() for head in html.select("h2")]
    html = _read(made.report(tmp_path / "week.html", text=True))
    assert f"StreamBroken: [key] is wrong, secret {HOSTILE}" in html.get_text()
    assert [item.get_text() for item in html.select("ol li")] == [HOSTILE]
    assert "verysecretkey" not in str(html)
    assert "own words" not in str(html)


def test_simulated_models_are_called_so(no_figures: None, tmp_path: Path) -> None:
    """Figures of the simulated model cannot be taken for a vendor's."""
    known = {"against": {"a": {"model": "simulated"}, "b": {"model": "m"}}}
    made = experiment([measurement("a"), measurement("b")], parameters=known)
    assert _cautions(_read(made.report(tmp_path / "week.html"))) == (
        "Simulated model, no vendor's: a."
    )


def test_where_it_is_written(
    no_figures: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `save`: folders are made, a file is replaced, a name of no file is one sentence."""
    monkeypatch.setenv("HOME", str(tmp_path))
    made = experiment(several("a"))
    path = made.report(tmp_path / "new" / "week.html")
    assert path == tmp_path / "new" / "week.html"
    once = path.read_text("utf-8")
    path.write_text("old", "utf-8")
    assert made.report("~/new/week.html").read_text("utf-8") == once
    assert [entry.name for entry in path.parent.iterdir()] == ["week.html"]
    for wrong in ("", ".", str(tmp_path), path / "below"):
        with pytest.raises(ExperimentError, match=" — "):
            made.report(wrong)
    wrong_kind: Any = "last_week.jsonl"
    with pytest.raises(ExperimentError, match="Got str where an experiment was expected — pass"):
        made.report(path, wrong_kind)


@pytest.mark.parametrize(
    ("results", "said"),
    [
        ([], "0 of 5 requests ended"),
        ([measurement(state="failed", error="StreamBroken: gone")], "1 failed"),
    ],
    ids=["stopped at once", "all failed"],
)
def test_nothing_measured_is_reported_too(results: Any, said: str, tmp_path: Path) -> None:
    """A run without an answer gives a report that says so, without figures."""
    html = _read(experiment(results, planned=5).report(tmp_path / "week.html"))
    assert said in html.get_text()
    assert not html.select("img")


def test_closed_and_open_loops_stay_apart(tmp_path: Path) -> None:
    """Requests at once and requests a second are never compared, nor drawn in one figure."""
    rate = experiment(several("a"), kind="rate")
    html = _against(tmp_path, experiment(several("a")), rate)
    assert _verdicts(html) == []
    assert len(html.select("img")) == 6
    head = _rows(html, "Requests")[0]
    assert head[1] == "requests at once or requests arriving a second"


def test_the_same_experiment_gives_the_same_file(tmp_path: Path) -> None:
    """Two reports of one experiment are equal, figures included."""
    made = experiment([*several("a", 5), *several("b", 5)])
    first, second = (made.report(tmp_path / name).read_bytes() for name in ("1.html", "2.html"))
    assert first == second
