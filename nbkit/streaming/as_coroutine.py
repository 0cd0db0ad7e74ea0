"""The protocol of a coroutine, because `asyncio.create_task` accepts nothing else."""

from abc import abstractmethod
from collections.abc import Coroutine, Generator
from typing import Any, TypeVar

Result = TypeVar("Result")


class AsCoroutine(Coroutine[Any, Any, Result]):
    """Makes a coroutine of a class that has `__await__`."""

    _steps: Generator[Any, None, Result] | None = None

    @abstractmethod
    def __await__(self) -> Generator[Any, None, Result]: ...

    def send(self, value: Any) -> Any:
        """Run to the next `await`, as a task does with a coroutine."""
        if self._steps is None:
            self._steps = self.__await__()
        return self._steps.send(value)

    def throw(self, *error: Any) -> Any:
        """Raise an error, such as a cancellation, at the point where it waits."""
        if self._steps is None:
            self._steps = self.__await__()
        return self._steps.throw(*error)

    def close(self) -> None:
        """End it; there is no warning if it was never awaited."""
        if self._steps is not None:
            self._steps.close()
