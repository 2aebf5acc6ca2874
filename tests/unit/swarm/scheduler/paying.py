"""A step that must not run twice, under way."""

from swarm.testing.graphs import small_graph
from swarm.testing.scheduling import ModelCluster


def begun(agent, nodes=2):
    """A cluster of that agent with one step under way; its node, and the run."""
    cluster = ModelCluster(agent)
    for number in range(nodes):
        cluster.join(f"n{number}", 1)
    run = cluster.submit(small_graph("pay", outlets="pay"))
    cluster.commit()
    ((node, _),) = cluster.running()
    return cluster, node, run
