"""`SwarmCoordinator`: agents into a cluster, tasks to them, and an eye on all of it at once.

async with SwarmCoordinator() as coordinator:
team = await coordinator.create_swarm(["digits.af", shout])
runs = await coordinator.assign_tasks([graph, (graph, {"x": 1})])
async for run, event in coordinator.monitor_progress(runs):
print(run.id, event)
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeAlias

from swarm.client.door import Swarm
from swarm.client.functions import StepFunction
from swarm.client.profile import ClusterProfile
from swarm.client.records import AgentInfo, Event
from swarm.client.run import Run
from swarm.errors import Unreachable
from swarm.graph import Graph, Priority
from swarm.ids import CapabilityName, NodeId

Agent: TypeAlias = Path | str | bytes | StepFunction[..., Any]
"""A path to an agent file, its bytes, or a function that was made a step."""

Task: TypeAlias = Graph | tuple[Graph, Mapping[str, object]]
"""What to run, with its inputs where it takes any."""

EVENTS_AHEAD: Final = 1_000  # news of all runs that wait to be read
_OVER: Final = None


@dataclass(frozen=True, slots=True)
class Team:
    """Agents that were brought into a cluster, and the nodes that host every one of them."""

    agents: tuple[AgentInfo, ...]
    nodes: tuple[NodeId, ...]

    @property
    def capabilities(self) -> tuple[CapabilityName, ...]:
        return tuple(each.name for agent in self.agents for each in agent.capabilities)


class SwarmCoordinator:
    """See the head of this module."""

    def __init__(self, profile: ClusterProfile | Path | str | None = None) -> None:
        self.swarm = Swarm.connect(profile)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.swarm.close()

    async def create_swarm(self, agents: Sequence[Agent], *, nodes_min: int = 1) -> Team:
        """Bring these agents in. Raises `AgentRefused`; `Unreachable` where too few nodes host them all."""
        found = [
            await self.swarm.deploy(agent.agent() if isinstance(agent, StepFunction) else agent)
            for agent in agents
        ]
        hosts = set.intersection(*(set(agent.nodes) for agent in found)) if found else set[NodeId]()
        if found and len(hosts) < nodes_min:
            raise Unreachable(
                f"{len(hosts)} nodes host all of these agents, {nodes_min} are asked for",
                place=", ".join(agent.name for agent in found),
                remedy="`swarm agents show NAME` says why nodes refused",
            )
        return Team(tuple(found), tuple(sorted(hosts)))

    async def assign_tasks(self, tasks: Iterable[Task], *, priority: Priority = Priority.MEDIUM) -> list[Run]:
        """Submit them all; when this returns they are durable. If one is refused the others are cancelled."""
        runs: list[Run] = []
        try:
            for task in tasks:
                graph, inputs = (task, None) if isinstance(task, Graph) else task
                runs.append(await self.swarm.submit(graph, inputs, priority=priority))
        except BaseException:
            await asyncio.gather(
                *(run.cancel("another task of the same batch was refused") for run in runs),
                return_exceptions=True,
            )
            raise
        return runs

    async def monitor_progress(self, runs: Sequence[Run]) -> AsyncGenerator[tuple[Run, Event], None]:
        """What happens in any of these runs, as it happens; ends when all are over."""
        news: asyncio.Queue[tuple[Run, Event] | BaseException | None] = asyncio.Queue(EVENTS_AHEAD)
        watchers = [asyncio.create_task(_watch(run, news)) for run in runs]
        left = len(watchers)
        try:
            while left:
                match await news.get():
                    case None:
                        left -= 1
                    case BaseException() as error:
                        raise error
                    case told:
                        yield told
        finally:
            for watcher in watchers:
                watcher.cancel()
            await asyncio.gather(*watchers, return_exceptions=True)


async def _watch(run: Run, news: asyncio.Queue[tuple[Run, Event] | BaseException | None]) -> None:
    try:
        async with aclosing(run.progress()) as events:
            async for event in events:
                await news.put((run, event))
    except Exception as error:  # noqa: BLE001 - whatever it is, the reader is told
        await news.put(error)
    else:
        await news.put(_OVER)
