"""Large payloads on a whole cluster on virtual time: they go from node to node, and nodes die."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from swarm import limits
from swarm.errors import DataLost, NotLeader
from swarm.graph import Endpoint, Feed, Graph, NodeName, Payload, PortName, Retry, Signature, refs
from swarm.graph.model import Port
from swarm.ids import CapabilityName, NodeId
from swarm.scheduler.run import Status
from swarm.testing.clock import run_virtually
from swarm.testing.cluster import MemoryCluster
from swarm.testing.graphs import ALL, OUT, small_graph
from swarm.wire.entries import encode_history

SIZE = 3 * limits.PAYLOAD_INLINE_BYTES_MAX
GROW = Signature(CapabilityName("model:a"), (Port(ALL, many=True, optional=True),), (Port(OUT),))


def grow(inputs):
    """Large from the first step on, and another one at each."""
    given = [payload.data for payload in inputs.get(ALL, ())]
    seen = max((data[0] for data in given), default=0)
    assert all(len(data) in (1, SIZE) for data in given)
    return {OUT: Payload("bytes", bytes([seen + 1]) * SIZE)}


def chain(length):
    names = [f"s{number}" for number in range(length)]
    graph = small_graph(" ".join(names), *pairwise(names), outlets=names[-1])
    return replace(graph, nodes=tuple(replace(n, retry=Retry(attempts_max=4)) for n in graph.nodes))


def simulate(act, **options):
    async def main():
        async with MemoryCluster(**options) as cluster:
            await cluster.deploy(cluster.agents.add("grow", {GROW: grow}))
            await act(cluster)

    run_virtually(main())


def only(run):
    (ref,) = refs(run.outputs().values())
    return ref


def log_bytes(cluster):
    return max(
        len(encode_history(driver.replica.scheduler.ledger.history()))
        for driver in cluster.coordinators.values()
    )


def test_what_steps_hand_on_is_on_two_nodes_and_the_log_stays_small():
    async def act(cluster):
        run = await cluster.ended(await cluster.submit(chain(10)))
        assert run.status is Status.SUCCEEDED
        for record in run.records.values():
            (ref,) = refs(record.outputs.values())
            assert len(ref.nodes) == limits.BLOB_COPIES
            assert record.node in ref.nodes
            for node in ref.nodes:
                assert cluster.blobs[node].files[ref.digest] == bytes([record.step + 1]) * SIZE
        assert log_bytes(cluster) < SIZE

    simulate(act)


def test_a_step_runs_where_its_data_lies():
    async def act(cluster):
        run = await cluster.ended(await cluster.submit(chain(12)))
        for step in range(1, 12):
            (given,) = refs(run.records[step - 1].outputs.values())
            assert run.records[step].node in given.nodes

    simulate(act)


def test_large_inputs_are_fetched_by_the_node_that_needs_them():
    async def act(cluster):
        graph = chain(3)
        feed = Feed("x", Endpoint(NodeName("s0"), PortName(ALL)))
        graph = Graph("fed", graph.nodes, graph.edges, (feed,), graph.outlets)
        given = await cluster.upload(b"\x05" * SIZE)
        run = await cluster.ended(await cluster.submit(graph, {"x": given}))
        assert run.status is Status.SUCCEEDED
        assert cluster.blobs[only(run).nodes[0]].files[only(run).digest] == b"\x08" * SIZE

    simulate(act)


@pytest.mark.parametrize("seed", range(6))
def test_a_node_that_dies_takes_nothing_with_it(seed):
    async def act(cluster):
        name = await cluster.submit(chain(24))
        known = (await cluster.leader()).run(name)
        for recorded in (5, 12, 18):
            await cluster.until(lambda recorded=recorded: len(known.order) >= recorded)
            (ref,) = refs(known.records[known.order[-1]].outputs.values())
            victim = cluster.dice.choice(ref.nodes)
            await cluster.kill_node(victim)
            await cluster.start_node(victim)
        run = await cluster.ended(name)
        assert (run.status, run.reason) == (Status.SUCCEEDED, "")
        assert len(run.order) == 24

    simulate(act, nodes=4, seed=seed)


def test_a_payload_whose_every_holder_is_gone_fails_its_run_with_a_reason():
    async def act(cluster):
        given = await cluster.upload(b"\x05" * SIZE)
        (ref,) = refs([given])
        for node in ref.nodes:
            await cluster.blobs[node].drop(ref.digest)
        graph = chain(1)
        feed = Feed("x", Endpoint(NodeName("s0"), PortName(ALL)))
        graph = Graph("fed", graph.nodes, (), (feed,), graph.outlets)
        run = await cluster.ended(await cluster.submit(graph, {"x": given}))
        assert run.status is Status.FAILED
        assert isinstance(run.records[0].error, DataLost)
        assert "n1" in run.reason

    simulate(act)


def test_what_no_remembered_run_speaks_of_is_dropped_after_a_while_and_nothing_else_is(monkeypatch):
    monkeypatch.setattr(limits, "RUNS_KEPT_MAX", 1)
    hurry(monkeypatch)

    async def act(cluster):
        first = await cluster.ended(await cluster.submit(chain(2)))
        orphan = only_ref(await cluster.upload(b"nobody submits this" * SIZE))
        second = await cluster.ended(await cluster.submit(chain(4)))
        digests = {node: set(store.files) for node, store in cluster.blobs.items()}
        await cluster.clock.sleep_ms(limits.BLOB_GRACE_MS + 3 * limits.BLOB_SWEEP_MS)
        ledger = (await cluster.leader()).replica.scheduler.ledger
        assert first.submitted.run not in ledger.runs
        needed = {ref.digest for record in second.records.values() for ref in refs(record.outputs.values())}
        assert all(digest in ledger.needs for digest in needed)
        assert orphan.digest not in ledger.needs
        for node in ("n1", "n2", "n3"):
            store = cluster.blobs[NodeId(node)]
            assert set(store.files) == {
                d for d in digests[node] if d in ledger.needs or d in ledger.digests()
            }
            assert orphan.digest not in store.files
        assert any(needed & set(cluster.blobs[NodeId(node)].files) for node in ("n1", "n2", "n3"))

    simulate(act)


def hurry(monkeypatch):
    monkeypatch.setattr(limits, "BLOB_GRACE_MS", 6_000)
    monkeypatch.setattr(limits, "BLOB_SWEEP_MS", 600)


def only_ref(payload):
    (ref,) = refs([payload])
    return ref


def test_a_leader_that_is_cut_off_lets_nobody_drop_anything(monkeypatch):
    hurry(monkeypatch)

    async def act(cluster):
        orphan = only_ref(await cluster.upload(b"x" * SIZE))
        leader = await cluster.leader()

        async def refuse():
            raise NotLeader

        leader.replica.read_barrier = refuse
        await cluster.clock.sleep_ms(limits.BLOB_GRACE_MS + 3 * limits.BLOB_SWEEP_MS)
        assert orphan.digest in cluster.blobs[NodeId("n1")].files

    simulate(act, coordinators=1)
