import pytest

from tests.kernel.conftest import Kernel

pytestmark = pytest.mark.kernel

LEARNERS = """import asyncio
from nbkit.teaching import attempt
def raises(x):
    y = 1
    return y + x
def nothing(): return None
def one(): return [1]
async def forgotten(): return 1
def adds(): return forgotten() + 1
async def first(): return [await done for done in asyncio.as_completed({"a": 1})]
"""


@pytest.mark.parametrize(
    ("tried", "said"),
    [
        ("raises('x')", "✗ Your code raised TypeError"),
        ("raises('x')", "line 5 of your code: return y + x"),
        ("text, count = nothing()", "✗ Not yet: nothing was returned. Please return two things."),
        ("text, count = one()", "not enough values to unpack (expected 2, got 1)"),
        ("text, count = forgotten()", "is an `await` missing"),
        ("adds()", "is an `await` missing"),
        ("adds()", "line 9 of your code: def adds()"),
        ("await first()", "line 10 of your code: async def first()"),
        ("await one()", "`async def` is wanted"),
        ("await nothing()", "`async def` is wanted"),
        ("1 / 0", "ZeroDivisionError"),
        ("print('fine')", "fine"),
    ],
)
def test_whatever_a_learner_writes_gets_a_verdict(
    lasting_kernel: Kernel, tried: str, said: str
) -> None:
    """The learner's own error is shown with its line; a wrong shape says what is wanted."""
    lasting_kernel.run(LEARNERS)
    assert said in lasting_kernel.run(f"with attempt('return two things'):\n    {tried}").text
