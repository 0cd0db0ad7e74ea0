"""The bundled handbook: its questions have answers, and the answers are found."""

import pytest

from nbkit.corpus import CorpusError, chunks, load_index, load_questions, reading

LANGUAGES = ("en", "zh")


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_question_has_its_answer(language: str) -> None:
    """60 questions, each with a fact that stands word for word in its file."""
    questions = load_questions(language)
    assert len(questions) == 60
    for question in questions:
        text = (reading.bundled_data() / language / question.file).read_text(encoding="utf-8")
        assert question.fact in text, question


def test_questions_correspond() -> None:
    """Both languages have the same ids for the same files, each id once."""
    english, chinese = ([(q.id, q.file) for q in load_questions(name)] for name in LANGUAGES)
    assert english == chinese
    assert len(set(english)) == 60


@pytest.mark.parametrize(("language", "first"), [("en", 0.65), ("zh", 0.70)])
def test_retrieval_finds_the_right_file(language: str, first: float) -> None:
    """Among the first three for 90 % of the questions; first for 65 % (en) and 70 % (zh)."""
    retriever = load_index(language).as_retriever(similarity_top_k=3)
    ranks = [
        [
            hit.metadata["file_name"] == question.file
            for hit in retriever.retrieve(question.question)
        ]
        for question in load_questions(language)
    ]
    assert sum(any(rank) for rank in ranks) / len(ranks) >= 0.90
    assert sum(rank[0] for rank in ranks) / len(ranks) >= first


@pytest.mark.parametrize(
    ("language", "question"),
    [("en", "Describe the features in detail"), ("zh", "详细介绍这款产品的功能特点")],
)
def test_the_long_question_gets_much_text(language: str, question: str) -> None:
    """The default two chunks for the question with the long answer are both about features."""
    hits = load_index(language).as_retriever().retrieve(question)
    assert [hit.metadata["file_name"] for hit in hits] == ["features.md"] * 2
    assert sum(chunks.size(hit.text) for hit in hits) > 800


def test_unknown_language_of_questions() -> None:
    """Only "en" and "zh" have questions, and the error says so."""
    with pytest.raises(CorpusError, match='"en" or "zh"'):
        load_questions("fr")
