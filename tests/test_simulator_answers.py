"""What the simulated model says."""

import pytest

from nbkit.simulator.answers import answer
from nbkit.simulator.passages import take_apart
from nbkit.simulator.prompts import PromptMessage

CONTEXT = """file_path: /docs/price.md

# Price of the kettle

## Standard price

The kettle costs 49 EUR. Its colours cost the same.

file_path: /docs/warranty.md

# Warranty

## Period

The kettle is guaranteed for 36 months from delivery. Registration is not needed.

## Claims

1. Open the app.
2. Tap **Repair**.
3. Send a photo.
"""
QA = (
    "Context information is below.\n---------------------\n{context}\n---------------------\n"
    "Given the context information and not prior knowledge, answer the query.\n"
    "Query: {question}\nAnswer: "
)


def ask(question: str, context: str = CONTEXT) -> str:
    """Ask as LlamaIndex's question-answering prompt does."""
    text = QA.format(context=context, question=question)
    return answer([PromptMessage("system", "You are an expert."), PromptMessage("user", text)])


@pytest.mark.parametrize(
    ("question", "fact"),
    [
        ("How much is the kettle?", "49 EUR"),
        ("How long is the warranty?", "36 months"),
        ("水壶多少钱？", "49 EUR"),
        ("How do I claim a repair?", "Open the app"),
    ],
)
def test_answers_hold_the_fact(question: str, fact: str) -> None:
    """The answer is in the context's own words, whatever the question's language."""
    assert fact in ask(question)


def test_metadata_is_never_said() -> None:
    """File paths above the chunks stay out of answers, short and long."""
    for question in ("How much is the kettle?", "Describe the kettle in detail."):
        assert "file_path" not in ask(question)
        assert "/docs" not in ask(question)


def test_long_answers_keep_the_structure() -> None:
    """Asked to describe, it gives sections and lists as Markdown."""
    text = ask("Describe the warranty and the claims in detail.")
    assert "## Claims" in text
    assert "\n2. Tap" in text


def test_it_says_what_it_does_not_know() -> None:
    """Without an answer in the context, or without a context, it says so in the right language."""
    assert "could not find" in ask("Who wrote Hamlet?")
    assert "没有找到" in ask("红楼梦的作者是谁？")
    assert "simulated model" in answer([PromptMessage("user", "Hi there")])
    assert "模拟模型" in answer([PromptMessage("user", "你好")])


def test_refine_prompts() -> None:
    """New context that helps changes the answer; context that does not leaves it alone."""
    refine = (
        "... New Context: {context}\nQuery: {question}\nOriginal Answer: {existing}\nNew Answer: "
    )
    asked = {"question": "How long is the warranty?"}
    useless = refine.format(context="Tea is brewed at 80 degrees.", existing="36 months.", **asked)
    assert answer([PromptMessage("user", useless)]) == "36 months."
    useful = refine.format(context=CONTEXT, existing="I do not know.", **asked)
    assert "36 months" in answer([PromptMessage("user", useful)])


def test_condense_prompts() -> None:
    """A follow-up is made to stand alone by what was asked before."""
    prompt = (
        "Given the following conversation ...\n\n  Chat History:\n"
        "  user: How do I return a kettle?\nassistant: By post.\n"
        "  Follow Up Input: How long does it take?\n  Standalone question:"
    )
    text = answer([PromptMessage("user", prompt)])
    assert "return a kettle" in text
    assert "How long does it take?" in text


def test_chat_with_context() -> None:
    """In a chat the context is in the system message and the question is the last one."""
    system = (
        "Use the context information below to assist the user.\n--------------------\n"
        f"{CONTEXT}\n--------------------\n"
    )
    turns = [
        PromptMessage("system", system),
        PromptMessage("user", "How much is the kettle?"),
        PromptMessage("assistant", "49 EUR."),
        PromptMessage("user", "And how long is the warranty?"),
    ]
    assert "36 months" in answer(turns)


def test_own_chinese_prompt() -> None:
    """A reader's own template works when the context stands between two lines of dashes."""
    prompt = (
        f"上下文如下。\n-----\n{CONTEXT}\n-----\n请回答。\n问题：How much is the kettle?\n回答："
    )
    assert "49 EUR" in answer([PromptMessage("user", prompt)])


def test_plain_text_has_headings_too() -> None:
    """A short line on its own names what follows; it is no sentence of an answer."""
    text = "Opening hours\n\nThe desk is staffed from nine to five.\n\nLast line"
    first, last = take_apart(text)
    assert first.headings == ("Opening hours",)
    assert first.sentences == ("The desk is staffed from nine to five.",)
    assert last.sentences == ("Last line",)


def test_tables_and_steps_are_answers() -> None:
    """A row is told with the names of its columns; asked how, all steps are given."""
    table = "# Bikes\n\n| Bike | Hour | Day |\n|---|---|---|\n| City bike | 4 EUR | 15 EUR |\n"
    assert "City bike — Hour: 4 EUR, Day: 15 EUR" in ask("What does a city bike cost?", table)
    steps = "# Renting\n\n1. Scan the code.\n2. Press Start.\n3. Lock the bike at the end.\n"
    assert ask("How do I rent a bike?", steps).startswith("1. Scan the code.\n2. Press Start.\n3.")
