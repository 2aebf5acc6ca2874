"""`TaskDecomposer`: from a task in words, code or data to a graph over what a cluster offers.

    with TaskDecomposer() as decomposer:
        found = decomposer.decompose("Split the text, then write a report")
        print(found.graph, found.left_out)

    async with TaskDecomposer() as decomposer:
        async for found in decomposer.decompose_stream(requests):
            ...

What is offered is asked of the cluster once, when the first task comes, or given as a catalogue; then nobody
is asked at all. Which engine understands sentences may be chosen; it is made for the capabilities there are,
and what it said of a request is remembered for a while.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Sequence
from contextlib import aclosing
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self, TypeAlias

from swarm.client.door import Swarm
from swarm.client.profile import ClusterProfile
from swarm.client.records import AgentInfo
from swarm.decompose.building import build_graph, capabilities_of
from swarm.decompose.cache import BYTES_MAX, TTL_MS, CachedEngine, DecompositionCache
from swarm.decompose.parse.code import parse_code
from swarm.decompose.parse.structured import parse_structured
from swarm.decompose.records import Capability, Engine
from swarm.decompose.stepgraph import build_steps
from swarm.decompose.strategies.heuristic import HeuristicEngine
from swarm.decompose.taskgraph import TaskGraph, finished, title_of
from swarm.graph import Catalogue
from swarm.plugins import engine_plugin

Kind: TypeAlias = Literal["sentence", "code", "data"]
AHEAD: Final = 8  # tasks of a stream that are looked at before the first of them is taken


class TaskDecomposer:
    """See the head of this module."""

    def __init__(
        self,
        profile: ClusterProfile | Path | str | None = None,
        *,
        catalogue: Catalogue | None = None,
        engine: Callable[[Sequence[Capability]], Engine] | str = HeuristicEngine,
        cache_bytes_max: int = BYTES_MAX,
        cache_ttl_ms: int = TTL_MS,
        parts: int = 1,
    ) -> None:
        """`engine`: what makes one for the capabilities there are, or the name of a plugin. `parts`: into how
        many the rows of steps that work row by row are dealt out.
        """
        self._profile = profile
        self._catalogue = catalogue
        self._engine_for = engine_plugin(engine) if isinstance(engine, str) else engine
        self._parts = parts
        self._engine: Engine | None = None
        self._learning = asyncio.Lock()
        self._guard = threading.Lock()
        self._cache = DecompositionCache(
            lambda: time.monotonic_ns() // 1_000_000, bytes_max=cache_bytes_max, ttl_ms=cache_ttl_ms
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._engine = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._engine = None

    def decompose(self, task: str, kind: Kind = "sentence") -> TaskGraph:
        """The graph of a task. Raises `NotFound` if nothing of it is offered, `GraphRefused`, `Mistake`."""
        if self._catalogue is None:
            with Swarm.open(self._profile) as swarm:
                self._learn(swarm.agents())
        return self._decompose(task, kind)

    async def decompose_async(self, task: str, kind: Kind = "sentence") -> TaskGraph:
        """The same without holding the event loop up."""
        async with self._learning:
            if self._catalogue is None:
                async with Swarm.connect(self._profile) as swarm:
                    self._learn(await swarm.agents())
        return await asyncio.to_thread(self._decompose, task, kind)

    async def decompose_stream(
        self, tasks: Iterable[str] | AsyncIterable[str], kind: Kind = "sentence"
    ) -> AsyncGenerator[TaskGraph, None]:
        """The graphs of many tasks, in their order; some are worked on before they are taken."""
        ahead: list[asyncio.Task[TaskGraph]] = []
        try:
            async with aclosing(_each(tasks)) as source:
                async for task in source:
                    ahead.append(asyncio.create_task(self.decompose_async(task, kind)))
                    if len(ahead) >= AHEAD:
                        yield await ahead.pop(0)
            while ahead:
                yield await ahead.pop(0)
        finally:
            for each in ahead:
                each.cancel()
            await asyncio.gather(*ahead, return_exceptions=True)

    # -- inside -----------------------------------------------------------------------------

    def _learn(self, agents: Iterable[AgentInfo]) -> None:
        self._catalogue = {each.name: each for agent in agents for each in agent.capabilities}

    def _decompose(self, task: str, kind: Kind) -> TaskGraph:
        catalogue = self._catalogue or {}
        if kind == "sentence":
            if self._engine is None:
                engine = self._engine_for(capabilities_of(catalogue))
                self._engine = CachedEngine(engine, self._cache, self._guard)
            found = self._engine.decompose(task)
            built = build_graph(found, catalogue, title_of(task))
            return finished(
                task, found.engine, found.confidence, built, catalogue, parts=self._parts, spoken=found
            )
        steps = parse_code(task) if kind == "code" else parse_structured(task, "")
        built = build_steps(steps, catalogue, kind)
        sure = min((each.confidence for each in built.origins.values()), default=1.0)
        return finished(task, steps.form, sure, built, catalogue, parts=self._parts)


async def _each(tasks: Iterable[str] | AsyncIterable[str]) -> AsyncGenerator[str, None]:
    if isinstance(tasks, AsyncIterable):
        async for task in tasks:
            yield task
    else:
        for task in tasks:
            yield task
