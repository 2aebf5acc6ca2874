"""Deterministic work that was done is not done again: on real daemons that share results in a real Redis."""

import asyncio
import os
import shutil
import socket
import subprocess
import time

import pytest

from swarm import Endpoint, Graph, LocalCluster, Node, Outlet, Payload, StepDone, Swarm
from swarm.adapters.results import LEFT_ALONE_S, RedisResults

AGENT = b"""\
version: '1.0'
name: clockwork
kind: python
agent_version: 1.0.0
capabilities:
- name: test:stamp
  deterministic: true
  inputs: [{name: x, kind: json}]
  outputs: [{name: y, kind: json}]
- name: test:now
  inputs: [{name: x, kind: json}]
  outputs: [{name: y, kind: json}]
---BINARY_SECTION:python_module---
import time


class Agent:
    def process_input(self, capability, inputs):
        return {"y": [inputs["x"], time.monotonic_ns()]}
"""
REPLY = {"y": Payload("json", b"[1]"), "parts": (Payload("bytes", b"a"), Payload("bytes", b""))}


def stamp(x, capability="test:stamp"):
    node = Node("one", capability, (("x", Payload("json", str(x).encode())),))
    return Graph("stamp", (node,), outlets=(Outlet("y", Endpoint("one", "y")),))


def ran(swarm, graph):
    """What it gave, and whether it was remembered."""
    run = swarm.submit(graph)
    value = run.result()["y"]
    (event,) = [event for event in run.progress() if isinstance(event, StepDone)]
    (step,) = run.show().steps
    assert step.cached == event.cached
    return value, event.cached


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory):
    """Debian's server on a socket of its own."""
    if shutil.which("redis-server") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("redis-server is missing: `make extras` installs it")
        pytest.skip("redis-server is not installed: apt-get install redis-server")
    folder = tmp_path_factory.mktemp("redis")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""],
        stdout=subprocess.DEVNULL,
    )
    try:
        until = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert process.poll() is None
                assert time.monotonic() < until
                time.sleep(0.05)
        yield f"redis://127.0.0.1:{port}/0", process
    finally:
        process.kill()
        process.wait(30)


def test_the_same_inputs_are_answered_without_running_again_and_the_record_says_so(tmp_path):
    with (
        LocalCluster(tmp_path / "one", nodes=1, cluster="cached") as cluster,
        Swarm.open(cluster.profile_path) as swarm,
    ):
        swarm.deploy(AGENT)
        first, was_cached = ran(swarm, stamp(1))
        assert not was_cached
        assert ran(swarm, stamp(1)) == (first, True)
        other, was_cached = ran(swarm, stamp(2))
        assert not was_cached
        assert other[0] == 2
        one, two = ran(swarm, stamp(1, "test:now")), ran(swarm, stamp(1, "test:now"))
        assert one[0] != two[0]
        assert not one[1]
        assert not two[1]
        swarm.deploy(AGENT.replace(b"1.0.0", b"1.0.1"))
        again, was_cached = ran(swarm, stamp(1))
        assert not was_cached, "another file is another agent"
        assert again != first


def test_nodes_share_results_and_one_that_was_restarted_finds_them(tmp_path, redis_server):
    url, _ = redis_server
    key = tmp_path / "key"
    key.write_bytes(os.urandom(32))
    settings = {"result_cache": {"mb": 8, "redis": url, "key_file": str(key)}}
    with LocalCluster(tmp_path / "one", nodes=1, cluster="shared", settings=settings) as cluster:
        with Swarm.open(cluster.profile_path) as swarm:
            swarm.deploy(AGENT)
            first, _ = ran(swarm, stamp(1))
        cluster.kill("n1")
        cluster.restart("n1")
        cluster.wait_ready()
        with Swarm.open(cluster.profile_path) as swarm:
            assert ran(swarm, stamp(1)) == (first, True)


def test_what_another_hand_put_there_is_no_result(redis_server):
    url, _ = redis_server

    async def scenario():
        ours, theirs = RedisResults(url, b"k" * 32, "c"), RedisResults(url, b"x" * 32, "c")
        try:
            await theirs.keep({b"forged": REPLY})
            await ours.keep({b"good": REPLY})
            raw = await ours._redis.get(ours._prefix + b"good")
            await ours._redis.set(ours._prefix + b"moved", raw)
            await ours._redis.set(ours._prefix + b"short", b"x")
            found = await ours.find([b"forged", b"good", b"moved", b"short", b"none"])
            assert found == {b"good": REPLY}
        finally:
            await ours.close()
            await theirs.close()

    asyncio.run(scenario())


def test_a_store_that_is_gone_is_left_alone_and_costs_no_result():
    async def scenario():
        store = RedisResults("redis://127.0.0.1:1/0", b"k" * 32, "c")
        try:
            await store.keep({b"n": REPLY})
            assert await store.find([b"n"]) == {}
            began = asyncio.get_running_loop().time()
            assert store._silent_until > began
            assert store._silent_until <= began + LEFT_ALONE_S
        finally:
            await store.close()

    asyncio.run(scenario())
