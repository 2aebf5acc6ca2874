"""Who holds which payload, as the nodes say."""

from __future__ import annotations

from swarm import limits
from swarm.graph import Payload, Priority, Ref
from swarm.ids import Digest, NodeId, RunId
from swarm.scheduler.events import BlobsHeld, RunSubmitted
from swarm.scheduler.holders import LAST_MAX, Holders
from swarm.scheduler.needs import SUBMITTED, Needs
from swarm.scheduler.run import Run
from swarm.testing.graphs import wide_graph

X, Y = Digest("ab" * 32), Digest("cd" * 32)
N1, N2 = NodeId("n1"), NodeId("n2")


def holders(*nodes: NodeId) -> Holders:
    needs = Needs()
    payload: Payload = Ref("bytes", X, 100_000).payload()
    run = Run(RunSubmitted(1, RunId("r"), wide_graph(1), {"x": payload}, Priority.MEDIUM, "ann", ""))
    needs.add(run, SUBMITTED, [payload])
    found = Holders(needs)
    for node in nodes:
        found.join(node)
    return found


def said(node: NodeId, kept=(), passing=(), gone=()) -> BlobsHeld:
    return BlobsHeld(1, node, tuple(kept), tuple(passing), tuple(gone))


def test_what_nodes_say_is_remembered_until_they_say_otherwise_or_go():
    known = holders(N1, N2)
    known.hear(said(N1, kept=(X, Y)))
    known.hear(said(N2, passing=(X,)))
    assert (known.who(X), known.safe(X), known.there(Y)) == ([N1, N2], [N1], True)
    known.hear(said(N2, kept=(X,)))
    assert known.safe(X) == [N1, N2]
    known.hear(said(N2, gone=(X,)))
    assert known.who(X) == [N1]
    assert set(known.leave(N1)) == {X, Y}
    assert not known.there(X)
    assert known.last(X) == [N1, N2]


def test_a_node_that_is_not_there_says_nothing():
    known = holders(N1)
    known.hear(said(N2, kept=(X,)))
    assert known.who(X) == []
    assert known.leave(N2) == {}


def test_a_node_that_drains_holds_what_it_holds_and_is_no_safe_place():
    known = holders(N1, N2)
    known.hear(said(N1, kept=(X,)))
    known.draining.add(N1)
    assert (known.who(X), known.safe(X)) == ([N1], [])
    known.leave(N1)
    assert known.draining == set()


def test_a_node_that_claims_more_than_a_store_can_hold_is_believed_so_far(monkeypatch):
    monkeypatch.setattr(limits, "HELD_BLOBS_MAX", 3)
    known = holders(N1)
    for number in range(5):
        known.hear(said(N1, kept=(Digest(f"{number:064}"),)))
    assert len(known.of(N1)) == 3


def test_former_holders_are_remembered_of_what_is_needed_up_to_a_number_until_it_is_well():
    nodes = [NodeId(f"n{number}") for number in range(LAST_MAX + 3)]
    known = holders(*nodes)
    for node in nodes:
        known.hear(said(node, kept=(X, Y)))
        known.leave(node)
        known.tidy(X)
        known.tidy(Y)
    assert known.last(X) == sorted(nodes[-LAST_MAX:])
    assert known.last(Y) == []
    known.forget(X)
    assert known.last(X) == []
