"""The translated notebooks say what the English ones say, and nothing in them is stale."""

import nbformat
import polib
import pytest
from nbformat import NotebookNode

from tests.execute_notebooks import all_notebooks, code_hash, read
from tests.translation import build, catalogue, checks, code, stale, verdicts

TRANSLATED = [p.stem for p in all_notebooks() if catalogue.path_of(p.stem).exists()]
NONE = catalogue.path_of("none")
each_translation = pytest.mark.parametrize("stem", TRANSLATED)


@each_translation
def test_nothing_is_missing_stale_or_wrong(stem: str) -> None:
    """`python -m tests.translation status` has nothing to say: by notebook and message."""
    assert stale.problems(stem) == []


@each_translation
def test_each_language_links_the_other(stem: str) -> None:
    """The first cell leads to the same notebook in the other language."""
    here, there = (read(folder / f"{stem}.ipynb").cells[0].source for folder in _FOLDERS)
    assert f"[中文](zh/{stem}.ipynb)" in here
    assert f"[English](../{stem}.ipynb)" in there


_FOLDERS = (catalogue.FOLDER, build.place_of("").parent)


def test_no_notebook_without_a_catalogue() -> None:
    """What stands in `zh/` is built, so that nothing there can be out of date unseen."""
    assert [path.stem for path in all_notebooks(build.LANGUAGE)] == TRANSLATED


def _notebook(markdown: str, source: str) -> NotebookNode:
    cells = [nbformat.v4.new_markdown_cell(markdown), nbformat.v4.new_code_cell(source)]
    cells[0]["id"], cells[1]["id"] = "m", "c"
    return nbformat.v4.new_notebook(cells=cells)


def _said(entries: polib.POFile, **said: str) -> polib.POFile:
    for entry in entries:
        entry.msgstr = said.get(entry.msgctxt.replace("/", "_"), entry.msgstr)
    return entries


SOURCE = """%%writefile batch.py
# First the index,
# then the question.
index = load_index("en")
print(f"{len(index):3} pieces", data["late"], "late", label="late")  # a label
await show(index, "How heavy is it?", path="run.jsonl")"""


def test_what_a_reader_reads_in_code_is_found() -> None:
    """Comments by the block, sentences, printed words and f-strings by the cell; labels once."""
    assert catalogue.messages(_notebook("Hello.", SOURCE)) == [
        ("names", "en"),
        ("names", "late"),
        ("m", "Hello."),
        ("c/comment", "First the index,\nthen the question."),
        ("c/string", "{len(index):3} pieces"),
        ("c/string", "late"),
        ("c/comment", "a label"),
        ("c/string", "How heavy is it?"),
    ]


def test_a_translation_is_put_in_place() -> None:
    """Only comments and strings change; a label changes wherever it is a key, too."""
    notebook = _notebook("Hello.", SOURCE)
    entries = catalogue.update(catalogue.load(NONE), catalogue.messages(notebook))
    said = {"First": "先建索引，\n再提问。", "a label": "标签", "{len": "共 {len(index):3} 段"}
    said |= {"How": "有多重？", "Hello": "你好。", "late": "迟到"}
    for entry in entries:
        entry.msgstr = next(
            (text for start, text in said.items() if entry.msgid.startswith(start)), entry.msgstr
        )
    markdown, speaking, cell = build.build(notebook, entries).cells
    assert speaking.source == "%env NBKIT_LANG=zh"
    assert markdown.source == "你好。"
    assert (
        cell.source
        == """%%writefile batch.py
# 先建索引，
# 再提问。
index = load_index("zh")
print(f"共 {len(index):3} 段", data["迟到"], "迟到", label="迟到")  # 标签
await show(index, "有多重？", path="run.jsonl")"""
    )
    assert code.same(SOURCE, cell.source, {"en": "zh", "late": "迟到"})


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('print(f"{a} of {b}")', 'print(f"{b} 个里有 {a + 1} 个")'),
        ('print(f"{a:.2f} seconds")', 'print(f"{a:.1f} 秒")'),
        ('x = y["late"]', 'x = y["迟到"]'),
        ('load("run.jsonl", 1)', 'load("运行.jsonl", 1)'),
        ('print("all done")', 'print("完成", 1)'),
    ],
)
def test_code_that_changed_is_noticed(before: str, after: str) -> None:
    """Fields, formats, keys, names of files and calls stay; the text around them need not."""
    assert not code.same(before, after, {})
    assert code.same('print(f"{a} of {b}")', 'print(f"{b} 个里有 {a} 个")', {})


def test_a_changed_cell_keeps_its_old_text_under_a_notice() -> None:
    """When the English changes, the old translation stays, says so, and counts as stale."""
    before, after = _notebook("Four words of English.", "1"), _notebook("Four other words.", "1")
    entries = catalogue.update(catalogue.load(NONE), catalogue.messages(before))
    entries = catalogue.update(_said(entries, m="四个词。"), catalogue.messages(after))
    assert (entries[0].fuzzy, entries[0].previous_msgid) == (True, "Four words of English.")
    assert build.build(after, entries).cells[0].source == f"{build.NOTICE}四个词。"
    assert [
        text.split(":")[1] for text in stale.of_messages(catalogue.messages(after), entries)
    ] == [" the English has changed"]


def test_a_cell_that_is_gone_is_left_over() -> None:
    """What no cell asks for any more is told, and deleted by a person: it may be of use."""
    before, after = _notebook("Some text.", "1"), _notebook("Some text.", "1")
    after.cells[0]["id"] = "other"
    entries = catalogue.update(catalogue.load(NONE), catalogue.messages(before))
    moved = catalogue.update(_said(entries, m="一些字。"), catalogue.messages(after))
    assert [(entry.msgctxt, entry.msgstr) for entry in moved] == [("other", "一些字。")]
    gone = catalogue.update(moved, [])
    assert [text.split(":")[1] for text in stale.of_messages(catalogue.messages(before), gone)] == [
        " not in the catalogue yet (make zh)",
        " left over, to be deleted",
    ]


@pytest.mark.parametrize(
    ("english", "chinese", "check"),
    [
        ("## Stop\n\nText here.", "### 停\n\n文字。", "structure"),
        ("- one\n- more", "- 一", "structure"),
        ("See `aquery`.", "见 `query`。", "structure"),
        ("[here](a.ipynb)", "[这里](b.ipynb)", "structure"),
        ("A **bold** word.", "一个**“粗”**字。", "structure"),
        ("It takes 3.5 s.", "要 3 秒。", "numbers"),
        ("It takes long.", "要 3 秒。", "numbers"),
        ("Read the whole thing again.", "请 read the whole thing again 吧。", "english"),
        ("Read it.", "Read it.", "english"),
        ("**Predict.** Why?", "**预测**：为什么？", "words"),
        ("Stop it.", "停下它.", "typography"),
        ("The TTFT is low.", "TTFT很低。", "typography"),
        ("Ask again.", "请您再问一遍。", "typography"),
        ("Ask 你好 again.", "再问“你好”。", "chinese"),
        ("*Ask?* They do.", "*问吗？*他们问。", "structure"),
        ("| one | two |", "| 一 |", "structure"),
        ("```\nmake x  # ask\n```", "```\nmake y  # 问\n```", "structure"),
        ("```\nmake x  # ask again\n```", "```\nmake x  # ask again\n```", "english"),
    ],
)
def test_a_slip_is_found(english: str, chinese: str, check: str) -> None:
    """Each kind of slip in a translated cell is told by the name that may allow it."""
    assert check in {kind for kind, _ in checks.of_markdown(english, chinese, {})}


def test_a_good_translation_passes() -> None:
    """No check objects to ordinary Chinese, numbers in words and quotes included."""
    english = '**Predict.** Read *this* two times: `load_index("en")` takes 1,000 ms.'
    chinese = '**猜一猜**：把“这个”读 2 遍，`load_index("zh")` 要 1000 毫秒。'
    assert list(checks.of_markdown(english, chinese, {"en": "zh"})) == []


@pytest.mark.parametrize(
    ("about", "verdict", "is_said"),
    [
        ("you counted 3 chunks", "✗ 不对：你数了 3 块。", True),
        ("you counted 3 chunks", "✗ 不对：什么都没有。", False),
        ("is wrong about slow_start", "✗ 这个想错了：slow_start", True),
        ("raised KeyError", "✗ 代码抛出 KeyError", False),
        ("KeyError", "✗ 代码抛出 KeyError", True),
    ],
)
def test_a_verdict_is_known_in_the_other_language(about: str, verdict: str, is_said: bool) -> None:
    """The check's own strings, fields filled in, tell what a wrong answer must be told."""
    said = {"you counted {n} chunks": "你数了 {n} 块", "✗ It is wrong about {it}": "想错了：{it}"}
    entries = catalogue.load(NONE)
    entries.extend(
        [polib.POEntry(msgctxt="c/string", msgid=old, msgstr=new) for old, new in said.items()]
    )
    assert verdicts.Verdicts(entries).says("c", about, verdict) == is_said


def test_links_lead_from_the_other_folder() -> None:
    """Notebooks stand side by side, pictures and the rest one folder up."""
    text = "[a](02_b.ipynb#c) ![d](images/e.svg) [f](../data) [g](zh/01.ipynb) [h](https://x.y)"
    moved = "[a](02_b.ipynb#c) ![d](../images/e.svg) [f](../../data) [g](../01.ipynb)"
    assert build.relocated(text) == f"{moved} [h](https://x.y)"


def test_outputs_are_kept_while_the_code_stays(tmp_path) -> None:
    """New prose needs no run; new code drops the outputs of the old."""
    stored = _notebook("Text.", "1 + 1")
    stored.cells[1].outputs = [nbformat.v4.new_output("stream", text="2")]
    stored.metadata["nbkit"] = {"code_hash": code_hash(stored)}
    path = tmp_path / "n.ipynb"
    nbformat.write(stored, path)
    same, other = _notebook("Other text.", "1 + 1"), _notebook("Text.", "1 + 2")
    assert build.keep_outputs(same, path)
    assert same.cells[1].outputs[0].text == "2"
    assert not build.keep_outputs(other, path)
    assert other.cells[1].outputs == []
