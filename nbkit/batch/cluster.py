"""What a batch needs of a cluster, whatever its engine is."""

import inspect
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, NamedTuple, Protocol, runtime_checkable

from nbkit.batch.asking import AskFacts
from nbkit.batch.outcome import BatchMisused
from nbkit.batch.settings import Settings
from nbkit.language import say

MAKE_ASK = """\
def make_ask():
    llm = nbkit.connect(...)
    return nbkit.load_index("en").as_query_engine(llm=llm, streaming=True).aquery
"""
"""The function that a message shows."""


class SliceLost(Exception):
    """A slice did not end, because its worker is gone."""

    def __init__(self, expected: bool) -> None:
        super().__init__(expected)
        self.expected = expected
        """The worker was retired, so the items are not to blame."""


class OutcomesSent(NamedTuple):
    """A message of a worker: items have ended."""

    worker: str
    outcomes: list[tuple[int, bytes]]
    """Of each its index, and what `nbkit.batch.packed` made of it."""


class SliceBegun(NamedTuple):
    """A message of a worker: all items of a slice are in flight, and a seat is free."""

    key: str


class PlacesChanged(NamedTuple):
    """A message: how many slices the workers can begin now."""

    workers: int
    places: int


Message = OutcomesSent | SliceBegun | PlacesChanged


@runtime_checkable
class Cluster(Protocol):
    """What an engine such as Dask does for a batch: it asks slices of items on its workers."""

    dashboard: str | None
    """A page that shows the workers."""

    def opened(
        self, make_ask: Callable[[], Any], settings: Settings
    ) -> AbstractAsyncContextManager[AskFacts]:
        """Make ready for one run: every worker, also one that comes later, can build what asks.

        At the end of the block every request of the run has been stopped.
        """

    def listen(self, heard: Callable[[Message], None]) -> None:
        """Call `heard` with each message, on this event loop; first with how many places there are.

        To be called once, in the block of `opened`.
        """

    async def ask(self, key: str, items: list[tuple[int, Any]]) -> None:
        """Ask a slice; returns when it has ended and all its outcomes were heard.

        Raises `SliceLost` if its worker is gone, `BatchError` if the cluster is.
        """


def check_make_ask(make_ask: Any) -> None:
    """Raise `BatchMisused` for what is not a function without arguments."""
    try:
        inspect.signature(make_ask).bind()
    except (TypeError, ValueError):
        raise BatchMisused(
            say(
                "On a cluster, engines and models cannot be sent to the workers, so each worker "
                "makes its own"
            ),
            say("pass a function without arguments that makes what asks:\n\n") + MAKE_ASK,
        ) from None
