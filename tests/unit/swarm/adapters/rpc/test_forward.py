"""What is passed on to a leader is not waited for once somebody else leads."""

import asyncio
from types import SimpleNamespace

import pytest

from swarm.adapters.rpc.forward import Forwarder
from swarm.adapters.system import SystemClock
from swarm.errors import OutcomeUnknown
from swarm.ports import Leadership


def cluster_of(leaders):
    """A forwarder on n1 whose replica hears of these leaders, one after the other, as calls are made."""
    asked = []

    def replica_leader():
        return Leadership(len(asked) + 1, leaders[min(len(asked), len(leaders) - 1)])

    replica = SimpleNamespace(leads=False, leadership=replica_leader)
    channels = SimpleNamespace(to=lambda node: asked.append(node) or FakeChannel())
    forwarder = Forwarder("n1", SimpleNamespace(replica=replica), ("n1", "n2", "n3"), channels, SystemClock())
    return forwarder, asked


class FakeChannel:
    """Stubs are made of it, and none of their calls is used."""

    def __getattr__(self, name):
        return lambda *_, **__: None


def answering(*answers):
    """Calls that answer, or stay silent for ever where the answer is None."""
    left = list(answers)

    async def call(_stub):
        answer = left.pop(0)
        if answer is None:
            await asyncio.get_running_loop().create_future()
        return answer

    return call


def test_a_write_that_may_be_repeated_goes_to_the_new_leader():
    async def scenario():
        forwarder, asked = cluster_of(["n2", "n3"])
        async with asyncio.timeout(5):
            assert await forwarder.decide(None, answering(None, "done"), twice=True) == "done"
        assert asked == ["n2", "n3"]

    asyncio.run(scenario())


def test_a_write_that_may_not_be_repeated_has_an_unknown_outcome():
    async def scenario():
        forwarder, asked = cluster_of(["n2", "n3"])
        async with asyncio.timeout(5):
            with pytest.raises(OutcomeUnknown, match="lost before it answered"):
                await forwarder.decide(None, answering(None), twice=False)
        assert asked == ["n2"]

    asyncio.run(scenario())


def test_an_answer_that_takes_its_time_is_waited_for():
    async def slowly(_stub):
        await asyncio.sleep(0.3)
        return "done"

    async def scenario():
        forwarder, asked = cluster_of(["n2"])
        assert await forwarder.decide(None, slowly, twice=False) == "done"
        assert asked == ["n2"]

    asyncio.run(scenario())
