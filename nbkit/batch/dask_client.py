"""A cluster of Dask, as a batch sees it from the kernel."""

import asyncio
import contextlib
import importlib.metadata
import io
import warnings
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import uuid4

from cloudpickle import CloudPickler
from distributed import Client, Future, KilledWorker
from distributed.diagnostics.plugin import SchedulerPlugin, WorkerPlugin
from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.base.llms.base import BaseLLM
from llama_index.core.chat_engine.types import BaseChatEngine

from nbkit.batch.asking import AskFacts
from nbkit.batch.cluster import (
    MAKE_ASK,
    Message,
    OutcomesSent,
    PlacesChanged,
    SliceBegun,
    SliceLost,
)
from nbkit.batch.dask_scheduler import RunOnScheduler, end_run
from nbkit.batch.dask_worker import RunOnWorker, ask_facts, ask_slice
from nbkit.batch.outcome import BatchError, BatchMisused
from nbkit.batch.settings import Settings
from nbkit.language import say

_PATIENCE = 10.0
"""Seconds without a worker before a warning."""
_END_SECONDS = 10.0


class DaskCluster:
    """Asks slices of one run on the workers of a Dask client."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._heard: Callable[[Message], None] = lambda _: None
        self._places = PlacesChanged(0, 0)
        self.dashboard: str | None = client.dashboard_link or None

    @contextlib.asynccontextmanager
    async def opened(
        self, make_ask: Callable[[], Any], settings: Settings
    ) -> AsyncIterator[AskFacts]:
        """Make ready for one run; see `Cluster`."""
        self._check_client()
        _check_sendable(make_ask)
        self._name = f"nbkit-{uuid4().hex[:12]}"
        try:
            self._subscribe()
            await self._register(RunOnScheduler(self._name, self._client.id, settings))
            await self._register(RunOnWorker(self._name, make_ask, settings))
            yield await self._facts()
        finally:
            await self._end()

    async def _register(self, plugin: SchedulerPlugin | WorkerPlugin) -> None:
        try:
            await self._call(self._client.register_plugin, plugin)
        except (ImportError, AttributeError) as error:
            raise BatchMisused(
                say("The cluster cannot run this nbkit ({error})", error=error),
                say(
                    "install nbkit {version} where the scheduler and the workers run.",
                    version=_version(),
                ),
            ) from error

    def listen(self, heard: Callable[[Message], None]) -> None:
        """Call `heard` with each message; see `Cluster`."""
        self._heard = heard
        heard(self._places)

    def _subscribe(self) -> None:
        loop = asyncio.get_running_loop()

        def handle(event: tuple[float, tuple[Any, ...]]) -> None:
            _soon(loop, self._hear, _message(*event[1]))

        self._client.subscribe_topic(self._name, handle)

    def _hear(self, message: Message) -> None:
        if isinstance(message, PlacesChanged):
            self._places = message
        self._heard(message)

    async def ask(self, key: str, items: list[tuple[int, Any]]) -> None:
        """Ask a slice; see `Cluster`."""
        async with self._task(key, ask_slice, self._name, key, items) as future:
            if future.status == "error":
                error = await self._call(future.exception)
                raise SliceLost(False) if isinstance(error, KilledWorker) else error

    async def _facts(self) -> AskFacts:
        asking = asyncio.create_task(self._asked_facts())
        try:
            await asyncio.wait({asking}, timeout=_PATIENCE)
            self._places = PlacesChanged(*await self._scheduled("places"))
            if not asking.done() and not self._places.workers:
                warnings.warn(
                    say(
                        "The cluster has no worker, so the batch waits for one — start some, for "
                        "example with `cluster.scale(2)`."
                    ),
                    stacklevel=2,
                )
            facts, version = await asking
        finally:
            asking.cancel()
        if version != _version():
            raise BatchMisused(
                say(
                    "The workers have nbkit {version}, and this process has {ours}",
                    version=version,
                    ours=_version(),
                ),
                say("install the same version in both."),
            )
        return facts

    async def _asked_facts(self) -> tuple[AskFacts, str]:
        async with self._task(f"{self._name}-facts", facts_and_version, self._name) as future:
            return await self._call(future.result)  # type: ignore[no-any-return]

    @contextlib.asynccontextmanager
    async def _task(
        self, key: str, function: Callable[..., Any], *arguments: Any
    ) -> AsyncIterator[Future[Any]]:
        """Run a task; gives its future when it has ended, with a result or an error."""
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        future = self._client.submit(function, *arguments, key=key, pure=False, retries=0)
        try:
            future.add_done_callback(lambda _: _soon(loop, ended.set))
            await ended.wait()
            if future.status not in ("finished", "error"):
                raise BatchError(
                    say("The scheduler of the cluster is gone, or has dropped the work"),
                    say(
                        "start a new cluster; a journal keeps what was answered, and a batch with "
                        "it asks only the rest."
                    ),
                )
            yield future
        finally:
            future.release()

    async def _scheduled(self, do: str) -> Any:
        """What the run on the scheduler returns."""
        return await self._call(
            self._client.sync, getattr(self._client.scheduler, self._name), do=do
        )

    async def _end(self) -> None:
        """Stop every request of the run, on all workers."""
        if self._client.status != "running":
            return
        with contextlib.suppress(ValueError):  # not subscribed yet
            self._client.unsubscribe_topic(self._name)
        ending = asyncio.ensure_future(
            self._call(self._client.run_on_scheduler, end_run, self._name)
        )
        await asyncio.wait({ending}, timeout=_END_SECONDS)

    async def _call(self, method: Callable[..., Any], *arguments: Any, **settings: Any) -> Any:
        """What a method of the client returns, whether the client is asynchronous or not."""
        if self._client.asynchronous:
            return await method(*arguments, **settings)
        return await asyncio.to_thread(method, *arguments, **settings)

    def _check_client(self) -> None:
        if self._client.status != "running":
            raise BatchMisused(
                say("The Dask client is {status}", status=self._client.status),
                say("make a new one, `Client(cluster)`."),
            )


_KINDS = {"outcomes": OutcomesSent, "begun": SliceBegun, "places": PlacesChanged}


def _message(kind: str, *parts: Any) -> Message:
    message: Message = _KINDS[kind](*parts)
    return message


def facts_and_version(name: str) -> tuple[AskFacts, str]:
    """The task of Dask: the facts of what a run asks, and the version of nbkit on the worker."""
    return ask_facts(name), _version()


def _version() -> str:
    return importlib.metadata.version("nbkit-streaming")


def _soon(loop: asyncio.AbstractEventLoop, call: Callable[..., None], *arguments: Any) -> None:
    """Call a function on a loop, from a thread of the client."""
    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(call, *arguments)


class _Checking(CloudPickler):  # type: ignore[misc]
    """Finds in a function what LlamaIndex would send without its parts that do not pickle."""

    def persistent_id(self, thing: Any) -> None:
        """Raise TypeError for a model or an engine."""
        if isinstance(thing, BaseLLM | BaseQueryEngine | BaseChatEngine):
            raise TypeError(
                say("it holds a {kind} that was made outside of it", kind=type(thing).__name__)
            )


def _check_sendable(make_ask: Callable[[], Any]) -> None:
    """Raise `BatchMisused` for a function that cannot be sent to a worker."""
    try:
        _Checking(io.BytesIO()).dump(make_ask)
    except Exception as error:
        raise BatchMisused(
            say("make_ask cannot be sent to the workers ({error})", error=error),
            say("engines and models must be made inside of it:\n\n{make_ask}", make_ask=MAKE_ASK),
        ) from error
