"""What everybody asks first about the handbook's product, and its right answers."""

import pytest

import nbkit
from nbkit.corpus import load_questions
from tests.simulated import simulated

SEND_BACK = {"en": "30 days"}
PRICE, RETURN, PAY, WARRANTY, SENT = (
    {"en": "59 USD", "zh": "399 元"},
    {"en": "tap Request a return", "zh": "点选“退货退款”"},
    {"en": "PayPal", "zh": "PayPal"},
    {"en": "24 months", "zh": "24 个月"},
    {"en": "48 hours", "zh": "48 小时"},
)


@pytest.mark.parametrize("top_k", [2, 3])
@pytest.mark.parametrize(
    ("language", "question", "facts"),
    [
        ("zh", "产品的价格是多少?", PRICE),
        ("zh", "怎么申请退货?", RETURN),
        ("zh", "支持哪些支付方式?", PAY),
        ("zh", "保修期多长?", WARRANTY),
        ("zh", "发货周期多久?", SENT),
        ("zh", "多少钱?", PRICE),
        ("zh", "要花多少钱?", PRICE),
        ("zh", "怎么付款?", PAY),
        ("zh", "保修多久?", WARRANTY),
        ("en", "How much does it cost?", PRICE),
        ("en", "What does it cost?", PRICE),
        ("en", "What is the price?", PRICE),
        ("en", "How much is it?", PRICE),
        ("en", "Can I send it back?", SEND_BACK),
        ("en", "How do I return it?", RETURN),
        ("en", "How do I apply for a return?", RETURN),
        ("en", "Which payment methods are supported?", PAY),
        ("en", "What payment methods do you accept?", PAY),
        ("en", "How long is the warranty?", WARRANTY),
        ("en", "How long does shipping take?", SENT),
        ("en", "How long does delivery take?", SENT),
    ],
)
def test_plain_questions_get_the_right_fact(
    language: str, question: str, facts: dict[str, str], top_k: int
) -> None:
    """The first sentence of the answer is about the thing itself, not about its extras."""
    engine = nbkit.load_index(language).as_query_engine(
        llm=simulated(speed=0), similarity_top_k=top_k
    )
    assert facts[language] in str(engine.query(question))


@pytest.mark.parametrize(
    ("language", "question", "says"),
    [
        ("en", "Who won the 1998 World Cup?", "could not find"),
        ("en", "What is the airspeed of a swallow?", "could not find"),
        ("zh", "法国的首都是哪里?", "没有找到"),
        ("zh", "红楼梦的作者是谁?", "没有找到"),
    ],
)
def test_off_topic_questions_get_no_stray_sentence(language: str, question: str, says: str) -> None:
    """A question about something else gets no sentence of the handbook, in its own language."""
    engine = nbkit.load_index(language).as_query_engine(llm=simulated(speed=0), similarity_top_k=3)
    assert says in str(engine.query(question))


@pytest.mark.parametrize("language", ["en", "zh"])
def test_most_answers_hold_the_fact(language: str) -> None:
    """Over the questions of the course three answers in four or more hold the fact asked for."""
    engine = nbkit.load_index(language).as_query_engine(llm=simulated(speed=0), similarity_top_k=3)
    asked = load_questions(language)
    right = sum(q.fact in str(engine.query(q.question)) for q in asked)
    assert right / len(asked) >= 0.75
