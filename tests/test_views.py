import re

import pytest
from llama_index.core.schema import NodeWithScore, TextNode

from nbkit.displays.final_output import settled
from nbkit.displays.markdown import to_html
from nbkit.streaming.answer import Answer
from nbkit.streaming.trace import Trace

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
    "`a\n\n<script>` x",
    "- `a\n- <script>`",
    "| `a | <script>` |\n|---|---|\n| b | c |",
    "| a\\|b | `c` <script> |\n|---|---|",
    "```\ncode\n``` <script>\n<script>",
    "\\\\<script>",
    "\\<script>",
    "~~~ `<script>\n~~~\n<script>",
    "[click](\njavascript:alert(1))",
    "[click](<javascript:alert(1)>)",
    "[click]\n\n[click]:\njavascript:alert(1)",
    "> ```\n<script>alert(1)</script>",
    '<https://a.example/"onmouseover=alert(1)>',
    "    code\n<script>",
    "1. ```\n   <b>\n<script>",
    '<a title="`"> `[x](javascript:alert(1))`',
    '<a title="`"> `![x](http://a.example/p.png)`',
    "[a](/b`) `[x](javascript:alert(1))`",
    "[a]: /b`\n\n`[x](javascript:alert(1))` `",
    "![a](/b`) `[x](/logout)`",
    "`a\n<script>alert(1)</script>\nb`",
    "http://a.example/`<script>alert(1)</script>`",
    "www.a.example`x y` z `<script>alert(1)</script>`",
    "http://a.example/<b`<script>alert(1)</script>`",
    "[x](<http://a.example`](<javascript:alert(1)>)",
    "| a\\|\\|\\|\\|\\|\\|\\|\\|b `code of a good length` [x](javascript:alert(1)) |\n|---|",
]


@pytest.mark.parametrize("attack", ATTACKS)
def test_html_of_an_answer_is_harmless(attack: str) -> None:
    """Whatever a model writes, no script, handler, frame, style or image reaches the page."""
    html = to_html(attack)
    assert not re.search(r"<(script|img|iframe|style|svg|link|object)", html)
    assert not re.search(r"<[^>]+\son\w+\s*=", html)
    assert not re.search(r'href="(?!https?:|mailto:)', html)


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("It costs $3; set `$PATH`.", "It costs $3; set <code>$PATH</code>."),
        ("$1 = ¥7, 人民币$", "$1 = ¥7, 人民币$"),
        ("价格是$3，设置`$PATH_A`。", "价格是$3，设置<code>$PATH_A</code>。"),
        ("from $5 to $10, or \\$6_a", "from $5 to $10, or $6_a"),
        ("costs $5_000 or $6_000", "costs $5_000 or $6_000"),
        ("so $x_1 * y * z^2$ holds", "so <code>$x_1 * y * z^2$</code> holds"),
        ("成本为$a_1$元", "成本为<code>$a_1$</code>元"),
        ("[a](https://a.example/$b)", '<a href="https://a.example/$b"'),
    ],
)
def test_prices_are_not_mathematics(text: str, html: str) -> None:
    """A pair of dollars is mathematics by pandoc's rule, and only around a sign of TeX."""
    assert html in to_html(text)


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
