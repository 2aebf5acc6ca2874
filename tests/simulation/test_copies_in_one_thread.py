"""Nodes are lost with their disks: copies of large payloads are made again, and payloads by their makers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from swarm import limits
from swarm.errors import DataLost
from swarm.graph import Payload, refs
from swarm.scheduler.run import Status, Step
from swarm.testing.cells import Fate
from swarm.testing.copies import check_nothing_lost, holders, lose_disk, short
from swarm.testing.graphs import ALL, CAPABILITIES, OUT
from tests.simulation.test_large_payloads_in_one_thread import GROW, SIZE, chain, grow, simulate


def settled(cluster):
    return cluster.until(lambda: not short(cluster))


async def lose_and_wait(cluster, node):
    """One node is lost for good; another one takes its place, and there is time to copy."""
    await lose_disk(cluster, node)
    check_nothing_lost(cluster)
    await settled(cluster)


@pytest.mark.parametrize("seed", range(4))
def test_one_node_after_the_other_is_lost_and_everything_needed_stays(seed):
    async def act(cluster):
        run = await cluster.ended(await cluster.submit(chain(6)))
        await settled(cluster)
        for _ in range(6):
            victim = cluster.dice.choice(sorted(cluster.workers))
            await lose_and_wait(cluster, victim)
            await cluster.start_node(victim)
        for record in run.records.values():
            (ref,) = refs(record.outputs.values())
            kept = holders(cluster, ref.digest)
            assert len(kept) >= limits.BLOB_COPIES
            assert all(
                cluster.blobs[node].files[ref.digest] == bytes([record.step + 1]) * SIZE for node in kept
            )

    simulate(act, nodes=4, seed=seed)


@pytest.mark.parametrize("seed", range(4))
def test_copies_are_made_again_by_a_leader_that_knew_nothing_of_them(seed):
    async def act(cluster):
        name = await cluster.submit(chain(6))
        run = await cluster.ended(name)
        await settled(cluster)
        (ref,) = refs(run.records[2].outputs.values())
        await lose_disk(cluster, ref.nodes[0])
        await cluster.kill_leader()
        await settled(cluster)
        await lose_and_wait(cluster, ref.nodes[1])
        assert len(holders(cluster, ref.digest)) == limits.BLOB_COPIES

    simulate(act, nodes=5, seed=seed)


def test_a_run_goes_on_while_its_nodes_are_lost_one_after_the_other():
    async def act(cluster):
        name = await cluster.submit(chain(30))
        known = (await cluster.leader()).run(name)
        for recorded in (6, 14, 22):
            await cluster.until(lambda recorded=recorded: len(known.order) >= recorded)
            (ref,) = refs(known.records[known.order[-1]].outputs.values())
            await lose_and_wait(cluster, ref.nodes[0])
            await cluster.start_node(ref.nodes[0])
        run = await cluster.ended(name)
        assert (run.status, run.reason) == (Status.SUCCEEDED, "")

    simulate(act, nodes=4)


def test_a_node_that_comes_back_in_time_costs_no_copy():
    async def act(cluster):
        run = await cluster.ended(await cluster.submit(chain(1)))
        await cluster.clock.sleep_ms(2 * limits.RECOPY_WAIT_MS)
        (ref,) = refs(run.records[0].outputs.values())
        await cluster.kill_node(ref.nodes[0])
        await cluster.clock.sleep_ms(limits.RECOPY_WAIT_MS / 2)
        await cluster.start_node(ref.nodes[0])
        await cluster.clock.sleep_ms(4 * limits.RECOPY_WAIT_MS)
        assert holders(cluster, ref.digest) == sorted(ref.nodes)

    simulate(act, nodes=4)


def test_a_node_that_drains_for_long_gives_away_what_it_holds():
    async def act(cluster):
        run = await cluster.ended(await cluster.submit(chain(3)))
        await settled(cluster)
        (ref,) = refs(run.records[1].outputs.values())
        cluster.workers[ref.nodes[0]]._draining = True
        others = [node for node in cluster.workers if node != ref.nodes[0]]
        await cluster.until(lambda: len([n for n in holders(cluster, ref.digest) if n in others]) == 2)

    simulate(act, nodes=4)


def test_where_one_node_is_left_copies_are_made_as_soon_as_another_one_comes():
    async def act(cluster):
        await cluster.ended(await cluster.submit(chain(4)))
        await cluster.clock.sleep_ms(4 * limits.RECOPY_WAIT_MS)
        leader = await cluster.leader()
        assert leader.replica.scheduler.copies().short == 4
        await cluster.start_node("n2")
        await settled(cluster)
        await cluster.until(lambda: leader.replica.scheduler.copies().under_way == 0)
        assert leader.replica.scheduler.copies().lost == 0

    simulate(only_one_runs(act), nodes=2)


def only_one_runs(act):
    async def scenario(cluster):
        await cluster.kill_node("n2")
        await act(cluster)

    return scenario


# -- every holder is lost ------------------------------------------------------------------------------


async def broken(cluster, graph, step):
    """A run whose payload of this step was lost with every node that held it, before the next one had it."""
    gate = {"shut": True}
    for cells in cluster.cells.values():
        cells.fate = lambda _: Fate.DIE if gate["shut"] else Fate.WELL
    gate["shut"] = False
    name = await cluster.submit(graph)
    known = (await cluster.leader()).run(name)
    await cluster.until(lambda: known.state[step] is Step.OK)
    gate["shut"] = True
    digests = {ref.digest for at in range(step + 1) for ref in refs(known.records[at].outputs.values())}
    for node in sorted(cluster.workers):
        if digests & {*cluster.blobs[node].files}:
            await lose_disk(cluster, node)
            await cluster.start_node(node)
            cluster.cells[node].fate = lambda _: Fate.DIE if gate["shut"] else Fate.WELL
    gate["shut"] = False
    return known


def slow(graph):
    return replace(graph, nodes=tuple(replace(node, timeout_ms=60_000) for node in graph.nodes))


def test_what_every_holder_has_lost_is_made_again_and_no_result_changes():
    async def act(cluster):
        known = await broken(cluster, slow(chain(8)), 4)
        before = {step: known.records[step] for step in known.order}
        run = await cluster.ended(known.submitted.run)
        assert (run.status, run.reason) == (Status.SUCCEEDED, "")
        assert {step: run.records[step] for step in before} == before
        assert sorted(run.order) == list(range(8))
        (ref,) = refs(run.outputs().values())
        assert cluster.blobs[holders(cluster, ref.digest)[0]].files[ref.digest] == b"\x08" * SIZE

    simulate(act, nodes=3, call_ms=200.0)


def test_what_comes_out_otherwise_the_second_time_does_not_pass_for_it():
    dice = {"turn": 0}

    def whimsical(inputs):
        dice["turn"] += 1
        return {OUT: Payload("bytes", bytes([dice["turn"]]) * SIZE)}

    async def act(cluster):
        await cluster.deploy(cluster.agents.add("whim", {GROW: whimsical}))
        known = await broken(cluster, slow(chain(4)), 1)
        run = await cluster.ended(known.submitted.run)
        assert run.status is Status.FAILED
        (ref,) = refs(run.records[1].outputs.values())
        error = run.records[2].error
        assert isinstance(error, DataLost)
        assert ref.digest in error.message
        assert "step s1" in error.message
        assert "something else" in error.message
        assert all(node in error.message for node in ref.nodes)

    simulate(act, nodes=3, call_ms=200.0)


def test_what_a_step_gave_that_must_not_run_twice_is_not_made_again():
    once = replace(GROW, name=CAPABILITIES[1], effects="once")
    begun = []

    def counted(inputs):
        begun.append(1)
        return grow({ALL: inputs.get(ALL, ())})

    async def act(cluster):
        await cluster.deploy(cluster.agents.add("once", {once: counted}))
        first, *others = slow(chain(3)).nodes
        graph = replace(chain(3), nodes=(replace(first, capability=CAPABILITIES[1]), *others))
        known = await broken(cluster, graph, 0)
        run = await cluster.ended(known.submitted.run)
        assert run.status is Status.FAILED
        assert "must not run twice" in run.reason
        assert "step s0" in run.reason
        assert len(begun) == 1

    simulate(act, nodes=3, call_ms=200.0)
