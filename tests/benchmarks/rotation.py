"""Certificates of a loaded cluster exchanged over and over: how many of its callers' requests fail.

Requests are single gRPC calls without the client's second try: most over connections that stay, one in ten
over a connection of its own, one in five a submission that is durable when it is answered. All the while all
three nodes get another certificate again and again, and runs are worked off.
"""

import asyncio
import itertools
import tempfile
import time
from pathlib import Path

import grpc.aio

from swarm.adapters.tls import IdentityFiles, TlsIdentity
from swarm.client import Swarm
from swarm.daemons.local import LocalCluster
from swarm.graph import encode
from swarm.wire.gen import client_pb2 as pb
from swarm.wire.gen.client_pb2_grpc import SwarmStub
from tests.benchmarks.dispatch import bench_agent, flat

REQUESTS = 10_000
CALLERS = 8
FRESH_EVERY, WRITE_EVERY = 10, 5
CALL_S = 60
LOAD_STEPS = 500


class Tally:
    """What became of the requests."""

    def __init__(self):
        self.numbers = itertools.count()
        self.dropped = []
        self.done = 0


def rotation(requests=REQUESTS):
    """(dropped, requests, exchanges of a node's certificate, seconds)."""
    with tempfile.TemporaryDirectory() as directory, LocalCluster(Path(directory) / "c", 3) as cluster:
        tally, seconds = asyncio.run(measured(cluster, requests))
        logs = [cluster.log_path(node).read_text() for node in cluster.nodes]
    exchanges = [log.count("certificate exchanged") for log in logs]
    assert all(exchanges), "a node kept its certificate"
    return tally.dropped, tally.done, sum(exchanges), seconds


async def measured(cluster, requests):
    identity = TlsIdentity.load(IdentityFiles.within(cluster.data_dir / "client"))
    async with Swarm.connect(cluster.profile_path) as swarm:
        await swarm.deploy(bench_agent())
        tally, began = Tally(), time.perf_counter()
        load = asyncio.create_task(keep_busy(swarm))
        exchanging = asyncio.create_task(keep_rotating(swarm))
        callers = (call(tally, requests, identity, cluster, number) for number in range(CALLERS))
        await asyncio.gather(*callers)
        seconds = time.perf_counter() - began
        for task in (load, exchanging):
            assert not task.done(), task.exception()
            task.cancel()
        await asyncio.gather(load, exchanging, return_exceptions=True)
    return tally, seconds


async def call(tally, requests, identity, cluster, number):
    nodes = list(cluster.addresses)
    node = nodes[number % len(nodes)]
    graph = encode(flat(1))
    async with identity.channel(cluster.addresses[node], node) as kept:
        while (request := next(tally.numbers)) < requests:
            fresh = request % FRESH_EVERY == 0
            channel = identity.channel(cluster.addresses[node], node) if fresh else kept
            try:
                stub = SwarmStub(channel)
                if request % WRITE_EVERY == 1:
                    await stub.Submit(pb.SubmitRequest(graph=graph, priority=2), timeout=CALL_S)
                else:
                    await stub.Status(pb.StatusRequest(), timeout=CALL_S)
            except grpc.aio.AioRpcError as error:
                tally.dropped.append(f"{node}: {error.code().name} {error.details()}")
            finally:
                tally.done += 1
                if fresh:
                    await channel.close()


async def keep_busy(swarm):
    while True:
        await (await swarm.submit(flat(LOAD_STEPS))).wait()


async def keep_rotating(swarm):
    while True:
        before = {each.serial for each in await swarm.certificates()}
        told = set(await swarm.rotate_certificates())
        while told:
            await asyncio.sleep(0.2)
            now = await swarm.certificates()
            told -= {each.id for each in now if each.serial not in before and each.state == "valid"}
