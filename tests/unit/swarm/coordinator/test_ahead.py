"""Submissions that are begun while they are being written down, by real drivers on virtual time."""

import asyncio

import pytest

from swarm.errors import NotLeader, OutcomeUnknown
from swarm.graph import Priority, encode
from swarm.scheduler.run import Status
from swarm.testing.clock import run_virtually
from swarm.testing.cluster import ANN, MemoryCluster
from swarm.testing.graphs import CAPABILITIES, model_agent, model_reply, small_graph

GRAPH = encode(small_graph("a", outlets="a"))


async def deployed(cluster):
    signatures = model_agent(*CAPABILITIES).capabilities
    await cluster.deploy(
        cluster.agents.add("mine", {one: lambda given: model_reply("mine", given, ()) for one in signatures})
    )
    await asyncio.sleep(1)  # the leader's grace is over, and every node hosts it
    return await cluster.leader()


def virtually(scenario, **options):
    async def main():
        async with MemoryCluster(seed=3, **options) as cluster:
            await scenario(cluster)

    run_virtually(main())


def begun(cluster):
    return sum(len(journal.lines) for journal in cluster.journals.values())


def test_a_short_run_costs_one_commit_where_its_submitter_waits():
    async def scenario(cluster):
        leader = await deployed(cluster)
        await leader.submit(GRAPH, {}, Priority.MEDIUM, ANN, "warm", waits=True)
        await asyncio.sleep(1)
        before = leader.replica.applied_index()
        run, index, existed = await leader.submit(GRAPH, {}, Priority.MEDIUM, ANN, "k", waits=True)
        assert (index, existed) == (before + 1, False)
        found = leader.replica.scheduler.ledger.runs[run]
        assert (found.status, found.order) == (Status.SUCCEEDED, [0])
        await asyncio.sleep(1)
        assert leader.replica.applied_index() == index
        for other in cluster.coordinators.values():
            assert other.replica.scheduler.ledger.runs[run].records == found.records

    virtually(scenario)


def test_who_does_not_wait_is_acknowledged_before_the_run_ends():
    async def scenario(cluster):
        leader = await deployed(cluster)
        run, _, _ = await leader.submit(GRAPH, {}, Priority.MEDIUM, ANN, "k")
        assert leader.replica.scheduler.ledger.runs[run].status is Status.RUNNING
        assert (await cluster.ended(run)).status is Status.SUCCEEDED
        assert begun(cluster) == 1

    virtually(scenario, call_ms=40)


def test_a_result_that_comes_late_is_recorded_as_ever():
    async def scenario(cluster):
        leader = await deployed(cluster)
        run, _, _ = await leader.submit(GRAPH, {}, Priority.MEDIUM, ANN, "k", waits=True)
        assert leader.replica.scheduler.ledger.runs[run].status is Status.RUNNING
        found = await cluster.ended(run)
        assert [record.attempt for record in found.records.values()] == [1]

    virtually(scenario, call_ms=40)


def test_waits_in_vain_become_rare():
    async def scenario(cluster):
        leader = await deployed(cluster)
        began = cluster.clock.monotonic_ms()
        for number in range(40):
            await leader.submit(GRAPH, {}, Priority.MEDIUM, ANN, f"k{number}", waits=True)
        patient = cluster.clock.monotonic_ms() - began
        for number in range(40):
            await leader.submit(GRAPH, {}, Priority.MEDIUM, ANN, f"j{number}")
        assert patient <= 1.5 * (cluster.clock.monotonic_ms() - began - patient) + 50

    virtually(scenario, call_ms=400)


def test_a_submission_that_is_refused_leaves_no_run_and_no_result():
    async def scenario(cluster):
        leader = await deployed(cluster)
        propose = leader.replica.log.propose

        async def lost(data):
            raise OutcomeUnknown("the leader was deposed", place="test")

        leader.replica.log.propose = lost
        with pytest.raises(OutcomeUnknown):
            await leader.submit(GRAPH, {}, Priority.MEDIUM, ANN, "k", waits=True)
        leader.replica.log.propose = propose
        await asyncio.sleep(2)
        for other in cluster.coordinators.values():
            assert not other.replica.scheduler.ledger.runs
        assert leader.replica.in_flight() == 0
        run, _, existed = await leader.submit(GRAPH, {}, Priority.MEDIUM, ANN, "k")
        assert not existed
        assert (await cluster.ended(run)).status is Status.SUCCEEDED

    virtually(scenario)


def test_a_submission_repeated_while_it_is_written_is_begun_once():
    async def scenario(cluster):
        leader = await deployed(cluster)
        answers = await asyncio.gather(
            *(leader.submit(GRAPH, {}, Priority.MEDIUM, ANN, "k", waits=True) for _ in range(3))
        )
        (run,) = {run for run, _, _ in answers}
        assert (await cluster.ended(run)).status is Status.SUCCEEDED
        await asyncio.sleep(1)
        assert begun(cluster) == 1

    virtually(scenario, call_ms=2)


def test_a_leader_that_dies_in_between_leaves_a_run_that_ends_or_none():
    async def scenario(cluster):
        leader = await deployed(cluster)
        submitting = asyncio.create_task(leader.submit(GRAPH, {}, Priority.MEDIUM, ANN, "k", waits=True))
        await asyncio.sleep(0.002)
        assert begun(cluster) == 1
        await cluster.kill_leader()
        with pytest.raises((NotLeader, OutcomeUnknown, asyncio.CancelledError)):
            await submitting
        successor = await cluster.leader()
        run, _, _ = await successor.submit(GRAPH, {}, Priority.MEDIUM, ANN, "k")
        found = await cluster.ended(run)
        assert (found.status, len(found.records)) == (Status.SUCCEEDED, 1)
        assert len(successor.replica.scheduler.ledger.runs) == 1
        await asyncio.sleep(2)
        assert successor.replica.in_flight() == 0

    virtually(scenario, call_ms=40)
