"""Blows to a cluster of real daemons under load, briefly; `python -m tests.faults` strikes for hours."""

import asyncio
import shutil

import pytest

from swarm import Swarm
from swarm.client.profile import ClusterProfile
from swarm.errors import NotFound, PeerFault
from swarm.wire.gen.client_pb2 import ListRunsRequest
from tests.faults.load import NEXT_AGENT, chain
from tests.faults.scenarios import drain, kill_all, kill_leader, partition
from tests.faults.stage import Stage
from tests.faults.trial import strike

PATIENCE_S = 30
IMPATIENT_S = 3


@pytest.fixture(scope="module")
def runner():
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def stage(runner, tmp_path_factory):
    """Three daemons for all of these tests, whose wires can be held."""
    stage = Stage(tmp_path_factory.mktemp("faults") / "c")
    runner.run(stage.__aenter__())
    yield stage
    runner.run(stage.__aexit__())


def only(stage, node):
    """A profile that knows one daemon."""
    whole = ClusterProfile.find(stage.profile_path)
    return whole.model_copy(update={"endpoints": {node: whole.endpoints[node]}})


async def told(stage, node, words):
    """Whether a daemon's log says something before patience ends."""
    for _ in range(10 * PATIENCE_S):
        if words in stage.log_path(node).read_text():
            return True
        await asyncio.sleep(0.1)
    return False


def assert_nothing_lost(figures):
    print(figures)
    assert figures["acknowledged"] > 50
    assert (figures["lost"], figures["duplicated_results"]) == (0, 0), figures["details"]


def test_nothing_acknowledged_is_lost_and_no_step_has_two_results_whatever_breaks(runner, stage):
    figures = runner.run(strike(stage, kill_leader, partition, kill_all, seed=1, seconds=0))
    assert_nothing_lost(figures)
    assert figures["failovers"] >= 1
    assert figures["reexecuted"] < figures["acknowledged"]


def test_a_rolling_restart_under_load_costs_no_run(runner, stage):
    assert_nothing_lost(runner.run(strike(stage, drain, seed=1, seconds=0)))


def test_a_leader_cut_off_from_the_majority_refuses_writes_and_keeps_serving_reads(runner, stage):
    async def scenario():
        async with Swarm.connect(stage.profile_path) as swarm:
            await swarm.deploy(NEXT_AGENT)
            known = await swarm.submit(chain(), {"x": 1})
            assert await known == {"x": 4}
        leader = await stage.leader()
        for other in stage.nodes:
            if other != leader:
                stage.wires.part(leader, other)
        try:
            async with Swarm.connect(only(stage, leader), patience_s=IMPATIENT_S) as cut_off:
                with pytest.raises(PeerFault) as caught:
                    await cut_off.submit(chain(), {"x": 1}, key="minority")
                assert "leader" in str(caught.value) or "key='minority'" in str(caught.value)
                assert known.id in [run.id for run in await cut_off.runs()]
                assert await cut_off.attach(known.id).result() == {"x": 4}
                with pytest.raises(PeerFault):  # it may exist where the majority is
                    await cut_off.attach("run-unknown").show()
                reply = await cut_off._connection.stub().ListRuns(ListRunsRequest(), timeout=IMPATIENT_S)
                assert reply.freshness.answered_by == leader
                assert reply.freshness.applied_index > 0
            async with Swarm.connect(stage.profile_path) as whole:
                again = await whole.submit(chain(), {"x": 1}, key="minority")
                assert await again == {"x": 4}
                with pytest.raises(NotFound):
                    await whole.attach("run-unknown").show()
        finally:
            stage.wires.release()
        await stage.ready()

    runner.run(scenario())


def test_a_coordinator_that_comes_back_with_an_empty_disk_is_refused_and_told_why(runner, stage):
    async def scenario():
        leader = await stage.leader()
        wiped = next(node for node in stage.nodes if node != leader)
        stage.kill(wiped)
        shutil.rmtree(stage.node_data(wiped) / "log")
        stage.restart(wiped)
        assert await told(stage, wiped, "has lost what it acknowledged")
        assert "join under another id" in stage.log_path(wiped).read_text()
        async with Swarm.connect(stage.profile_path) as swarm:
            assert await swarm.run(chain(), {"x": 5}) == {"x": 8}

    runner.run(scenario())
