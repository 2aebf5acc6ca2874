"""Trying the next node: which failures are tried again elsewhere, which are answers, and when it ends."""

import asyncio

import pytest

from swarm.client import Swarm
from swarm.errors import (
    GraphRefused,
    NotFound,
    NotLeader,
    NotTrusted,
    OutcomeUnknown,
    Problem,
    QueueFull,
    Unreachable,
)
from swarm.graph import Graph, Node
from swarm.wire.gen import client_pb2 as pb
from tests.unit.swarm.client.fake import LOST, World, news, summary

GRAPH = Graph("g", (Node("a", "a:b"),))
STATUS = pb.StatusReply(cluster="demo", node="n2", leader="n2", term=3)


def asked(scenario):
    """Run a scenario: an async function."""
    return asyncio.run(asyncio.wait_for(scenario(), 30))


def test_a_node_that_is_not_there_is_passed_over(world):
    async def scenario():
        async with (
            world.serving(n1=None, n2={"Status": [STATUS]}) as (profile, fakes),
            Swarm.connect(profile) as swarm,
        ):
            assert (await swarm.status()).term == 3
            await swarm.status()
            assert len(fakes["n2"].asked) == 2

    asked(scenario)


def test_a_follower_that_names_the_leader_is_believed(world):
    async def scenario():
        refusing = {"Status": [NotLeader("n3")]}
        async with (
            world.serving(n1=refusing, n2=refusing, n3={"Status": [STATUS]}) as (profile, fakes),
            Swarm.connect(profile) as swarm,
        ):
            await swarm.status()
            assert [len(fakes[node].asked) for node in ("n1", "n2", "n3")] == [1, 0, 1]

    asked(scenario)


def test_without_a_leader_everybody_is_asked_until_there_is_one(world):
    async def scenario():
        electing = {"Status": [NotLeader(None), NotLeader(None), STATUS]}
        async with (
            world.serving(n1=electing, n2=electing) as (profile, fakes),
            Swarm.connect(profile) as swarm,
        ):
            assert (await swarm.status()).leader == "n2"
            assert len(fakes["n1"].asked) + len(fakes["n2"].asked) == 5

    asked(scenario)


def test_a_refusal_is_an_answer_and_comes_with_every_problem(world):
    async def scenario():
        refusal = GraphRefused("no", place="graph", problems=[Problem("x", "node a", "wrong", "right it")])
        async with (
            world.serving(n1={"Submit": [refusal]}, n2={}) as (profile, fakes),
            Swarm.connect(profile) as swarm,
        ):
            with pytest.raises(GraphRefused) as caught:
                await swarm.submit(GRAPH)
            assert caught.value.problems == refusal.problems
            assert not fakes["n2"].asked

    asked(scenario)


@pytest.mark.parametrize("failure", [LOST, OutcomeUnknown("who knows"), NotLeader("n2")])
def test_a_submission_is_repeated_with_the_same_key(world, failure):
    async def scenario():
        async with (
            world.serving(n1={"Submit": [failure]}, n2={"Submit": [pb.SubmitReply(run="run-1")]}) as (
                profile,
                fakes,
            ),
            Swarm.connect(profile) as swarm,
        ):
            assert (await swarm.submit(GRAPH)).id == "run-1"
            first, second = fakes["n1"].calls("Submit")[0], fakes["n2"].calls("Submit")[0]
            assert first.key
            assert first == second

    asked(scenario)


def test_a_submission_whose_outcome_stays_unknown_says_how_to_repeat_it(world):
    async def scenario():
        async with (
            world.serving(n1={"Submit": [OutcomeUnknown("who knows")]}) as (profile, _),
            Swarm.connect(profile, patience_s=0.2) as swarm,
        ):
            with pytest.raises(OutcomeUnknown) as caught:
                await swarm.submit(GRAPH, key="tuesday")
            assert "key='tuesday'" in caught.value.remedy

    asked(scenario)


def test_a_cluster_that_is_full_is_waited_for_and_a_quota_is_not(world):
    async def scenario():
        full = QueueFull("50000 steps are under way", place="cluster")
        quota = QueueFull("5 runs are active", place="tenant acme")
        async with (
            world.serving(n1={"Status": [full, full, STATUS, quota]}) as (profile, fakes),
            Swarm.connect(profile, patience_s=0.0) as swarm,
        ):
            assert (await swarm.status()).term == 3
            with pytest.raises(QueueFull, match="5 runs"):
                await swarm.status()
            assert len(fakes["n1"].asked) == 4

    asked(scenario)


def test_patience_ends_and_names_every_node_that_was_tried(world):
    async def scenario():
        async with (
            world.serving(n1=None, n2=None) as (profile, _),
            Swarm.connect(profile, patience_s=0.2) as swarm,
        ):
            with pytest.raises(Unreachable) as caught:
                await swarm.status()
            for node, address in profile.endpoints.items():
                assert f"{node} at {address}" in caught.value.message
            assert caught.value.remedy

    asked(scenario)


def test_a_run_just_submitted_may_be_unknown_to_a_replica_for_a_moment(world):
    async def scenario():
        late = {
            "Submit": [pb.SubmitReply(run="run-1")],
            "ShowRun": [NotFound("no"), pb.ShowRunReply(run=summary())],
        }
        async with world.serving(n1=late) as (profile, _), Swarm.connect(profile) as swarm:
            run = await swarm.submit(GRAPH)
            assert (await run.show()).run.id == "run-1"

    asked(scenario)


def test_a_run_nobody_submitted_here_is_not_found_at_once(world):
    async def scenario():
        script = {"ShowRun": [NotFound("no")]}
        async with world.serving(n1=script) as (profile, fakes), Swarm.connect(profile) as swarm:
            with pytest.raises(NotFound):
                await swarm.attach("run-9").show()
            assert len(fakes["n1"].asked) == 1

    asked(scenario)


def test_a_client_of_another_authority_is_told_so_and_the_node_serves_on(world, tmp_path):
    stranger = World(tmp_path)

    async def scenario():
        async with world.serving(n1={"Status": [STATUS]}) as (profile, fakes):
            foreign = stranger.profile(profile.endpoints)
            async with Swarm.connect(foreign) as swarm:
                with pytest.raises(NotTrusted) as caught:
                    await swarm.status()
            assert "n1 at" in caught.value.place
            assert caught.value.remedy
            async with Swarm.connect(profile) as swarm:
                await swarm.status()
            assert len(fakes["n1"].asked) == 1

    asked(scenario)


def test_a_certificate_that_does_not_fit_its_authority_is_refused_before_dialling(world, tmp_path):
    stranger = World(tmp_path)
    mixed = world.profile({"n1": "127.0.0.1:1"}).model_copy(update={"ca": stranger.caller.authority})
    with pytest.raises(NotTrusted) as caught:
        Swarm.connect(mixed)
    assert str(mixed.certificate) in str(caught.value)
    assert "not signed by this authority" in str(caught.value)


def test_a_stream_that_breaks_is_opened_elsewhere_and_nothing_comes_twice(world):
    async def scenario():
        first = {"Watch": [[news(0, 2), news(2, 3), LOST]]}
        second = {"Watch": [lambda request: [news(request.offset, 4, "succeeded")]]}
        async with world.serving(n1=first, n2=second) as (profile, fakes), Swarm.connect(profile) as swarm:
            events = [event async for event in swarm.attach("run-1").progress()]
            assert [event.offset for event in events[:-1]] == [0, 1, 2, 3]
            assert events[-1].run.status == "succeeded"
            assert [request.offset for request in fakes["n2"].calls("Watch")] == [3]

    asked(scenario)
