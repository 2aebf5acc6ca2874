"""A run as its submitter sees it: events, values, and how failures are told."""

import asyncio

import numpy as np
import pytest

from sandbox import tensors
from swarm.client import RunEnded, StepDone, Swarm
from swarm.errors import NotLeader, ProtocolBroken, RunFailed
from swarm.graph import Graph, Node, Payload
from swarm.wire.convert import items_to_pb
from swarm.wire.gen import client_pb2 as pb
from swarm.wire.gen import common_pb2
from tests.unit.swarm.client.fake import LOST, news, summary

GRAPH = Graph("g", (Node("a", "a:b"),))


def with_run(world, scripts, scenario):
    """Run `scenario(run, fakes)` on a run of a cluster with these scripts."""

    async def body():
        async with world.serving(**scripts) as (profile, fakes), Swarm.connect(profile) as swarm:
            await scenario(swarm.attach("run-1"), fakes)

    asyncio.run(asyncio.wait_for(body(), 30))


def shown(status, *, outputs=(), steps=(), reason=""):
    return pb.ShowRunReply(run=summary(status=status, reason=reason), outputs=outputs, steps=steps)


def test_progress_ends_with_how_the_run_ended(world):
    async def scenario(run, _):
        events = [event async for event in run.progress()]
        assert [type(event) for event in events] == [StepDone, StepDone, RunEnded]
        assert events[0].run.steps_total == 4

    with_run(world, {"n1": {"Watch": [[news(0, 1), news(1, 2, "succeeded")]]}}, scenario)


def test_progress_resumes_where_the_caller_left_off(world):
    async def scenario(run, fakes):
        events = [event async for event in run.progress(since=2)]
        assert [event.offset for event in events[:-1]] == [2, 3]
        assert fakes["n1"].calls("Watch")[0].offset == 2

    with_run(world, {"n1": {"Watch": [[news(2, 4, "succeeded")]]}}, scenario)


def test_events_sent_again_are_dropped(world):
    async def scenario(run, _):
        events = [event async for event in run.progress()]
        assert [event.offset for event in events[:-1]] == [0, 1, 2]

    with_run(world, {"n1": {"Watch": [[news(0, 2), news(1, 3, "succeeded")]]}}, scenario)


def test_a_gap_in_the_events_is_refused(world):
    async def scenario(run, _):
        with pytest.raises(ProtocolBroken, match="event 1 is missing"):
            [event async for event in run.progress()]

    with_run(world, {"n1": {"Watch": [[news(0, 1), news(2, 3)]]}}, scenario)


def test_a_stream_that_ends_while_the_run_goes_on_is_opened_again(world):
    async def scenario(run, fakes):
        events = [event async for event in run.progress()]
        assert [event.offset for event in events[:-1]] == [0, 1]
        assert [request.offset for request in fakes["n1"].calls("Watch")] == [0, 1]

    with_run(world, {"n1": {"Watch": [[news(0, 1)], [news(1, 2, "succeeded")]]}}, scenario)


def test_a_caller_that_stops_listening_leaves_nothing_open(world):
    async def scenario(run, _):
        async for _event in run.progress():
            break

    with_run(world, {"n1": {"Watch": [[news(0, 1), asyncio.sleep(0), news(1, 2)]]}}, scenario)


def test_whoever_heard_of_the_end_is_told_of_every_step_by_a_replica_that_is_behind_too(world):
    async def scenario(run, _):
        assert await run.result() == {}
        assert [event.offset for event in await run.logs()] == [0, 1, 2]

    ends, behind, later = [news(3, 3, "succeeded")], [news(0, 2)], [news(2, 3, "succeeded")]
    script = {"Watch": [ends, behind, later], "ShowRun": [shown("succeeded")]}
    with_run(world, {"n1": script}, scenario)


def test_the_result_is_python_values(world):
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    outputs = items_to_pb(
        {
            "text": Payload("json", b'{"a": [1, null]}'),
            "array": Payload("tensor", tensors.encode(array)),
            "raw": Payload("bytes", b"\x00\xff"),
            "parts": (Payload("json", b"1"), Payload("json", b"2")),
        }
    )

    async def scenario(run, _):
        values = await run
        assert values["text"] == {"a": [1, None]}
        np.testing.assert_array_equal(values["array"], array)
        assert values["raw"] == b"\x00\xff"
        assert values["parts"] == [1, 2]

    script = {"Watch": [[news(0, 1, "succeeded")]], "ShowRun": [shown("succeeded", outputs=outputs)]}
    with_run(world, {"n1": script}, scenario)


def test_a_replica_that_does_not_know_the_end_yet_is_asked_again(world):
    async def scenario(run, fakes):
        assert await run.result() == {}
        assert len(fakes["n1"].calls("ShowRun")) == 2

    script = {"Watch": [[news(0, 1, "succeeded")]], "ShowRun": [shown("running"), shown("succeeded")]}
    with_run(world, {"n1": script}, scenario)


def test_a_failed_run_names_the_step_and_its_error(world):
    error = common_pb2.Error(code="out_of_time", message="took too long", remedy="raise timeout_ms")
    steps = [
        pb.StepState(step="a", capability="a:b", status="ok", node="n1"),
        pb.StepState(step="b", capability="a:b", status="failed", node="n2", error=error),
    ]

    async def scenario(run, _):
        with pytest.raises(RunFailed) as caught:
            await run
        assert "step 'b' (a:b) on n2" in caught.value.place
        assert "out_of_time: took too long" in caught.value.message
        assert caught.value.remedy == "raise timeout_ms"

    script = {"Watch": [[news(0, 2, "failed")]], "ShowRun": [shown("failed", steps=steps)]}
    with_run(world, {"n1": script}, scenario)


def test_a_cancelled_run_says_why(world):
    async def scenario(run, _):
        with pytest.raises(RunFailed, match="cancelled: not needed"):
            await run.result()

    script = {"Watch": [[news(0, 1, "cancelled")]], "ShowRun": [shown("cancelled", reason="not needed")]}
    with_run(world, {"n1": script}, scenario)


def test_logs_are_the_steps_recorded_so_far(world):
    async def scenario(run, fakes):
        assert [event.step for event in await run.logs()] == ["s0", "s1"]
        assert not fakes["n1"].calls("Watch")[0].follow

    with_run(world, {"n1": {"Watch": [[news(0, 2)]]}}, scenario)


def test_a_cancel_survives_the_loss_of_the_leader(world):
    async def scenario(run, fakes):
        assert (await run.cancel("enough")).status == "cancelled"
        assert fakes["n2"].calls("CancelRun")[0].reason == "enough"

    reply = pb.CancelRunReply(run=summary(status="cancelled"))
    with_run(world, {"n1": {"CancelRun": [LOST, NotLeader("n2")]}, "n2": {"CancelRun": [reply]}}, scenario)


def test_cancelling_the_wait_cancels_the_run(world):
    async def scenario():
        watched = asyncio.Event()

        async def forever():
            watched.set()
            await asyncio.sleep(30)

        script = {
            "Submit": [pb.SubmitReply(run="run-1")],
            "Watch": [lambda _request: [news(0, 1), forever()]],
            "CancelRun": [pb.CancelRunReply(run=summary(status="cancelled"))],
        }
        async with world.serving(n1=script) as (profile, fakes), Swarm.connect(profile) as swarm:
            waiting = asyncio.create_task(swarm.run(GRAPH))
            await watched.wait()
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert [request.run for request in fakes["n1"].calls("CancelRun")] == ["run-1"]

    asyncio.run(asyncio.wait_for(scenario(), 30))


def test_a_short_run_is_submitted_and_told_of_by_one_call(world):
    outputs = pb.RunOutputs(items=items_to_pb({"y": Payload("json", b"7")}))
    end = pb.WatchReply(run=summary(status="succeeded"), outputs=outputs)

    async def scenario():
        script = {"Submit": [pb.SubmitReply(run="run-1", end=end)]}
        async with world.serving(n1=script) as (profile, fakes), Swarm.connect(profile) as swarm:
            assert await swarm.run(GRAPH) == {"y": 7}
            assert [method for method, _ in fakes["n1"].asked] == ["Submit"]
            assert fakes["n1"].calls("Submit")[0].linger_ms > 0

    asyncio.run(asyncio.wait_for(scenario(), 30))


def test_who_only_submits_is_acknowledged_at_once(world):
    async def scenario():
        script = {"Submit": [pb.SubmitReply(run="run-1")]}
        async with world.serving(n1=script) as (profile, fakes), Swarm.connect(profile) as swarm:
            await swarm.submit(GRAPH)
            assert fakes["n1"].calls("Submit")[0].linger_ms == 0

    asyncio.run(asyncio.wait_for(scenario(), 30))


def test_the_results_of_a_longer_run_come_with_the_news_of_its_end(world):
    end = pb.WatchReply(
        run=summary(status="succeeded"),
        outputs=pb.RunOutputs(items=items_to_pb({"y": Payload("json", b"7")})),
    )

    async def scenario(run, fakes):
        assert await run.result() == {"y": 7}
        assert fakes["n1"].calls("Watch")[0].outputs
        assert (await run.wait()).status == "succeeded"
        assert [method for method, _ in fakes["n1"].asked] == ["Watch"]

    with_run(world, {"n1": {"Watch": [[end]]}}, scenario)


def test_cancelling_while_it_is_submitted_cancels_the_run(world):
    async def scenario():
        asked, go = asyncio.Event(), asyncio.Event()

        async def slow():
            asked.set()
            await go.wait()
            return pb.SubmitReply(run="run-1")

        script = {
            "Submit": [lambda _request: slow()],
            "CancelRun": [pb.CancelRunReply(run=summary(status="cancelled"))],
        }
        async with world.serving(n1=script) as (profile, fakes), Swarm.connect(profile) as swarm:
            waiting = asyncio.create_task(swarm.run(GRAPH))
            await asked.wait()
            waiting.cancel()
            go.set()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert [request.run for request in fakes["n1"].calls("CancelRun")] == ["run-1"]

    asyncio.run(asyncio.wait_for(scenario(), 30))
