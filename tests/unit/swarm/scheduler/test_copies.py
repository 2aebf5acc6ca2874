"""Second copies of large payloads: when another one is made, from where, to whom, and how many at once."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import pytest

from swarm import limits
from swarm.errors import StoreFull
from swarm.graph import Clearance, Context, Endpoint, Feed, NodeName, Payload, PortName, Priority, Ref
from swarm.ids import Digest, NodeId, RunId
from swarm.scheduler.actions import Copy
from swarm.scheduler.copies import LOOKS_MAX, Standing
from swarm.scheduler.events import (
    AgentDeployed,
    BlobsHeld,
    CopyEnded,
    Elected,
    NodeChanged,
    NodeJoined,
    NodeLost,
    PolicyApplied,
    RunSubmitted,
    StepRecord,
    StepsRecorded,
    Tick,
)
from swarm.scheduler.machine import Scheduler
from swarm.testing.graphs import ALL, CAPABILITIES, OUT, model_agent, small_graph, wide_graph

A = model_agent(CAPABILITIES[0])
NODES = [NodeId(f"n{number}") for number in range(1, 5)]


def name_of(text: str) -> Digest:
    return Digest(sha256(text.encode()).hexdigest())


def ref_to(text: str, *nodes: str) -> Payload:
    return Ref("bytes", name_of(text), 100_000, nodes=tuple(map(NodeId, nodes))).payload()


class Desk:
    """A scheduler that leads, and a clock: `tick` says which copies it asks for."""

    def __init__(self, nodes: int = 4) -> None:
        self.scheduler = Scheduler()
        self.now_ms = 1_000
        self.term = 0
        self.scheduler.apply(AgentDeployed(1, A, "ann"))
        self.elect()
        for node in NODES[:nodes]:
            self.join(node)

    def elect(self) -> None:
        self.term += 1
        self.scheduler.apply(Elected(self.now_ms, self.term))

    def join(self, node: str, *kept: str, clearance: Clearance | None = None) -> None:
        joined = NodeJoined(self.now_ms, NodeId(node), 1, frozenset(), frozenset(), ())
        self.scheduler.apply(replace(joined, clearance=clearance) if clearance else joined)
        self.says(node, *kept)

    def says(self, node: str, *kept: str, passing: tuple[str, ...] = (), gone: tuple[str, ...] = ()) -> None:
        held = [tuple(map(name_of, part)) for part in (kept, passing, gone)]
        self.scheduler.apply(BlobsHeld(self.now_ms, NodeId(node), *held))

    def lose(self, node: str) -> None:
        self.scheduler.apply(NodeLost(self.now_ms, NodeId(node)))

    def record(self, *texts: str, graph=None, run: str = "run-1") -> None:
        """A run with a step for each of these payloads, which gave it."""
        name = RunId(run)
        graph = graph or wide_graph(len(texts))
        self.scheduler.apply(RunSubmitted(1, name, graph, {}, Priority.MEDIUM, "ann", run))
        records = tuple(
            StepRecord(name, step, 1, 1, NODES[0], True, {OUT: ref_to(text)}, None, 1, 1.0)
            for step, text in enumerate(texts)
        )
        self.scheduler.apply(StepsRecorded(1, records))

    def tick(self, after_ms: int = limits.RECOPY_WAIT_MS) -> list[Copy]:
        self.now_ms += after_ms
        found = []
        for _ in range(3):  # what a pile holds is looked at when it has been put into the queue
            found += [one for one in self.scheduler.apply(Tick(self.now_ms)) if isinstance(one, Copy)]
        return found

    def copied(self, copy: Copy, error: StoreFull | None = None) -> None:
        if error is None:
            self.scheduler.apply(BlobsHeld(self.now_ms, copy.target, (copy.digest,), (), ()))
        self.scheduler.apply(CopyEnded(self.now_ms, copy.node, copy.digest, copy.target, error))

    @property
    def standing(self) -> Standing:
        return self.scheduler.copies()


def two_copies() -> Desk:
    desk = Desk()
    desk.says("n1", "x")
    desk.says("n2", "x")
    desk.record("x")
    assert desk.tick() == []
    return desk


def test_what_lies_on_two_nodes_is_left_alone():
    desk = two_copies()
    assert desk.tick(10 * limits.RECOPY_WAIT_MS) == []
    assert desk.standing == Standing(0, 0, 0)


def test_a_copy_that_was_lost_with_its_node_is_made_from_the_other_one_on_a_third():
    desk = two_copies()
    desk.lose("n1")
    assert desk.tick(limits.RECOPY_WAIT_MS - 1) == []
    (copy,) = desk.tick(1)
    assert (copy.node, copy.digest) == ("n2", name_of("x"))
    assert copy.target in ("n3", "n4")
    assert desk.standing == Standing(0, 1, 0)
    desk.copied(copy)
    assert desk.tick() == []
    assert desk.standing == Standing(0, 0, 0)


def test_a_node_that_comes_back_in_time_costs_no_copy():
    desk = two_copies()
    desk.lose("n1")
    desk.tick(limits.RECOPY_WAIT_MS - 1)
    desk.join("n1", "x")
    assert desk.tick(10 * limits.RECOPY_WAIT_MS) == []


def test_a_node_that_comes_back_with_an_empty_disk_costs_one():
    desk = two_copies()
    desk.join("n1")
    (copy,) = desk.tick()
    assert copy.node == "n2"


def test_a_copy_that_is_said_to_be_gone_is_made_again():
    desk = two_copies()
    desk.says("n2", gone=("x",))
    (copy,) = desk.tick()
    assert (copy.node, copy.target) == ("n1", copy.target)


def test_what_no_run_speaks_of_is_nobodys_business():
    desk = Desk()
    desk.says("n1", "x")
    desk.lose("n1")
    desk.says("n2", "x")
    assert desk.tick(10 * limits.RECOPY_WAIT_MS) == []


def test_what_has_one_copy_when_it_is_spoken_of_gets_another_one():
    desk = Desk()
    desk.says("n3", "x")
    desk.record("x")
    (copy,) = desk.tick()
    assert copy.node == "n3"


def test_what_was_submitted_counts_like_what_was_made():
    desk = Desk()
    desk.says("n3", "x")
    run = RunSubmitted(1, RunId("run-1"), wide_graph(1), {"x": ref_to("x")}, Priority.MEDIUM, "ann", "")
    desk.scheduler.apply(run)
    (copy,) = desk.tick()
    assert copy.node == "n3"


def test_a_new_leader_learns_from_the_nodes_who_holds_what():
    desk = two_copies()
    desk.elect()
    desk.join("n2", "x")
    desk.join("n3")
    assert desk.tick(limits.RECOPY_WAIT_MS - 1) == []
    (copy,) = desk.tick(1)
    assert (copy.node, copy.target) == ("n2", "n3")
    desk.elect()
    for node in ("n1", "n2"):
        desk.join(node, "x")
    assert desk.tick() == []


def test_a_node_that_drains_gives_and_does_not_count():
    desk = two_copies()
    for node in ("n1", "n3"):
        desk.scheduler.apply(NodeChanged(desk.now_ms, NodeId(node), draining=True))
    (copy,) = desk.tick()
    assert (copy.node, copy.target) == ("n2", "n4")
    desk.lose("n2")
    desk.copied(copy, StoreFull("no room"))
    (copy,) = desk.tick(limits.RECOPY_REST_MS)
    assert (copy.node, copy.target) == ("n1", "n4")
    desk.copied(copy)
    assert desk.tick() == []
    assert desk.standing.short == 1
    desk.scheduler.apply(NodeChanged(desk.now_ms, NodeId("n1"), draining=False))
    assert desk.tick() == []
    assert desk.standing.short == 0


def test_what_a_node_holds_in_passing_is_a_source_and_no_copy_and_is_kept_where_it_is():
    desk = Desk()
    desk.says("n1", "x")
    desk.says("n2", passing=("x",))
    desk.record("x")
    (copy,) = desk.tick()
    assert (copy.node, copy.target) == ("n1", "n2")
    desk.copied(copy, StoreFull("no room"))
    desk.lose("n1")
    (copy,) = desk.tick()
    assert copy.node == "n2"
    assert copy.target in ("n3", "n4")


def test_who_could_not_take_it_rests_longer_and_longer_while_others_are_tried():
    desk = two_copies()
    desk.lose("n1")
    targets = []
    for _ in range(2):
        (copy,) = desk.tick()
        targets.append(copy.target)
        desk.copied(copy, StoreFull("no room"))
    assert sorted(targets) == ["n3", "n4"]
    assert desk.standing.short == 1
    desk.lose("n4")
    rests = []
    for _ in range(3):
        began_ms = desk.now_ms
        while not (copies := desk.tick(500)):
            assert desk.now_ms < began_ms + 600_000
        rests.append(desk.now_ms - began_ms)
        desk.copied(copies[0], StoreFull("no room"))
    assert rests == sorted(rests)
    assert rests[2] >= 2 * rests[1] >= 2 * limits.RECOPY_REST_MS


def test_a_node_that_is_given_a_copy_and_never_says_so_has_none():
    desk = two_copies()
    desk.lose("n1")
    desk.lose("n4")
    (copy,) = desk.tick()
    rests = []
    for _ in range(3):
        began_ms = desk.now_ms
        desk.scheduler.apply(CopyEnded(desk.now_ms, copy.node, copy.digest, copy.target, None))
        while not (copies := desk.tick(500)):
            assert desk.now_ms < began_ms + 600_000
        (copy,) = copies
        rests.append(desk.now_ms - began_ms)
    assert rests[0] < rests[1] < rests[2]


def test_where_nobody_can_take_a_copy_it_is_made_when_somebody_comes():
    desk = Desk(nodes=1)
    desk.says("n1", "x")
    desk.record("x")
    assert desk.tick(10 * limits.RECOPY_WAIT_MS) == []
    assert desk.standing == Standing(1, 0, 0)
    desk.join("n2")
    (copy,) = desk.tick()
    assert (copy.node, copy.target) == ("n1", "n2")


def test_what_nobody_has_is_lost_until_somebody_says_otherwise():
    desk = two_copies()
    desk.lose("n1")
    desk.lose("n2")
    assert desk.tick() == []
    assert desk.standing == Standing(0, 0, 1)
    desk.join("n2", "x")
    assert desk.standing.lost == 0
    (copy,) = desk.tick()
    assert copy.node == "n2"


def test_so_many_copies_are_under_way_at_once_and_no_more():
    many = [f"x{number}" for number in range(3 * limits.RECOPIES_IN_FLIGHT_MAX)]
    desk = Desk()
    desk.says("n1", *many)
    desk.record(*many)
    copies = desk.tick()
    assert len(copies) == limits.RECOPIES_IN_FLIGHT_MAX
    assert desk.tick(60_000) == []
    for copy in copies[:5]:
        desk.copied(copy)
    assert len(desk.tick(20)) == 5


def test_a_source_that_is_lost_in_the_middle_is_followed_by_another():
    desk = Desk()
    desk.says("n1", "x")
    desk.says("n2", passing=("x",))
    desk.scheduler.apply(NodeChanged(desk.now_ms, NodeId("n2"), draining=True))
    desk.record("x")
    (copy,) = desk.tick()
    assert copy.node == "n1"
    desk.lose("n1")
    (copy,) = desk.tick(20)
    assert copy.node == "n2"


def test_however_much_a_lost_node_held_a_tick_looks_at_so_much_and_no_more(monkeypatch):
    monkeypatch.setattr(limits, "RECOPIES_IN_FLIGHT_MAX", 10**6)
    many = [f"x{number}" for number in range(3 * LOOKS_MAX)]
    desk = Desk()
    for node in ("n1", "n2"):
        desk.says(node, *many)
    desk.record(*many)
    for _ in range(10):
        desk.tick()
    desk.lose("n1")
    found = []
    while len(found) < len(many):
        desk.now_ms += limits.RECOPY_WAIT_MS
        asked = [one for one in desk.scheduler.apply(Tick(desk.now_ms)) if isinstance(one, Copy)]
        assert len(asked) <= LOOKS_MAX
        found += asked
        assert desk.now_ms < 10**6
    assert {copy.digest for copy in found} == set(map(name_of, many))


@pytest.mark.parametrize("by", ["clearance", "policy"])
def test_a_copy_goes_to_nobody_who_is_not_cleared_for_its_context(by):
    secret = Context(level=3)
    desk = Desk(nodes=0)
    graph = wide_graph(1)
    graph = replace(graph, nodes=(replace(graph.nodes[0], context=secret),))
    narrow = Clearance(level=2) if by == "clearance" else None
    desk.join("n1", "x")
    desk.join("n2", clearance=narrow)
    if by == "policy":
        desk.scheduler.apply(PolicyApplied(1, '{"policy": 1, "nodes": {"n2": {"level": 2}}}', "ann"))
    desk.record("x", graph=graph)
    assert desk.tick() == []
    assert desk.standing.short == 1
    desk.join("n3", clearance=Clearance(level=3) if narrow else None)
    (copy,) = desk.tick()
    assert (copy.node, copy.target) == ("n1", "n3")


def test_what_is_submitted_goes_to_who_is_cleared_for_every_step_that_is_given_something():
    desk = Desk(nodes=0)
    desk.join("n1", "x")
    desk.join("n2", clearance=Clearance(level=2))
    graph = fed_graph(Context(level=3))
    run = RunSubmitted(1, RunId("run-1"), graph, {"x": ref_to("x")}, Priority.MEDIUM, "ann", "")
    desk.scheduler.apply(run)
    assert desk.tick() == []
    desk.join("n3", clearance=Clearance(level=3))
    (copy,) = desk.tick()
    assert copy.target == "n3"


def fed_graph(context: Context):
    graph = small_graph("a")
    feeds = (Feed("x", Endpoint(NodeName("a"), PortName(ALL))),)
    return replace(graph, nodes=(replace(graph.nodes[0], context=context),), feeds=feeds)
