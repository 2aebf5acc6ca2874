"""What is critical goes first: among the ready, on the way to a node, in its queues, and into the log."""

import asyncio

from swarm.graph import Priority
from swarm.node.host import BATCH_ITEMS_MAX
from swarm.scheduler.run import Status
from swarm.testing.clock import run_virtually
from swarm.testing.cluster import MemoryCluster
from swarm.testing.graphs import CAPABILITIES, model_agent, model_reply, wide_graph

SLOTS = 256


def test_a_flood_of_low_steps_delays_a_critical_one_by_less_than_a_batch():
    """Ten thousand are ahead of it: what is done before it is what had begun, and no more."""

    async def scenario():
        async with MemoryCluster(seed=3, nodes=1, slots=SLOTS, call_ms=50.0) as cluster:
            signatures = model_agent(*CAPABILITIES).capabilities
            replies = {one: lambda given: model_reply("mine", given, ()) for one in signatures}
            await cluster.deploy(cluster.agents.add("mine", replies))
            flood = await cluster.submit(wide_graph(10_000), priority=Priority.LOW)
            leader = await cluster.leader()
            await asyncio.sleep(6.0)
            assert SLOTS < len(leader.run(flood).order) < 9_000
            begun = sum(line["run"] == flood for line in cluster.journals["n1"].lines)
            urgent = await cluster.submit(wide_graph(1), priority=Priority.CRITICAL)
            assert (await cluster.ended(urgent)).status is Status.SUCCEEDED
            runs = [line["run"] for line in cluster.journals["n1"].lines]
            ahead = runs[begun : runs.index(urgent)].count(flood)
            assert ahead <= BATCH_ITEMS_MAX
            assert runs.count(flood) < begun + 2 * SLOTS
            assert leader.run(flood).status is Status.RUNNING

    run_virtually(scenario())
