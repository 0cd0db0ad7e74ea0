"""What a screen is told while a stream is followed."""

from typing import Any

import pytest

import nbkit
from nbkit.displays.following import follow


class Screen:
    """Notes the facts it is told."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []

    def add(self, _index: int, _chunk: str, **facts: Any) -> None:
        """Note the facts that come with a chunk."""
        self.told.append(facts)

    def tell(self, _index: int, **facts: Any) -> None:
        """Note facts."""
        self.told.append(facts)

    def think(self, _index: int, _thought: str) -> None:
        """Nothing."""


@pytest.mark.parametrize("thinking", [0, 8])
async def test_no_ttft_is_told_before_it_is_known(thinking: int) -> None:
    """A page formats the number it gets, so it gets none that is empty."""
    llm = nbkit.connect(speed=0, thinking_tokens=thinking)
    engine = nbkit.load_index("en").as_query_engine(llm=llm, streaming=True)
    screen: Any = Screen()
    await follow(nbkit.stream(engine.aquery("How do I return it?")), screen, 0)
    ttfts = [facts["ttft"] for facts in screen.told if "ttft" in facts]
    assert ttfts
    assert None not in ttfts
