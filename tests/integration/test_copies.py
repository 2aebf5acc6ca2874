"""Holders of large payloads are killed: copies are made again, lost payloads by the steps that gave them."""

import json

import numpy as np
import pytest

from swarm import Edge, Endpoint, Graph, Node, Outlet, Payload, Retry, Swarm
from swarm.adapters.blobs import is_digest
from swarm.daemons.local import LocalCluster
from tests.integration.test_large_data import AGENT, MIB, _until, edge, made

ITEMS = MIB // 2  # of four bytes
BYTES_MIN = 2 * MIB


def patient(seed, seconds):
    """Made and turned round at once, added up so many seconds later."""
    stubborn = Retry(attempts_max=9)
    pause = ("seconds", Payload("json", json.dumps(seconds).encode()))
    return Graph(
        "patient",
        (
            Node("make", "large:make", (made(seed, ITEMS),)),
            Node("flip", "large:flip"),
            Node("little", "large:make", (made(0, 1),)),
            Node(
                "pause",
                "large:sum",
                (pause,),
                retry=stubborn,
            ),
            Node("sum", "large:sum", retry=stubborn),
        ),
        (
            edge("make", "flip"),
            edge("little", "pause"),
            edge("flip", "sum"),
            Edge(Endpoint("pause", "total"), Endpoint("sum", "seconds")),
        ),
        outlets=(Outlet("x", Endpoint("flip", "x")), Outlet("total", Endpoint("sum", "total"))),
    )


@pytest.fixture(scope="module")
def five(tmp_path_factory):
    """Of five coordinators two may be away."""
    with LocalCluster(tmp_path_factory.mktemp("copies") / "cluster", nodes=5, cluster="copies") as cluster:
        with Swarm.open(cluster.profile_path) as swarm:
            swarm.deploy(AGENT)
        yield cluster


def kept(cluster, node):
    """Large payloads that a node keeps, and not only for a step."""
    files = (cluster.node_data(node) / "blobs").iterdir()
    return {path.name for path in files if is_digest(path.name) and path.stat().st_size >= BYTES_MIN}


def holders(cluster, digest):
    return [node for node in cluster.running() if digest in kept(cluster, node)]


def begun(cluster, swarm, seed, seconds):
    """A run whose large payloads are on two nodes each; the run, their digests."""
    before = {digest for node in cluster.nodes for digest in kept(cluster, node)}
    run = swarm.submit(patient(seed, seconds))
    _until(lambda: any(step.step == "flip" and step.status == "ok" for step in run.show().steps))
    digests = {digest for node in cluster.nodes for digest in kept(cluster, node)} - before
    assert len(digests) == 2
    assert all(len(holders(cluster, digest)) == 2 for digest in digests)
    return run, digests


def check(run, seed):
    result = run.result()
    expected = np.arange(seed, seed + ITEMS, dtype=np.float32)
    assert (result["x"] == expected[::-1]).all()
    assert result["total"] == pytest.approx(float(expected.sum(dtype=np.float64)))


def test_a_second_copy_is_made_before_the_other_holder_dies_too(five):
    with Swarm.open(five.profile_path) as swarm:
        run, digests = begun(five, swarm, 3, 9)
        one = min(digests)
        first, second = holders(five, one)
        five.kill(first)
        try:
            _until(lambda: len(holders(five, one)) == 2)
            assert first not in holders(five, one)
            _until(lambda: all(len(holders(five, digest)) >= 2 for digest in digests))
            five.kill(second)
            check(run, 3)
        finally:
            for node in set(five.nodes) - set(five.running()):
                five.restart(node)
            five.wait_ready()


def test_what_every_holder_has_lost_is_made_again_by_the_step_that_gave_it(five):
    with Swarm.open(five.profile_path) as swarm:
        run, digests = begun(five, swarm, 5, 4)
        victims = sorted({node for digest in digests for node in holders(five, digest)})
        records = {step.step: (step.node, step.attempt) for step in run.show().steps if step.status == "ok"}
        for node in victims:
            five.kill(node)
        for node in victims:
            for digest in digests:
                (five.node_data(node) / "blobs" / digest).unlink(missing_ok=True)
                (five.node_data(node) / "blobs" / f"{digest}.copy").unlink(missing_ok=True)
            five.restart(node)
        five.wait_ready()
        check(run, 5)
        after = {step.step: (step.node, step.attempt) for step in run.show().steps}
        assert {name: after[name] for name in records} == records
