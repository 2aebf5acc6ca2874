"""The synchronous face: the same calls, waited for; interrupts cancel them."""

import asyncio
import os
import signal
import threading

import pytest

from swarm.client import BlockingSwarm, RunEnded, StepDone, Swarm
from swarm.client.session import Session
from swarm.errors import Mistake, NotFound
from swarm.graph import Graph, Node
from swarm.wire.gen import client_pb2 as pb
from tests.unit.swarm.client.fake import news, summary

GRAPH = Graph("g", (Node("a", "a:b"),))


def test_calls_wait_and_errors_are_raised_here(world):
    script = {"Status": [pb.StatusReply(leader="n1")], "ShowRun": [NotFound("no run")]}
    with world.serving_in_background(n1=script) as (profile, _), Swarm.open(profile) as swarm:
        assert swarm.status().leader == "n1"
        with pytest.raises(NotFound):
            swarm.attach("run-1").show()


def test_a_run_is_followed_in_a_for_loop(world):
    script = {"Submit": [pb.SubmitReply(run="run-1")], "Watch": [[news(0, 1), news(1, 2, "succeeded")]]}
    with world.serving_in_background(n1=script) as (profile, _), Swarm.open(profile) as swarm:
        events = list(swarm.submit(GRAPH).progress())
    assert [type(event) for event in events] == [StepDone, StepDone, RunEnded]


def test_a_loop_that_is_left_early_leaves_nothing_behind(world):
    script = {"Watch": [[news(0, 1), news(1, 2)]]}
    with world.serving_in_background(n1=script) as (profile, _), Swarm.open(profile) as swarm:
        for event in swarm.attach("run-1").progress():
            assert event.offset == 0
            break
    assert "swarm-client" not in {thread.name for thread in threading.enumerate()}


def test_an_interrupt_while_waiting_cancels_the_run(world):
    async def interrupt():
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(30)

    script = {
        "Submit": [pb.SubmitReply(run="run-1")],
        "Watch": [lambda _request: [news(0, 1), interrupt()]],
        "CancelRun": [pb.CancelRunReply(run=summary(status="cancelled"))],
    }
    with world.serving_in_background(n1=script) as (profile, fakes), Swarm.open(profile) as swarm:
        with pytest.raises(KeyboardInterrupt):
            swarm.run(GRAPH)
        assert [request.run for request in fakes["n1"].calls("CancelRun")] == ["run-1"]


def test_inside_an_event_loop_it_refuses_to_block(world):
    profile = world.profile({"n1": "127.0.0.1:1"})

    async def scenario():
        with pytest.raises(Mistake, match="block the running event loop"):
            swarm.status()

    with Swarm.open(profile) as swarm:
        asyncio.run(scenario())


def test_the_twins_keep_signature_and_documentation():
    for name in ("run", "deploy", "remove_agent", "agents", "nodes", "runs", "status"):
        assert getattr(BlockingSwarm, name).__doc__ == getattr(Session, name).__doc__
