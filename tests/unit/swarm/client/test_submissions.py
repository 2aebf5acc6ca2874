"""Submissions made at once share messages; each has an answer of its own."""

import asyncio

import pytest

from swarm import limits
from swarm.client import Swarm
from swarm.client import submissions as module
from swarm.errors import GraphRefused
from swarm.graph import Graph, Node, Payload
from swarm.wire.gen import client_pb2 as pb
from tests.unit.swarm.client.fake import LOST


def graph(name, size_bytes=1):
    return Graph(name, (Node("a", "test:next", (("value", Payload("bytes", b"x" * size_bytes)),)),))


def accepted(request):
    return pb.SubmitReply(run=f"run-{request.key}", leader="n1")


def with_cluster(world, scripts, scenario):
    async def body():
        async with world.serving(**scripts) as (profile, fakes), Swarm.connect(profile) as swarm:
            await scenario(swarm, fakes)

    asyncio.run(asyncio.wait_for(body(), 60))


def test_what_is_submitted_at_once_travels_together_and_is_told_apart(world):
    async def scenario(swarm, fakes):
        names = [str(number) for number in range(100)]
        runs = await asyncio.gather(*(swarm.submit(graph(name), key=name) for name in names))
        assert [run.id for run in runs] == [f"run-{name}" for name in names]
        assert sum(fakes["n1"].submitted_together) == 100
        assert len(fakes["n1"].submitted_together) < 20

    with_cluster(world, {"n1": {"Submit": [accepted]}}, scenario)


def test_one_that_is_refused_is_refused_alone(world):
    def judge(request):
        return GraphRefused("no") if request.key == "bad" else accepted(request)

    async def scenario(swarm, _fakes):
        good, bad = await asyncio.gather(
            swarm.submit(graph("a"), key="good"), swarm.submit(graph("b"), key="bad"), return_exceptions=True
        )
        assert good.id == "run-good"
        assert isinstance(bad, GraphRefused)

    with_cluster(world, {"n1": {"Submit": [judge]}}, scenario)


def test_when_their_node_is_lost_all_of_them_go_to_the_next_one(world):
    async def scenario(swarm, fakes):
        runs = await asyncio.gather(*(swarm.submit(graph("a"), key=str(number)) for number in range(10)))
        assert len(runs) == 10
        keys = {request.key for request in fakes["n2"].calls("Submit")}
        assert keys == {str(number) for number in range(10)}
        assert not fakes["n3"].asked  # the ten did not each turn to another node

    answers = {"Submit": [lambda request: pb.SubmitReply(run=f"run-{request.key}", leader="n2")]}
    with_cluster(world, {"n1": {"Submit": [LOST]}, "n2": answers, "n3": answers}, scenario)


def test_a_node_that_does_not_answer_is_given_up(world, monkeypatch):
    monkeypatch.setattr(module, "ATTEMPT_S", 0.2)

    def silent(_request):
        return asyncio.sleep(60)

    async def scenario(swarm, fakes):
        run = await swarm.submit(graph("a"), key="k")
        assert run.id == "run-k"
        assert len(fakes["n2"].calls("Submit")) == 1

    with_cluster(world, {"n1": {"Submit": [silent]}, "n2": {"Submit": [accepted]}}, scenario)


def test_a_large_one_goes_in_a_call_of_its_own(world):
    async def scenario(swarm, fakes):
        await swarm.submit(graph("large", limits.SUBMISSIONS_BATCH_BYTES_MAX), key="k")
        assert len(fakes["n1"].calls("Submit")) == 1
        assert fakes["n1"].submitted_together == []

    with_cluster(world, {"n1": {"Submit": [accepted]}}, scenario)


def test_whoever_waits_when_the_door_is_closed_is_told(world):
    async def scenario(swarm, _fakes):
        waiting = asyncio.create_task(swarm.submit(graph("a"), key="k"))
        await asyncio.sleep(0.1)
        await swarm.close()
        with pytest.raises(Exception, match="closed"):
            await asyncio.wait_for(waiting, 20)

    with_cluster(world, {"n1": {"Submit": [lambda _request: asyncio.sleep(60)]}}, scenario)
