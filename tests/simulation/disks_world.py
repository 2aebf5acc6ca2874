"""Clusters that lose machines with their disks, one at a time, from a seed: what runs speak of must stay.

Steps give large payloads, and clients submit some; meanwhile coordinators die, links break, nodes restart,
and now and then a machine is lost for good and replaced by an empty one. Between two such losses there is
time for copies to be made again. Checked are, at every loss and in the end:

    nothing that a remembered run speaks of is on no disk      `check_nothing_lost`
    in the end everything is on as many nodes as it should be  `short`
    every run has succeeded, each step with its one result     `_check_run`
    and every payload is what the step before it makes of it   `_check_run`
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from random import Random

import structlog

from swarm import limits
from swarm.errors import SwarmError
from swarm.graph import Endpoint, Feed, Graph, Items, NodeName, Payload, PortName, Retry, Signature, refs
from swarm.graph.model import Port
from swarm.ids import CapabilityName, RunId
from swarm.scheduler.run import Run, Status
from swarm.testing.clock import run_virtually
from swarm.testing.cluster import MemoryCluster
from swarm.testing.copies import check_nothing_lost, lose_disk, short
from swarm.testing.graphs import ALL, OUT, chain_graph
from tests.simulation.raft_replicas import Violation

SIZE = limits.PAYLOAD_INLINE_BYTES_MAX + 1
GROW = Signature(CapabilityName("model:a"), (Port(ALL, many=True, optional=True),), (Port(OUT),))
NODES, LOSSES, RUNS, STEPS_MAX = 4, 3, 3, 8
CALL_MS = 300.0
PAUSE_S = (0.01, 1.5)


def grow(inputs: Mapping[str, Items]) -> dict[str, Items]:
    """Another large payload, which depends on the one that was given."""
    given = inputs.get(ALL, ())
    parts = [given] if isinstance(given, Payload) else list(given)
    seen = max((part.data[0] for part in parts), default=0)
    return {OUT: Payload("bytes", bytes([(seen + 1) % 256]) * SIZE)}


def run_seed(seed: int) -> None:
    """One seed; raises `Violation`, or whatever a driver died of."""

    async def main() -> None:
        async with MemoryCluster(seed=seed, nodes=NODES, call_ms=CALL_MS) as cluster:
            await cluster.deploy(cluster.agents.add("grow", {GROW: grow}))
            await _act(cluster, Random(cluster.dice.random()))
            cluster.look_for_bugs()

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("critical"))
    try:
        run_virtually(main())
    except SwarmError as error:
        raise Violation(f"{type(error).__name__}: {error}") from error
    finally:
        structlog.reset_defaults()


async def _act(cluster: MemoryCluster, dice: Random) -> None:
    runs: dict[RunId, int] = {}
    for _ in range(RUNS):
        first = dice.randrange(100)
        graph, inputs = _graph(dice), {}
        if dice.random() < 0.5:
            graph = replace(graph, feeds=(Feed("x", Endpoint(NodeName("s0"), PortName(ALL))),))
            inputs = {"x": await cluster.upload(bytes([first]) * SIZE)}
        runs[await cluster.submit(graph, inputs)] = first if inputs else 0
    for _ in range(LOSSES):
        for _ in range(dice.randint(1, 3)):
            await cluster.clock.sleep_ms(1_000 * dice.uniform(*PAUSE_S))
            await _trouble(cluster, dice)
        victim = dice.choice(sorted(cluster.workers))
        await _well(cluster)
        await lose_disk(cluster, victim)
        check_nothing_lost(cluster)
        if dice.random() < 0.3:
            await cluster.kill_leader()
        await cluster.clock.sleep_ms(1_000 * dice.uniform(0, 3 * limits.RECOPY_WAIT_MS / 1_000))
        await cluster.start_node(victim)
        check_nothing_lost(cluster)
    for name, first in runs.items():
        _check_run(cluster, await cluster.ended(name), first)
    await _well(cluster)
    check_nothing_lost(cluster)


def _graph(dice: Random) -> Graph:
    graph = chain_graph(dice.randint(1, STEPS_MAX))
    nodes = tuple(replace(node, retry=Retry(attempts_max=6)) for node in graph.nodes)
    return replace(graph, nodes=nodes)


async def _trouble(cluster: MemoryCluster, dice: Random) -> None:
    match dice.randrange(4):
        case 0 if len(cluster.coordinators) == len(cluster.log.voters):
            await cluster.kill_leader()
        case 1:
            node = dice.choice(sorted(cluster.workers))
            await cluster.kill_node(node)
            await cluster.start_node(node)
        case 2:
            cluster.links.cut(dice.choice(sorted(cluster.workers)))
        case _:
            for name in cluster.log.voters:
                if name not in cluster.coordinators:
                    await cluster.start_coordinator(name)


async def _well(cluster: MemoryCluster) -> None:
    """The time between two losses: everybody is there, and everything has its copies."""
    for name in cluster.log.voters:
        if name not in cluster.coordinators:
            await cluster.start_coordinator(name)
    await cluster.leader()
    await cluster.until(lambda: not short(cluster), 200.0)


def _check_run(cluster: MemoryCluster, run: Run, first: int) -> None:
    name = run.submitted.run
    if run.status is not Status.SUCCEEDED:
        raise Violation(f"{name} ended as {run.status.value}: {run.reason}")
    if sorted(run.order) != list(range(len(run.state))):
        raise Violation(f"{name}: not every step has one result: {run.order}")
    for step, record in run.records.items():
        (ref,) = refs(record.outputs.values())
        wanted = bytes([(first + step + 1) % 256]) * SIZE
        found = [store.files[ref.digest] for store in cluster.blobs.values() if ref.digest in store.files]
        if not found or any(data != wanted for data in found):
            raise Violation(f"{name}: what step {step} gave is gone, or is something else")
