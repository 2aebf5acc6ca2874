"""A node that is slow, or silent while it lives: what rebalancing is worth, on virtual time."""

import pytest

from swarm.scheduler.run import Status
from swarm.scheduler.together import Options
from swarm.testing.cells import Fate
from swarm.testing.clock import run_virtually
from swarm.testing.cluster import MemoryCluster
from swarm.testing.graphs import CAPABILITIES, model_agent, model_reply, wide_graph

STEPS = 120
SLOW_MS = 2_000.0


def makespan_ms(rebalance, spoil, seed=3):
    """How long a run of equal steps takes on three nodes, one of which is spoiled once all is warm."""

    async def scenario():
        options = Options(rebalance=rebalance)
        async with MemoryCluster(seed=seed, slots=32, call_ms=20, options=options) as cluster:
            signatures = model_agent(*CAPABILITIES).capabilities
            await cluster.deploy(
                cluster.agents.add(
                    "mine", {one: lambda given: model_reply("mine", given, ()) for one in signatures}
                )
            )
            await cluster.ended(await cluster.submit(wide_graph(STEPS)))
            spoil(cluster)
            began = cluster.clock.monotonic_ms()
            run = await cluster.ended(await cluster.submit(wide_graph(STEPS)))
            assert run.status is Status.SUCCEEDED
            assert sorted(run.order) == list(range(STEPS))
            took = cluster.clock.monotonic_ms() - began
            # What lost the race is withdrawn everywhere.
            leader = await cluster.leader()
            await cluster.until(lambda: all(not view.busy for view in leader.replica.scheduler.nodes()))
            return took

    return run_virtually(scenario())


def slow_node(cluster):
    cluster.cells["n2"].call_ms = SLOW_MS


def hanging_node(cluster):
    cluster.cells["n2"].fate = lambda _: Fate.HANG


@pytest.mark.parametrize("spoil", [slow_node, hanging_node])
def test_a_run_does_not_wait_for_the_slowest_node(spoil):
    without, with_it = makespan_ms(False, spoil), makespan_ms(True, spoil)
    assert with_it < without / 2


def test_where_all_nodes_are_alike_it_costs_nothing():
    without, with_it = makespan_ms(False, lambda _: None), makespan_ms(True, lambda _: None)
    assert with_it <= without * 1.2
