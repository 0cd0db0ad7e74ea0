"""One run of a batch in the scheduler of Dask: one pace and one concurrency for all workers."""

import asyncio
from contextlib import suppress
from typing import Any, Literal

from distributed import Scheduler
from distributed.diagnostics.plugin import SchedulerPlugin

from nbkit.batch.cluster import PlacesChanged
from nbkit.batch.pace import Pace
from nbkit.batch.settings import Settings

Report = tuple[int, int, list[tuple[float, float | None]]]
"""What a worker has done since its last report: requests accepted, tokens, and those refused (429):
when each began, and how many seconds the server asks to wait."""


class RunOnScheduler(SchedulerPlugin):  # type: ignore[misc]
    """Gives turns to the workers of one run; what is given is consumed, so no worker can hold any.

    Its handler has the name of the run. The run ends when its client is gone, too.
    """

    def __init__(self, name: str, client: str, settings: Settings) -> None:
        self.name = name
        self._client = client
        self._settings = settings
        self._busy: dict[str, int] = {}
        """How many slices each worker has begun and not ended."""
        self._begun: dict[str, bool] = {}
        """Slices under way, and whether the worker of each was retired."""

    async def start(self, scheduler: Scheduler) -> None:
        """Begin the run."""
        limits = (self._settings.requests_per_minute, self._settings.tokens_per_minute)
        self._pace = Pace(*limits)
        self._entrance, self._freed = asyncio.Lock(), asyncio.Condition()
        self._scheduler, self._ended = scheduler, False
        scheduler.handlers[self.name] = self._handle

    async def _handle(self, do: str, **arguments: Any) -> Any:
        match do:
            case "begin":
                return await self._begin(**arguments)
            case "end":
                return await self._end(**arguments)
            case "places":
                return self.places()
            case "report":
                return self._take(*arguments["report"])
        return await self._turns(**arguments)

    async def _begin(self, worker: str, key: str) -> tuple[Literal["go", "lost", "retired"], int]:
        """Whether a slice may begin, and the seats of its worker; waits until there is a seat."""
        if key in self._begun:
            # Dask repeats a task whose worker is gone; what it had not answered, the client asks.
            return "retired" if self._begun.pop(key) else "lost", 0
        self._begun[key] = False
        most = self._settings.max_concurrency
        async with self._entrance, self._freed:  # in order, so that no slice waits for ever
            if most != "auto" and worker not in self._busy:
                await self._freed.wait_for(lambda: self._ended or len(self._busy) < int(most))
            if worker in self._scheduler.workers:  # still
                self._busy[worker] = self._busy.get(worker, 0) + 1
        return "go", self._seats(worker)

    async def _end(self, worker: str, key: str) -> None:
        self._begun.pop(key, None)
        async with self._freed:
            if worker in self._busy:
                self._busy[worker] -= 1
                if not self._busy[worker]:
                    del self._busy[worker]
            self._freed.notify_all()

    def _seats(self, worker: str) -> int:
        """The worker's part of the concurrency; the first ones have one more if it is uneven."""
        workers = list(self._scheduler.workers)
        if self._settings.max_concurrency == "auto" or worker not in workers:
            return 0
        each, more = divmod(int(self._settings.max_concurrency), len(workers))
        # With more workers than seats, no more of them work at once than there are seats.
        return max(1, each + (workers.index(worker) < more))

    async def _turns(
        self, worker: str, waiting: int, most: int, report: Report
    ) -> tuple[float, int, int]:
        """When the turns were given, how many, and the seats of the worker."""
        self._take(*report)
        began, number = await self._pace.turns(waiting, most)
        return began, number, self._seats(worker)

    def _take(self, accepted: int, tokens: int, refused: list[tuple[float, float | None]]) -> None:
        for _ in range(accepted):
            self._pace.accepted()
        for began, retry_after in refused:
            self._pace.refused(began, retry_after)
        self._pace.spent(tokens)

    def places(self) -> PlacesChanged:
        """How many workers there are, and how many slices they can begin at once."""
        return PlacesChanged(len(self._scheduler.workers), self._scheduler.total_nthreads)

    def add_worker(self, scheduler: Scheduler, worker: str) -> None:
        """Tell the client that there is one worker more."""
        scheduler.log_event(self.name, ("places", *self.places()))

    async def remove_worker(self, scheduler: Scheduler, worker: str, **_: Any) -> None:
        """Tell the client that there is one worker less, and free its seats."""
        scheduler.log_event(self.name, ("places", *self.places()))
        async with self._freed:
            self._busy.pop(worker, None)
            self._freed.notify_all()

    def log_event(self, topic: str, msg: Any) -> None:
        """Note which slices a retired worker leaves behind: their items are not to blame."""
        if topic == "all" and isinstance(msg, dict) and msg.get("action") == "remove-worker":
            for key in set(msg.get("processing-tasks", ())) & self._begun.keys():
                self._begun[key] = bool(msg.get("expected"))

    async def stop(self) -> None:
        """Let nothing wait for a seat any more."""
        async with self._freed:
            self._ended = True
            self._freed.notify_all()

    def remove_client(self, scheduler: Scheduler, client: str) -> None:
        """End the run of a client that is gone: its requests would be paid for by nobody."""
        if client == self._client:
            self._ending = asyncio.create_task(end_run(self.name, scheduler))


async def end_run(name: str, dask_scheduler: Scheduler) -> None:
    """Stop every request of a run on all workers, and forget the run."""
    dask_scheduler.handlers.pop(name, None)
    run = dask_scheduler.plugins.pop(name, None)
    if not isinstance(run, RunOnScheduler):  # ended before
        return
    await run.stop()
    with suppress(ValueError):  # no worker has it yet
        await dask_scheduler.unregister_worker_plugin(None, name)
    # Its last thousand messages would stay in the scheduler; only a private name can remove them.
    with suppress(AttributeError):
        dask_scheduler._broker.truncate(name)
