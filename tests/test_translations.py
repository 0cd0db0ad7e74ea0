"""Whatever the library shows is marked for translation, and translated."""

import ast
import re
from collections.abc import Iterator
from string import Formatter

from tests.translate_library import ROOT, catalogue, marked_texts, untranslated

HAN = r"[\u4e00-\u9fff]"
CODE = re.compile(r"`[^`]*`|<[^>]*>|\{[^}]*\}|(?:sudo apt|pip) install \S+|\w+\([^)]*\)|\"[^\"]*\"")
SENTENCE = re.compile(r"[A-Za-z]{2,}[,;:]? [a-z]{2,}[,;:]? [a-z]{2,}")


def test_every_marked_text_is_translated() -> None:
    """The catalogue has a translation for each text the code marks, and none that is left over."""
    now = catalogue()
    marked = {one.text for one in marked_texts()}
    known = {message.id for message in now if message.id}
    hint = "run python -m tests.translate_library, then translate"
    assert marked - known == set(), hint
    assert known - marked == set(), hint
    assert untranslated(now) == []


def test_a_translation_has_the_same_placeholders() -> None:
    """Each `{name}` stands in the translation as well, so that no value is lost, or missing."""
    wrong = []
    for message in catalogue():
        text = message.id[0] if isinstance(message.id, tuple) else message.id
        said = message.string[0] if isinstance(message.string, tuple) else message.string
        if text and _names(text) != _names(said):
            wrong.append(text)
    assert wrong == []


def _names(text: str) -> set[str]:
    if "{" not in text or "{q: " in text:  # code with braces is never formatted
        return set()
    return {re.split(r"[.\[]", name)[0] for _, name, _, _ in Formatter().parse(text) if name}


def test_a_translation_is_chinese_and_set_as_chinese_is() -> None:
    """No English sentence is left; full-width signs in Chinese; a space before Latin letters."""
    wrong = []
    for message in catalogue():
        said = message.string[0] if isinstance(message.string, tuple) else message.string
        prose = CODE.sub("`", said)
        half = re.search(rf"{HAN}[,;:?!()]|[,;:?!(]{HAN}|{HAN}\.(?!\w)", prose)
        tight = re.search(rf"{HAN}[A-Za-z0-9`]|[A-Za-z0-9`]{HAN}", re.sub("`", "", prose))
        if message.id and (SENTENCE.search(prose) or half or tight):
            wrong.append(said)
    assert wrong == []


# ── The code ──

WORDS = re.compile(r"[A-Za-z]{2,}[,;:]? [A-Za-z]{2,}")
OTHERS_WORDS = re.compile(r"simulator/(?!pacing|process|alone|measured)|plots/fonts")
"""What the simulated model says and hears as a server, and names of fonts."""
MARKUP = re.compile(r"\s*<|def |[\w-]+: [^;]+;|[\w-]+=\"|\n\{%-|repeat\(|\d+px ")
NOT_SHOWN = {
    *("using tools", "row wrap", "noopener noreferrer", "tex2jax_ignore mathjax_ignore"),
    *("nbkit-settled tex2jax_ignore mathjax_ignore", "box-sizing: border-box; border: 1px dashed"),
    *("axes fraction", "offset points", "upper right", "DejaVu Sans", "img-src data:"),
    *("different loop", "different event loop", "no running event loop", "Max iterations"),
    *("Empty Response", "available context size", "Words to pack. ", "What you'll"),
    # Keys of what is said in another place, by `say`.
    *("failed attempts and pauses", "before the model was asked"),
    "waiting for the first token, queue included",
    # In what Python itself, and readers of an API, are used to in English.
    *("module 'nbkit' has no attribute ", "<GridView of  finished>"),
    "Send each token event as safe HTML as well.",
    "X-Session of an earlier answer; without it a new conversation begins.",
    '`engine.("your question")`',
    "module 'nbkit.batch' has no attribute ",
    # What recorded requests are answered with, and never shown.
    "[no model was asked: nbkit has recorded this request for a batch file]",
    "Only OpenAI's chat protocol can be recorded",
    "base URL: http://127.0.0.1:/v1\nAPI key:  \nmodel:    \n\n",
}
LABELLED = re.compile(r"plots/|displays/|cli")
LABELS = {"label", "description", "tooltip", "help", "xlabel", "ylabel", "title", "unit", "desc"}


def test_whatever_is_shown_goes_through_say() -> None:
    """A text of two words or more, and every label, is marked for translation; or listed here."""
    unmarked = []
    for path in sorted((ROOT / "nbkit").rglob("*.py")):
        name = path.relative_to(ROOT / "nbkit").as_posix()
        if not OTHERS_WORDS.match(name) and name != "language.py":
            unmarked += [f"{name}: {text}" for text in _unmarked(name, path.read_text("utf-8"))]
    assert unmarked == []


def _unmarked(name: str, code: str) -> Iterator[str]:
    tree, lines = ast.parse(code), code.splitlines()
    passed: set[ast.AST] = set()
    labels: set[ast.AST] = set()
    for node in ast.walk(tree):
        passed |= {part for one in _passed(node) for part in ast.walk(one)}
        if isinstance(node, ast.JoinedStr):
            passed |= set(node.values)
        elif isinstance(node, ast.keyword) and node.arg in LABELS and LABELLED.match(name):
            labels.add(node.value)
    for node in ast.walk(tree):
        if node in passed or not (text := _text(node)):
            continue
        raw = lines[node.lineno - 1].encode()[node.col_offset :].startswith(b"r")
        is_words = WORDS.search(text) and not raw and not MARKUP.match(text)
        if text not in NOT_SHOWN and (is_words or (node in labels and text[:1].islower())):
            yield text


def _passed(node: ast.AST) -> list[ast.expr]:
    """What in this node is marked, or nobody sees: docstrings, annotations, expressions."""
    if isinstance(node, ast.Call):
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        return node.args if name in {"say", "to_say", "compile", "search"} else []
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return [node.value]
    hidden = getattr(node, "annotation", None), getattr(node, "returns", None)
    return [one for one in hidden if one is not None]


def _text(node: ast.AST) -> str:
    """What is written in a string, or in an f-string around its values."""
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    return "".join(
        part.value
        for part in parts
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
    )


def test_the_rule_finds_what_is_not_marked() -> None:
    """A sentence in a call, in an f-string or in a variable, and a label of one word."""
    code = "f('no way', say('it is said'), label='cut')\nx = f'{n} are left'\n"
    assert sorted(_unmarked("plots/x.py", code)) == [" are left", "cut", "no way"]
