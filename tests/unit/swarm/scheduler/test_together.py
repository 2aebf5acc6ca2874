from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm.graph import Resources
from swarm.ids import Digest, NodeId, RunId, StepKey
from swarm.scheduler.placement import NodeView, score
from swarm.scheduler.together import ASSIGNERS, Options, Wish, choose_together, contested
from swarm.testing.graphs import CAPABILITIES, chain_graph, model_agent, small_graph, wide_graph
from swarm.testing.scheduling import ModelCluster

A, B = model_agent(CAPABILITIES[0]), model_agent(CAPABILITIES[1])
EXACT = ASSIGNERS["hungarian"]
assert EXACT is not None


def view(name: str, slots: int = 1, busy: int = 0) -> NodeView:
    keys = {StepKey(RunId("r"), i, 1, 1): Resources() for i in range(busy)}
    return NodeView(NodeId(name), slots, frozenset({Digest("a" * 64)}), frozenset(), busy=keys)


def worth(wishes, chosen) -> float:
    taken: dict[NodeId, int] = {}
    total = 0.0
    for wish, one in zip(wishes, chosen, strict=True):
        if one is not None:
            total += score(one, wish.near.get(one.node, 0.0), taken.get(one.node, 0))
            taken[one.node] = taken.get(one.node, 0) + 1
    return total


def test_steps_that_may_go_anywhere_and_want_nothing_do_not_contest():
    views = [view("a"), view("b")]
    assert not contested([Wish(views, {}), Wish(views, {})])
    assert not contested([Wish(views, {NodeId("a"): 1.0})])


def test_steps_contest_where_more_want_a_node_than_fit_there():
    views = [view("a", slots=2), view("b")]
    near = {NodeId("a"): 1.0}
    assert not contested([Wish(views, near), Wish(views, near)])
    assert contested([Wish(views, near)] * 3)


def test_steps_contest_where_they_may_not_go_to_the_same_nodes():
    both = [view("a"), view("b")]
    assert contested([Wish(both, {}), Wish(both[:1], {})])


def test_a_step_that_may_go_elsewhere_leaves_the_slot_to_the_one_that_may_not():
    a, b = view("a"), view("b")
    chosen = choose_together([Wish([a, b], {NodeId("a"): 1.0}), Wish([a], {})], EXACT)
    assert [one.node for one in chosen if one] == ["b", "a"]


def test_where_not_all_fit_the_last_ones_wait():
    a = view("a")
    assert choose_together([Wish([a], {}), Wish([a], {}), Wish([a], {})], EXACT) == [a, None, None]


nodes = st.lists(st.tuples(st.integers(1, 3), st.integers(0, 2)), min_size=1, max_size=3)
near = st.dictionaries(st.sampled_from(["n0", "n1", "n2"]).map(NodeId), st.floats(0.1, 1.0), max_size=2)


@settings(max_examples=60, deadline=None)
@given(nodes, st.lists(near, min_size=1, max_size=4), st.sampled_from(["hungarian", "auction"]))
def test_no_other_choice_for_the_same_steps_is_worth_more(slots, wanted, name):
    views = [view(f"n{i}", total, min(busy, total)) for i, (total, busy) in enumerate(slots)]
    wishes = [Wish(views, each) for each in wanted]
    chosen = choose_together(wishes, ASSIGNERS[name])
    places = [one for one in views for _ in range(one.free)]
    placed = min(len(places), len(wishes))
    assert sum(one is not None for one in chosen) == placed
    pool = [*places, *[None] * len(wishes)]
    others = set(permutations(range(len(pool)), len(wishes))) if len(pool) < 7 else set()
    for other in others:
        rival = [pool[at] for at in other]
        if [one is None for one in rival] == [one is None for one in chosen]:
            assert worth(wishes, chosen) >= worth(wishes, rival) - 0.01


@pytest.mark.parametrize("assigner", sorted(ASSIGNERS))
def test_whatever_assigns_every_run_ends(assigner):
    cluster = ModelCluster(A, B, options=Options(assigner=assigner))
    one, two = cluster.join("one", 1, agents=[A]), cluster.join("two", 2)
    graph = small_graph("a b c d e f", ("a", "d"), ("b", "e"), ("c", "f"), ("a", "f"))
    runs = [
        cluster.submit(graph),
        cluster.submit(wide_graph(5, CAPABILITIES[1])),
        cluster.submit(chain_graph(4)),
    ]
    for _ in range(100):
        for node in (one, two):
            for key in list(node.running):
                cluster.finish(node, key)
        cluster.commit()
    assert all(cluster.leader.scheduler.ledger.runs[run].settled for run in runs)


def test_the_one_step_that_can_only_go_there_gets_the_slot():
    """By turns the first step would take the slot on the only node that has what the second one needs."""
    cluster = ModelCluster(A, B)
    both, only_a = cluster.join("both", 1), cluster.join("only-a", 1, agents=[A])
    first = cluster.submit(wide_graph(2, CAPABILITIES[0]))
    free = cluster.submit(wide_graph(1, CAPABILITIES[0]))
    bound = cluster.submit(wide_graph(1, CAPABILITIES[1]))
    keys = {key: node for node, key in cluster.running()}
    assert {key.run for key in keys} == {first}
    # Both slots come free in one moment: their results arrive while the leader still waits for claims.
    cluster.elect(cluster.leader)
    cluster.attach(both)
    cluster.attach(only_a)
    for key, node in keys.items():
        cluster.finish(node, key)
    cluster.commit()
    cluster.advance(1_000)
    assert {(key.run, node.name) for node, key in cluster.running()} == {(bound, "both"), (free, "only-a")}


def test_a_step_whose_name_stands_in_its_queue_twice_is_placed_once():
    cluster = ModelCluster(A)
    run = cluster.submit(small_graph("a"))
    desk = cluster.leader.scheduler._leader.desk
    ((_, queue),) = desk.queues.items()
    queue.push(cluster.leader.scheduler.ledger.runs[run].submitted.priority, run, 0)
    cluster.join("n0", 4)
    assert [key.step for _, key in cluster.running()] == [0]
    assert [len(view.busy) for view in cluster.leader.scheduler.nodes()] == [1]
