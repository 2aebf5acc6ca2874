"""Functions run by a cluster, as `concurrent.futures` has it.

    with SwarmExecutor() as executor:
        print(executor.submit(shout, "hello").result())
        print(list(executor.map(shout, ["a", "b"])))

Each function is deployed as an agent when it is first used, and removed again at the end. One call is one
run; `map` makes one run of up to a thousand calls. A future that is cancelled cancels its run, also when that
has begun. What a function raises is raised here again if it is an error of Python's own, else as `RunFailed`.
"""

from __future__ import annotations

import asyncio
import builtins
import concurrent.futures
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar

from swarm.client.blocking import Loop
from swarm.client.door import Swarm
from swarm.client.functions import OUTPUT, StepFunction, step
from swarm.client.profile import ClusterProfile
from swarm.errors import RunFailed, SwarmError
from swarm.graph import Endpoint, Graph, OnFailure, Outlet, Retry

RUNS_MAX: Final = 256  # under way at once; the others wait here
CHUNK_CALLS: Final = 1_000  # calls in one run of `map`
_ONCE = Retry(attempts_max=1)  # what a function raises is its answer

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class _Raised:
    """What a call of `map` ended with instead of a value."""

    error: BaseException


class SwarmExecutor(concurrent.futures.Executor):
    """See the head of this module."""

    def __init__(self, profile: ClusterProfile | Path | str | None = None) -> None:
        self._swarm = Swarm.connect(profile)
        self._loop = Loop()
        self._room = asyncio.Semaphore(RUNS_MAX)
        self._lock = threading.Lock()
        self._steps: dict[Callable[..., object], StepFunction[..., object]] = {}
        self._deployed: dict[str, asyncio.Task[None]] = {}
        self._futures: set[concurrent.futures.Future[Any]] = set()
        self._closed = False

    def submit(
        self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> concurrent.futures.Future[R]:
        """Call it over there. Raises `Mistake` at once for a function or argument that cannot travel."""
        function = self._step(fn)
        node = replace(function.node("call", *args, **kwargs), retry=_ONCE)
        return self._start(self._one(function, _graph(function, [node])))

    def map(
        self,
        fn: Callable[..., R],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = CHUNK_CALLS,
    ) -> Iterator[R]:
        """The results in order. One run is made of each `chunksize` calls, at most a thousand."""
        function = self._step(fn)
        size = max(1, min(chunksize, CHUNK_CALLS))
        calls = list(zip(*iterables, strict=False))
        nodes = [
            replace(function.node(f"call{number}", *args), retry=_ONCE) for number, args in enumerate(calls)
        ]
        chunks = [nodes[at : at + size] for at in range(0, len(nodes), size)]
        futures = [self._start(self._many(function, _graph(function, chunk))) for chunk in chunks]
        return _results(futures, timeout)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls. The functions are removed from the cluster once nothing of them runs."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            futures = list(self._futures)
        if cancel_futures:
            for future in futures:
                future.cancel()
        if wait:
            self._finish(futures)
        else:
            threading.Thread(target=self._finish, args=(futures,), name="swarm-executor-end").start()

    # -- inside -----------------------------------------------------------------------------

    def _finish(self, futures: list[concurrent.futures.Future[Any]]) -> None:
        concurrent.futures.wait(futures)
        try:
            self._loop.wait(self._clean_up())
        finally:
            self._loop.close()

    async def _clean_up(self) -> None:
        for name, task in self._deployed.items():
            with suppress(SwarmError, asyncio.CancelledError):
                await task
                await self._swarm.remove_agent(name)
        await self._swarm.close()

    def _step(self, fn: Callable[..., Any]) -> StepFunction[..., Any]:
        if isinstance(fn, StepFunction):
            return fn
        found = self._steps.get(fn)
        if found is None:
            found = self._steps[fn] = step(fn)
        return found

    def _start(self, work: Coroutine[Any, Any, R]) -> concurrent.futures.Future[R]:
        with self._lock:
            if self._closed:
                work.close()
                message = "cannot schedule new futures after shutdown"
                raise RuntimeError(message)
            future = self._loop.start(work)
            self._futures.add(future)
        future.add_done_callback(self._futures.discard)
        return future

    async def _one(self, function: StepFunction[..., Any], graph: Graph) -> Any:
        async with self._room:
            await self._deploy(function)
            try:
                return (await self._swarm.run(graph))["call"]
            except RunFailed as error:
                raise _meant(error) from error

    async def _many(self, function: StepFunction[..., Any], graph: Graph) -> list[object]:
        """The value of each call, or what it raised."""
        async with self._room:
            await self._deploy(function)
            run = await self._swarm.submit(graph)
            try:
                values = await run.values()
                failed = {} if len(values) == len(graph.nodes) else await run.failures()
            except asyncio.CancelledError:
                with suppress(SwarmError):
                    await asyncio.shield(run.cancel("its submitter was cancelled"))
                raise
        lost = RunFailed("it gave no value", place=run.id)
        return [
            values[node.name] if node.name in values else _Raised(_meant(failed.get(node.name, lost)))
            for node in graph.nodes
        ]

    async def _deploy(self, function: StepFunction[..., Any]) -> None:
        task = self._deployed.get(function.name)
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = self._deployed[function.name] = asyncio.create_task(self._deploy_now(function))
        await asyncio.shield(task)

    async def _deploy_now(self, function: StepFunction[..., Any]) -> None:
        await self._swarm.deploy(function.agent())


def _graph(function: StepFunction[..., Any], nodes: list[Any]) -> Graph:
    outlets = tuple(Outlet(node.name, Endpoint(node.name, OUTPUT)) for node in nodes)
    return Graph(function.name, tuple(nodes), outlets=outlets, on_failure=OnFailure.CONTINUE)


def _results(
    futures: list[concurrent.futures.Future[list[object]]], timeout_s: float | None
) -> Iterator[Any]:
    done = False
    try:
        for future in futures:
            for value in future.result(timeout_s):
                if isinstance(value, _Raised):
                    raise value.error
                yield value
        done = True
    finally:
        if not done:
            for future in futures:
                future.cancel()


def _meant(error: SwarmError) -> BaseException:
    """The error of Python's own that the function raised, if it was one; else what the cluster says."""
    for word in error.message.split(": "):
        kind = getattr(builtins, word, None)
        if isinstance(kind, type) and issubclass(kind, Exception):
            said = error.message.partition(f"{word}: ")[2]
            try:
                meant = kind(said)
            except TypeError:  # one that takes more than a message, such as UnicodeDecodeError
                return error
            meant.__cause__ = error
            return meant
    return error
