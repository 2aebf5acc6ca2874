"""A short run is submitted, run and told of by one call; what follows holds at whichever node it is made."""

import asyncio

import pytest

from swarm import Swarm
from swarm.client.connection import Connection
from swarm.client.profile import ClusterProfile
from swarm.errors import NotFound
from swarm.graph import encode
from swarm.wire.gen import client_pb2 as pb
from tests.integration.cluster import slow_graph

LINGER_MS = 1_000


def at(profile, node):
    """A profile that knows of one node alone."""
    return profile.model_copy(update={"endpoints": {node: profile.endpoints[node]}})


@pytest.mark.parametrize("leads", [True, False])
def test_the_end_of_a_short_run_comes_with_its_acknowledgement(cluster, swarm, leads):
    profile, leader = ClusterProfile.load(cluster.profile_path), swarm.status().leader
    node = leader if leads else next(name for name in cluster.nodes if name != leader)

    async def scenario():
        connection = Connection(at(profile, node))
        request = pb.SubmitRequest(graph=encode(slow_graph(1, 0)), key=f"once-{node}", linger_ms=LINGER_MS)
        try:
            for _ in range(30):  # until its agent's cell is warm
                reply = await connection.ask(lambda stub, s: stub.Submit(request, timeout=s))
                if reply.HasField("end"):
                    break
            assert reply.end.run.status == "succeeded"
            assert reply.end.HasField("outputs")
            # who wrote through this node reads what it wrote here
            assert reply.end.freshness.applied_index <= reply.index
            status = await connection.ask(lambda stub, s: stub.Status(pb.StatusRequest(), timeout=s))
            assert status.applied_index >= reply.index
            again = await connection.ask(lambda stub, s: stub.Submit(request, timeout=s))
            assert (again.run, again.existed) == (reply.run, True)
        finally:
            await connection.close()

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_a_longer_run_is_acknowledged_when_the_moment_is_over(cluster):
    async def scenario():
        async with Swarm.connect(cluster.profile_path) as swarm:
            run = await swarm.submit(slow_graph(1, 2), linger_ms=20)
            assert (await run.show()).run.status == "running"
            assert await run.result() == {"s0": "done"}
            with pytest.raises(NotFound):
                await swarm.attach("run-of-nobody").show()

    asyncio.run(asyncio.wait_for(scenario(), 60))
