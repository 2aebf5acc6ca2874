from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from swarm.graph import Payload
from swarm.ids import CapabilityName, Digest, RunId, StepKey
from swarm.node.results import ENTRY_BYTES, SHARE_MAX, ResultCache, name_of
from swarm.scheduler.ledger import payload_bytes
from swarm.wire.messages import Assignment

payloads = st.builds(Payload, st.sampled_from(["json", "bytes"]), st.binary(max_size=6))
items = st.dictionaries(st.text(max_size=3), payloads | st.lists(payloads, max_size=2).map(tuple), max_size=3)


def assignment(inputs, run="r", step=0, agent="a" * 64, capability="t:one", scatter=()):
    key = StepKey(RunId(run), step, 1, 1)
    return Assignment(key, Digest(agent), CapabilityName(capability), inputs, 1_000, scatter)


@given(items, items)
def test_two_steps_share_a_name_only_if_their_inputs_are_equal(one, two):
    same = name_of(assignment(one)) == name_of(assignment(two, run="other", step=9))
    assert same == (one == two)


def test_another_agent_capability_or_scattering_is_another_name():
    inputs = {"x": Payload("json", b"1")}
    names = {
        name_of(assignment(inputs)),
        name_of(assignment(inputs, agent="b" * 64)),
        name_of(assignment(inputs, capability="t:two")),
        name_of(assignment(inputs, scatter=(("parts", 2),))),
    }
    assert len(names) == 4


def test_what_was_kept_is_found_and_the_least_recently_used_goes_first():
    reply = {"y": Payload("bytes", bytes(1_000))}
    size = payload_bytes(reply.values()) + ENTRY_BYTES
    room = 20 * size

    async def scenario():
        cache = ResultCache(room)
        for i in range(20):
            await cache.keep({b"%d" % i: reply})
        assert set(await cache.find([b"0", b"x"])) == {b"0"}
        await cache.keep({b"new": reply})
        assert len(cache) == 20
        found = await cache.find([b"0", b"1", b"new"])
        assert set(found) == {b"0", b"new"}

    asyncio.run(scenario())


@given(st.lists(st.integers(0, 5_000), max_size=40))
def test_what_is_kept_never_outgrows_its_bound(sizes):
    async def scenario():
        cache = ResultCache(20_000)
        for i, size in enumerate(sizes):
            await cache.keep({b"%d" % i: {"y": Payload("bytes", bytes(size))}})
            assert cache._bytes <= 20_000
            assert cache._bytes == sum(one for _, one in cache._kept.values())
        assert all(one <= 20_000 * SHARE_MAX for _, one in cache._kept.values())

    asyncio.run(scenario())


class Shelf:
    """A store that remembers, and can be emptied."""

    def __init__(self):
        self.kept = {}

    async def find(self, names):
        return {name: self.kept[name] for name in names if name in self.kept}

    async def keep(self, results):
        self.kept.update(results)


def test_results_are_written_through_and_read_back_by_others():
    reply = {"y": Payload("json", b"1")}

    async def scenario():
        shelf = Shelf()
        one, two = ResultCache(10_000, shelf), ResultCache(10_000, shelf)
        await one.keep({b"n": reply})
        assert await two.find([b"n"]) == {b"n": reply}
        shelf.kept.clear()
        assert await two.find([b"n"]) == {b"n": reply}

    asyncio.run(scenario())
