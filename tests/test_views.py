import re

import pytest
from llama_index.core.schema import NodeWithScore, TextNode

from nbkit.answer import Answer
from nbkit.markdown import to_html, without_html
from nbkit.timing import Trace
from nbkit.views.settled import settled

ATTACKS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[click](javascript:alert(1))",
    "[click](JaVaScRiPt&#58;alert(1))",
    "[click][ref]\n\n[ref]: javascript:alert(1)",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "![beacon](https://attacker.example/beacon.png)",
    "<style>body { display: none }</style>",
    "<svg onload=alert(1)>",
    "<javascript:alert(1)>",
    "[click](data:text/html;base64,PHNjcmlwdD4=)",
    "[click](javascript\\:alert(1))",
    "[click](/logout)",
]


@pytest.mark.parametrize("attack", ATTACKS)
def test_html_of_an_answer_is_harmless(attack: str) -> None:
    """Whatever a model writes, no script, handler, frame, style or image reaches the page."""
    html = to_html(attack)
    assert not re.search(r"<(script|img|iframe|style|svg|link|object)", html)
    assert not re.search(r"<[^>]+\son\w+\s*=", html)
    assert not re.search(r'href="(?!https?:|mailto:)', html)


@pytest.mark.parametrize("attack", ATTACKS)
def test_markdown_of_an_answer_is_harmless(attack: str) -> None:
    """The Markdown left in the file carries no HTML, no script link and no image either."""
    markdown = without_html(attack)
    assert "<" not in markdown
    assert "![" not in markdown
    assert not re.search(r"(?i)(javascript|data)\s*:", markdown)
    assert "&#" not in markdown.replace("&amp;#", "")


def test_ordinary_markdown_is_rendered() -> None:
    """Headings, lists, tables, code, links and Chinese come out as HTML."""
    text = (
        "## 保修\n\n- 24 个月\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n`x < y`\n\n"
        "[lamp](https://lumina.example/shop)"
    )
    html = to_html(text)
    for part in (
        "<h2>保修</h2>",
        "<li>24 个月</li>",
        '<td style="text-align: left">1</td>',
        "<code>x &lt; y</code>",
    ):
        assert part in html
    assert 'href="https://lumina.example/shop"' in html


def test_a_settled_answer_shows_text_sources_and_timing() -> None:
    """Text, caption and folded sources stay in the file, in HTML, Markdown and plain text."""
    trace = Trace(start=0.0, model="simulated-default")
    trace.add(0.5, 5)
    node = TextNode(text="The lamp <b>weighs</b> 1.2 kg.", metadata={"file_name": "overview.md"})
    answer = Answer("1.2 kg", sources=[NodeWithScore(node=node, score=None)], trace=trace)
    bundle = settled(answer)
    for text in bundle.values():
        assert "1.2 kg" in text
        assert "✓ done · TTFT 0.50 s · 1 chunk · 0.50 s in all · simulated-default" in text
    assert "<summary>1 source</summary>" in bundle["text/html"]
    assert "&lt;b&gt;weighs" in bundle["text/html"]
    assert "<code>overview.md</code> –" in bundle["text/html"]


@pytest.mark.parametrize(
    ("fields", "mark"),
    [
        ({"stopped": True}, "■ stopped"),
        ({"truncated": True, "error": ValueError("too short")}, "✂ truncated"),
        ({"error": ValueError("cable <pulled>")}, "✗ failed"),
    ],
)
def test_an_unfinished_answer_says_so(fields: dict[str, object], mark: str) -> None:
    """A partial answer is marked in words and by a sign, not by colour, and says what happened."""
    answer = Answer("half", trace=Trace(start=0.0, end=1.0), **fields)  # type: ignore[arg-type]
    bundle = settled(answer)
    assert all(mark in text for text in bundle.values())
    if answer.error is not None:
        assert str(answer.error) in bundle["text/plain"]
        assert "<pulled>" not in bundle["text/html"]
