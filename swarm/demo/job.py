"""The main job: three nodes, four agents, one task over real images, and the leader killed on the way.

It uses nothing a user could not: the local cluster of `swarm dev`, the Python door, and `kill -9`.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import suppress
from typing import Final, Protocol

from swarm.client import Run, RunEnded, StepDone, Swarm
from swarm.daemons.local import LocalCluster, Observer
from swarm.demo.facts import Answer, Facts, Failover, times_run_again
from swarm.demo.material import AGENTS, Examples, agent_file
from swarm.demo.task import digits_graph
from swarm.errors import NotLeader, Unreachable
from swarm.ids import NodeId

KILL_AFTER: Final = 1 / 3  # of the steps are recorded
FAILOVER_S_MAX: Final = 15.0
LOOK_EVERY_S: Final = 0.005


class Audience(Protocol):
    """Whoever watches the job."""

    def stage(self, text: str) -> None:
        """What begins now."""

    def step(self, done: int, total: int, by_node: Counter[NodeId]) -> None:
        """A step was recorded."""

    def killed(self, node: NodeId, done: int, total: int) -> None:
        """The leader is dead."""

    def elected(self, node: NodeId, after_s: float) -> None:
        """Another node accepts work."""


class _Drama:
    """The killing of the leader: when, whom, and what came after."""

    def __init__(self, cluster: LocalCluster, observer: Observer, leader: NodeId, audience: Audience) -> None:
        self._cluster = cluster
        self._observer = observer
        self._leader = leader
        self._audience = audience
        self._killed_at = 0.0
        self._killed_wall_ms = 0.0
        self._at_step = 0
        self._recorded_s: float | None = None
        self._watch: asyncio.Task[tuple[NodeId, float] | None] | None = None

    def see(self, event: StepDone) -> None:
        """One more step is recorded: is it time, or is it the first one after?"""
        done, total = event.offset + 1, event.run.steps_total
        if self._watch is None and done >= total * KILL_AFTER and done < total:
            self._kill(done, total)
        elif self._recorded_s is None and self._watch is not None and event.started_ms > self._killed_wall_ms:
            # An attempt that began after the kill can only have been recorded by the next leader.
            self._recorded_s = time.monotonic() - self._killed_at

    def _kill(self, done: int, total: int) -> None:
        self._killed_at, self._killed_wall_ms = time.monotonic(), time.time() * 1000
        self._cluster.kill(self._leader)
        self._at_step = done
        self._watch = asyncio.create_task(self._await_leader())
        self._audience.killed(self._leader, done, total)

    async def _await_leader(self) -> tuple[NodeId, float] | None:
        survivors = self._cluster.running()
        while (after_s := time.monotonic() - self._killed_at) < FAILOVER_S_MAX:
            for node, answer in (await self._observer.ask(survivors)).items():
                if answer.leader == node:  # it says so of itself only once it accepts work
                    after_s = time.monotonic() - self._killed_at
                    self._audience.elected(node, after_s)
                    return node, after_s
            await asyncio.sleep(LOOK_EVERY_S)
        return None

    async def end(self) -> Failover | None:
        """What happened; None where the task was over before the leader could be killed."""
        if self._watch is None:
            return None
        found = await self._watch
        leader, accepting_s = found or (None, None)
        return Failover(self._leader, self._at_step, leader, accepting_s, self._recorded_s)

    async def leave(self) -> None:
        """The job failed: nobody asks how it ended."""
        if self._watch is not None:
            self._watch.cancel()
            with suppress(asyncio.CancelledError):
                await self._watch


async def main_job(cluster: LocalCluster, audience: Audience) -> Facts:
    """Do the job on a cluster that is not started yet. The caller stops the cluster."""
    began = time.monotonic()
    examples = Examples.load()
    audience.stage(f"starting {len(cluster.nodes)} nodes, each with its own certificate from a new authority")
    cluster.start()
    await cluster.ready(audience.stage)
    async with Observer(cluster) as observer, Swarm.connect(cluster.profile_path) as swarm:
        for name in AGENTS:
            audience.stage(f"deploying {name}.af")
            agent = await swarm.deploy(agent_file(name))
            if set(agent.nodes) != set(cluster.nodes):
                raise Unreachable(
                    f"only {list(agent.nodes)} host {name}", place=name, remedy="see `swarm agents show`"
                )
        graph = digits_graph(len(examples.images))
        audience.stage(f"classifying {len(examples.images)} images, a step for each")
        drama = _Drama(cluster, observer, await _leader(cluster, observer), audience)
        submitted = time.monotonic()
        run = await swarm.submit(graph, {"images": examples.images, "labels": examples.labels.tolist()})
        try:
            done = await _follow(run, drama, audience)
            run_s = time.monotonic() - submitted
            outputs = await run.result()
            failover = await drama.end()
        finally:
            await drama.leave()
        total = (await run.show()).run.steps_total
    return Facts(
        run=run.id,
        answer=Answer.read(outputs, examples.labels),
        steps=total,
        lost=total - done.total(),
        reexecuted=times_run_again(run.id, map(cluster.node_data, cluster.nodes)),
        steps_by_node={node: done[node] for node in cluster.nodes},
        failover=failover,
        run_s=run_s,
        wall_s=time.monotonic() - began,
    )


async def _follow(run: Run, drama: _Drama, audience: Audience) -> Counter[NodeId]:
    done: Counter[NodeId] = Counter()
    async for event in run.progress():
        match event:
            case StepDone():
                done[event.node] += event.ok
                drama.see(event)
                audience.step(event.offset + 1, event.run.steps_total, done)
            case RunEnded():
                break
    return done


async def _leader(cluster: LocalCluster, observer: Observer) -> NodeId:
    for node, answer in (await observer.ask(cluster.nodes)).items():
        if answer.leader == node:
            return node
    raise NotLeader
