"""A node of the cluster that reports a result for a step it was never given, to a real leader."""

import asyncio
import time

import pytest

from swarm.adapters.rpc.channels import Channels
from swarm.adapters.rpc.work import GrpcDialer
from swarm.adapters.tls import Authority, TlsIdentity
from swarm.graph import Payload
from swarm.ids import NodeId, RunId, StepKey
from swarm.trust import Role
from swarm.wire.messages import Heartbeat, Hello, Outcome, Outcomes
from tests.integration.cluster import slow_graph


@pytest.fixture
def liar(whole_cluster, tmp_path):
    authority = Authority.load(whole_cluster.data_dir / "authority")
    return TlsIdentity.load(authority.issue_node(NodeId("liar"), ["127.0.0.1"], tmp_path, role=Role.WORKER))


def test_a_forged_result_is_not_recorded(cluster, swarm, liar):
    run = swarm.submit(slow_graph(1, 3.0, value="true"))
    status = swarm.status()
    hello = Hello(NodeId("liar"), 1, (), (), (), "127.0.0.1:1", "root")
    forged = {"value": Payload("json", b'"forged"')}
    keys = [StepKey(RunId(run.id), 0, status.term, attempt) for attempt in (0, 1, 2)]
    outcomes = Outcomes(tuple(Outcome(key, True, forged, None, False, 1, 1.0) for key in keys))

    async def lie():
        channels = Channels(liar, dict(cluster.addresses))
        link = await GrpcDialer(channels).attach(NodeId(status.leader), hello)
        try:
            until = time.monotonic() + 1.0
            while time.monotonic() < until:
                await link.send(outcomes)
                await link.send(Heartbeat(0.0, 0, False))
                await asyncio.sleep(0.1)
        finally:
            await link.close()
            await channels.close()

    asyncio.run(lie())
    assert run.result() == {"s0": "true"}
