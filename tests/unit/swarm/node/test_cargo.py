"""What does not travel with steps is brought before they run and copied before their result is told."""

from __future__ import annotations

import asyncio
from hashlib import sha256

from swarm.errors import DataLost
from swarm.graph import PLAIN, Context, Payload, Ref, refs
from swarm.ids import CapabilityName, Digest, RunId, StepKey
from swarm.node.cargo import Cargo
from swarm.tasks import Tasks
from swarm.testing.clock import run_virtually
from swarm.wire.messages import Assignment, Outcome
from tests.unit.swarm.node.test_data import BYTES, NODES, World

SMALL = {"x": Payload("json", b"1")}
REF = Ref("bytes", Digest(sha256(BYTES).hexdigest()), len(BYTES))


def attempt(step, inputs, context=PLAIN):
    key = StepKey(RunId("run-1"), step, 1, 1)
    return Assignment(key, Digest("a"), CapabilityName("a:b"), inputs, 1_000, (), context)


def done(item, outputs):
    return Outcome(item.key, True, outputs, None, False, 0, 1.0)


class Node:
    """A node's cargo: what it was told to run, and what it told."""

    def __init__(self):
        self.world = World()
        self.ran, self.told = [], []
        self.cargo = Cargo(
            self.world.data[NODES[0]], self.world.links.clock, Tasks(), self.ran.extend, self.told.extend
        )


def test_what_needs_nothing_runs_and_is_told_at_once_and_the_rest_when_it_is_there():
    async def main():
        node = Node()
        await node.world.put("n2")
        here, there = attempt(1, SMALL), attempt(2, {"x": REF.payload()})
        node.cargo.bring([here, there])
        assert node.ran == [here]
        assert node.cargo.pending() == (there.key,)
        await asyncio.sleep(1)
        assert node.ran == [here, there]
        assert node.cargo.pending() == ()
        node.cargo.ship([done(here, SMALL), done(there, {"y": REF.payload(), "z": (REF.payload(),)})])
        assert [outcome.key for outcome in node.told] == [here.key]
        assert node.cargo.held() == {REF.digest}
        await asyncio.sleep(1)
        assert node.cargo.pending() == ()
        found = list(refs(node.told[1].outputs.values()))
        assert len(found) == 2
        assert all(len(ref.nodes) == 2 and ref.nodes[0] == "n1" for ref in found)

    run_virtually(main())


def test_what_cannot_be_brought_fails_its_attempt_which_may_be_tried_elsewhere():
    async def main():
        node = Node()
        item = attempt(1, {"x": REF.payload()})
        node.cargo.bring([item])
        await asyncio.sleep(60)
        (outcome,) = node.told
        assert isinstance(outcome.error, DataLost)
        assert outcome.retryable
        assert not node.cargo.pending()

    run_virtually(main())


def test_an_attempt_that_is_withdrawn_while_it_waits_never_runs():
    async def main():
        node = Node()
        await node.world.put("n2")
        item = attempt(1, {"x": REF.payload()}, Context(level=1))
        node.cargo.bring([item])
        await asyncio.sleep(0.02)
        node.cargo.withdraw(item.key)
        await asyncio.sleep(1)
        assert (node.ran, node.told, node.cargo.pending()) == ([], [], ())
        assert not node.cargo._contexts

    run_virtually(main())


def test_a_context_is_remembered_for_as_long_as_its_attempt_is_under_way():
    async def main():
        node = Node()
        items = [attempt(step, SMALL, Context(level=1)) for step in range(3)]
        node.cargo.bring(items)
        assert len(node.cargo._contexts) == 3
        node.cargo.ship([done(item, SMALL) for item in items])
        assert not node.cargo._contexts
        assert len(node.told) == 3

    run_virtually(main())
