"""Deploying an agent: enough nodes hold its file before the log says it exists."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

import structlog

from swarm import limits
from swarm.coordinator.driver import Coordinator
from swarm.coordinator.roster import HOSTING
from swarm.errors import SwarmError, TooLarge, Unreachable
from swarm.ids import Digest, NodeId
from swarm.ports import BlobPeers, Blobs, Clock
from swarm.scheduler.events import AgentRecord
from swarm.trust.policy import Caller

_log = structlog.get_logger("swarm.coordinator")


class Deployments:
    """Takes agent files in."""

    def __init__(
        self,
        coordinator: Coordinator,
        blobs: Blobs,
        peers: BlobPeers,
        voters: Collection[NodeId],
        inspect: Callable[[bytes], AgentRecord],
        clock: Clock,
    ) -> None:
        self._coordinator = coordinator
        self._blobs = blobs
        self._peers = peers
        self._voters = voters  # they may change
        self._inspect = inspect
        self._clock = clock

    @property
    def _others(self) -> list[NodeId]:
        return [voter for voter in self._voters if voter != self._coordinator.node]

    async def deploy(self, data: bytes, caller: Caller) -> tuple[AgentRecord, int, list[NodeId]]:
        """Check the file, copy it to a majority of the voters, log it, and wait for nodes to host it.

        Raises `AgentRefused` with every reason, or `Unreachable` where too few voters could take a copy.
        """
        self._coordinator.replica.must_lead()
        if len(data) > limits.AGENT_FILE_BYTES_MAX:
            raise TooLarge(f"{len(data)} bytes, at most {limits.AGENT_FILE_BYTES_MAX}", place="agent file")
        agent = await asyncio.to_thread(self._inspect, data)
        self._coordinator.may_deploy(agent, caller)
        await self._copy(await self._blobs.put(data))
        index = await self._coordinator.deploy(agent, caller)
        return agent, index, await self._hosted(agent)

    async def _copy(self, digest: Digest) -> None:
        results = await asyncio.gather(
            *(self._peers.push(node, (digest,)) for node in self._others), return_exceptions=True
        )
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, SwarmError):
                raise result
        copies = 1 + sum(result is None for result in results)
        majority = (len(self._others) + 1) // 2 + 1
        if copies < majority:
            faults = "; ".join(str(result) for result in results if isinstance(result, SwarmError))
            raise Unreachable(
                f"{copies} of the {majority} copies an agent file needs: {faults}",
                place="agent file",
                remedy="bring a majority of the coordinators up and deploy again",
            )

    async def _hosted(self, agent: AgentRecord) -> list[NodeId]:
        """Wait until every attached node hosts the agent or has said why not."""
        deadline = self._clock.monotonic_ms() + limits.HOST_MS_MAX
        while self._clock.monotonic_ms() < deadline:
            undecided = [
                node
                for node, link in self._coordinator.roster.links.items()
                if agent.digest not in link.status.agents and agent.digest not in link.status.refused
            ]
            if self._coordinator.roster.links and not undecided:
                break
            change = self._coordinator.roster.hosting.wait(HOSTING)
            await asyncio.wait({asyncio.ensure_future(asyncio.shield(change))}, timeout=0.1)
        return self._coordinator.roster.hosts(agent.digest)
