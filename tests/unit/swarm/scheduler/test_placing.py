from __future__ import annotations

from dataclasses import replace

import pytest

from swarm import limits
from swarm.graph import Graph, Priority, Resources
from swarm.ids import RunId
from swarm.scheduler.machine import Place
from swarm.scheduler.run import Status
from swarm.testing.graphs import CAPABILITIES, OUT, PARTS, chain_graph, model_agent, small_graph, wide_graph
from swarm.testing.scheduling import ModelCluster, ModelNode

FIRST, SECOND, THIRD = CAPABILITIES
A, B = model_agent(FIRST), model_agent(SECOND)


def work(cluster: ModelCluster, node: ModelNode, until: RunId, placements_max: int) -> int:
    """Finish one step at a time until that run is over; how many placements it took."""
    for _ in range(placements_max):
        if cluster.leader.scheduler.ledger.runs[until].settled:
            break
        cluster.finish(node, next(iter(node.running)))
        cluster.commit()
    return len(cluster.executions)


def steps_of(cluster: ModelCluster) -> list[tuple[RunId, int]]:
    return [(sent.key.run, sent.key.step) for sent in cluster.executions]


# -- fair sharing -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("small", "placements_max"),
    [
        (wide_graph(10), 22),
        (chain_graph(10), 32),  # the slot is taken while a step's result is on its way to the log
    ],
)
def test_a_run_of_ten_steps_soon_ends_beside_one_of_a_thousand(small, placements_max):
    cluster = ModelCluster(A)
    node = cluster.join("n", 1)
    cluster.submit(wide_graph(1_000))
    run = cluster.submit(small)
    assert work(cluster, node, run, 1_000) <= placements_max


def test_runs_of_one_priority_take_turns():
    cluster = ModelCluster(A)
    node = cluster.join("n", 1)
    runs = [cluster.submit(wide_graph(20)) for _ in range(4)]
    work(cluster, node, runs[0], 41)
    shares = [sum(run == name for run, _ in steps_of(cluster)) for name in runs]
    assert max(shares) - min(shares) <= 1 + 1  # the first was alone for one turn


def test_more_urgent_runs_go_first():
    cluster = ModelCluster(A)
    node = cluster.join("n", 1)
    runs = {priority: cluster.submit(wide_graph(3), priority) for priority in reversed(Priority)}
    work(cluster, node, runs[Priority.LOW], 20)
    order = [run for run, _ in steps_of(cluster)][1:]  # the first placement had no competition
    expected = [runs[p] for p in (Priority.CRITICAL, Priority.HIGH, Priority.MEDIUM) for _ in range(3)]
    assert order == expected + 2 * [runs[Priority.LOW]]


def test_urgent_runs_go_first_whatever_capability_they_need():
    cluster = ModelCluster(A, B)
    node = cluster.join("n", 1)
    low = cluster.submit(wide_graph(5, FIRST), Priority.LOW)
    urgent = cluster.submit(wide_graph(5, SECOND), Priority.CRITICAL)
    work(cluster, node, urgent, 20)
    assert [run for run, _ in steps_of(cluster)][:6] == [low] + 5 * [urgent]


def test_an_urgent_step_nobody_can_take_holds_nobody_up():
    cluster = ModelCluster(A, B)
    node = cluster.join("n", 1, agents=[A])
    cluster.submit(wide_graph(5, SECOND), Priority.CRITICAL)
    run = cluster.submit(wide_graph(3, FIRST), Priority.LOW)
    assert work(cluster, node, run, 10) == 3


def test_capabilities_take_turns_on_a_node_they_share():
    cluster = ModelCluster(A, B)
    node = cluster.join("n", 1)
    cluster.submit(wide_graph(100, FIRST))
    run = cluster.submit(wide_graph(10, SECOND))
    assert work(cluster, node, run, 100) <= 23


# -- where --------------------------------------------------------------------------------------------


def test_steps_in_flight_never_exceed_a_nodes_slots():
    cluster = ModelCluster(A)
    nodes = [cluster.join("n0", 3), cluster.join("n1", 1)]
    cluster.submit(wide_graph(50))
    assert [len(node.running) for node in nodes] == [3, 1]
    assert cluster.leader.scheduler.waiting() == 46


def test_a_step_goes_to_a_node_that_hosts_its_agent():
    cluster = ModelCluster(A, B)
    first, second = cluster.join("n0", 4, agents=[A]), cluster.join("n1", 4, agents=[B])
    cluster.submit(wide_graph(2, FIRST))
    cluster.submit(wide_graph(3, SECOND))
    assert (len(first.running), len(second.running)) == (2, 3)


def test_layers_of_the_step_and_of_its_agent_are_both_required():
    strict = model_agent(FIRST, layers=["seccomp"])
    cluster = ModelCluster(strict)
    weak, strong = (
        cluster.join("n0", 4, layers=["seccomp"]),
        cluster.join("n1", 4, layers=["seccomp", "wasm"]),
    )
    bare = cluster.join("n2", 4)
    graph = wide_graph(1)
    cluster.submit(replace(graph, nodes=tuple(replace(n, layers=frozenset({"wasm"})) for n in graph.nodes)))
    assert [len(node.running) for node in (weak, strong, bare)] == [0, 1, 0]
    cluster.submit(wide_graph(6))
    assert len(bare.running) == 0


def test_steps_already_queued_obey_the_layers_of_an_agent_deployed_later():
    old = model_agent(FIRST)
    cluster = ModelCluster(old)
    bare = cluster.join("n0", 1)
    cluster.submit(wide_graph(2))
    cluster.deploy(replace(old, layers=frozenset({"seccomp"})))
    cluster.finish(bare, next(iter(bare.running)))
    assert bare.running == {}
    safe = cluster.join("n1", 1, layers=["seccomp"])
    assert len(safe.running) == 1


def test_a_step_prefers_the_node_that_made_its_input():
    cluster = ModelCluster(A)
    nodes = [cluster.join(f"n{i}", 4) for i in range(3)]
    cluster.submit(small_graph("a b", ("a", "b")))
    for node in nodes:
        for key in list(node.running):
            cluster.finish(node, key)
    cluster.commit()
    first, second = cluster.executions
    assert first.node == second.node


def test_scattering_outputs_say_how_many_items_they_need():
    cluster = ModelCluster(A)
    cluster.join("n", 1)
    graph = small_graph("a b c", ("a", "b"), ("a", "c"))
    edges = tuple(replace(edge, source=edge.source._replace(port=PARTS)) for edge in graph.edges)
    cluster.submit(
        replace(graph, edges=(*edges, replace(edges[0], source=edges[0].source._replace(port=OUT))))
    )
    assert cluster.executions[0].scatter == ((PARTS, 2),)


# -- nobody can take it -------------------------------------------------------------------------------


def submit_unhosted(cluster: ModelCluster, graph: Graph | None = None) -> RunId:
    return cluster.submit(graph or wide_graph(1, THIRD))


def reason(cluster: ModelCluster, run: RunId) -> str:
    cluster.commit()
    return cluster.leader.scheduler.ledger.runs[run].reason


def wait_in_vain(cluster: ModelCluster) -> None:
    cluster.advance(1)  # somebody has to look first
    cluster.advance(limits.UNHOSTED_MS_MAX + 1)


def test_a_step_whose_agent_was_removed_is_given_up_with_a_reason():
    cluster = ModelCluster(A)
    run = submit_unhosted(cluster)
    wait_in_vain(cluster)
    assert reason(cluster, run) == "step s0: no agent offers model:c"


def test_a_step_no_node_may_run_is_given_up_with_a_reason():
    cluster = ModelCluster(model_agent(THIRD, layers=["seccomp"]))
    cluster.join("n", 4)
    cluster.join("other", 4, layers=["wasm"])
    graph = wide_graph(1, THIRD)
    nodes = tuple(replace(node, layers=frozenset({"wasm", "landlock"})) for node in graph.nodes)
    run = submit_unhosted(cluster, replace(graph, nodes=nodes))
    plain = submit_unhosted(cluster)
    wait_in_vain(cluster)
    assert reason(cluster, run) == (
        "step s0: no attached node can run model:c with layers landlock, seccomp, wasm:"
        " none has attested landlock, seccomp"
    )
    assert reason(cluster, plain) == (
        "step s0: no attached node can run model:c with layers seccomp: none has attested seccomp"
    )


def test_a_cluster_without_nodes_gives_up_too():
    cluster = ModelCluster(A)
    run = cluster.submit(wide_graph(3))
    wait_in_vain(cluster)
    assert reason(cluster, run) == "step s0: no attached node can run model:a"
    assert cluster.leader.scheduler.waiting() == 0


def test_patience_ends_only_after_the_whole_wait():
    cluster = ModelCluster(A)
    run = cluster.submit(wide_graph(1))
    cluster.advance(0)
    cluster.advance(limits.UNHOSTED_MS_MAX)
    assert cluster.leader.scheduler.place(run, 0) == (Place.QUEUED, None)
    node = cluster.join("n", 1)
    work(cluster, node, run, 2)
    assert cluster.leader.scheduler.ledger.runs[run].status is Status.SUCCEEDED


def test_a_step_that_came_late_is_given_the_same_patience():
    cluster = ModelCluster(A)
    cluster.submit(wide_graph(1))
    cluster.advance(1)
    cluster.advance(limits.UNHOSTED_MS_MAX - 1_000)
    late = cluster.submit(wide_graph(2))
    cluster.advance(limits.UNHOSTED_MS_MAX - 1_000)
    assert cluster.leader.scheduler.waiting() == 2
    cluster.advance(2_001)
    assert cluster.leader.scheduler.waiting() == 0
    assert reason(cluster, late) == "step s0: no attached node can run model:a"


def test_a_host_that_was_there_meanwhile_starts_the_wait_anew():
    cluster = ModelCluster(A)
    cluster.submit(wide_graph(3))
    cluster.advance(1)
    cluster.advance(limits.UNHOSTED_MS_MAX - 10)
    node = cluster.join("n", 1)
    cluster.advance(1)
    cluster.lose(node)
    cluster.advance(1)
    cluster.advance(limits.UNHOSTED_MS_MAX - 10)
    assert cluster.leader.scheduler.waiting() == 3


def test_busy_nodes_are_waited_for_as_long_as_it_takes():
    cluster = ModelCluster(A)
    node = cluster.join("n", 1)
    long = wide_graph(2)
    nodes = tuple(replace(step, timeout_ms=limits.STEP_TIMEOUT_MS_MAX) for step in long.nodes)
    cluster.submit(replace(long, nodes=nodes))
    for _ in range(5):
        cluster.advance(limits.UNHOSTED_MS_MAX)
    assert cluster.leader.scheduler.waiting() == 1
    assert len(node.running) == 1


def needy(graph, **needs):
    nodes = tuple(replace(node, resources=Resources(**needs)) for node in graph.nodes)
    return replace(graph, nodes=nodes)


def test_steps_that_ask_for_memory_run_only_as_many_at_once_as_fit():
    cluster = ModelCluster(A)
    node = cluster.join("n", 8)
    run = cluster.submit(needy(wide_graph(6), memory_mb=2_000))
    at_once = [len(node.running)]
    while node.running:
        cluster.finish(node, next(iter(node.running)))
        cluster.commit()
        at_once.append(len(node.running))
    assert max(at_once) == 2  # of the 4,096 MB there are
    assert cluster.leader.scheduler.ledger.runs[run].status is Status.SUCCEEDED


def test_a_step_that_asks_for_more_than_any_node_has_is_given_up_with_a_reason():
    cluster = ModelCluster(A)
    cluster.join("n", 8)
    run = submit_unhosted(cluster, needy(wide_graph(1), memory_mb=100_000, cpu_cores=0.5))
    wait_in_vain(cluster)
    assert reason(cluster, run) == (
        "step s0: no attached node can run model:a with 100000 MB of memory and 0.5 processors"
    )
