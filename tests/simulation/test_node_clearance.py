"""A node works in no context that its own settings do not cover, whatever the leader sends it."""

from dataclasses import replace

import pytest

from swarm.graph import Clearance, Context
from swarm.scheduler.run import Status
from swarm.testing.clock import run_virtually
from swarm.testing.cluster import MemoryCluster
from swarm.testing.graphs import CAPABILITIES, model_agent, model_reply, wide_graph

MEDICAL = Context(level=2, domain="medical")


@pytest.mark.parametrize(
    ("clearance", "context", "runs"),
    [
        (Clearance(level=2, domains=frozenset({"medical"})), MEDICAL, True),
        (Clearance(level=1), MEDICAL, False),
        (Clearance(domains=frozenset({"finance"})), MEDICAL, False),
        (Clearance(tenants=frozenset({"zeta"})), replace(MEDICAL, tenant="acme"), False),
        (Clearance(permissions=frozenset()), Context(permissions=frozenset({"phi"})), False),
        (Clearance(level=0, domains=frozenset()), Context(), True),
    ],
)
def test_a_node_refuses_a_step_its_own_settings_do_not_cover_although_the_leader_sent_it(
    clearance, context, runs
):
    """The leader was told that the node takes everything: it is wrong, or lies."""
    reached = []

    def reply(given):
        reached.append(given)
        return model_reply("mine", given, ())

    async def scenario():
        async with MemoryCluster(seed=5, nodes=1) as cluster:
            signatures = model_agent(*CAPABILITIES).capabilities
            await cluster.deploy(cluster.agents.add("mine", dict.fromkeys(signatures, reply)))
            worker = cluster.workers["n1"]
            worker._options = replace(worker._options, clearance=clearance)
            graph = wide_graph(3)
            graph = replace(graph, nodes=tuple(replace(node, context=context) for node in graph.nodes))
            run = await cluster.ended(await cluster.submit(graph))
            if runs:
                assert (run.status, len(reached)) == (Status.SUCCEEDED, 3)
                return
            assert run.status is Status.FAILED
            assert reached == []
            assert cluster.journals["n1"].lines == []
            assert {record.error.code for record in run.records.values()} == {"not_allowed"}
            assert "node n1 does not work in this context" in run.reason

    run_virtually(scenario())
