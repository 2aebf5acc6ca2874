"""A running cluster of each log, for a scenario."""

import asyncio
import contextlib
import itertools

import pytest

from swarm.adapters.tls import Authority, TlsIdentity
from tests.conformance.log.harness import VOTERS, EtcdCluster, MemoryCluster, PysyncobjCluster
from tests.etcd import EtcdServer

NAMES = (f"log{number}" for number in itertools.count())


@pytest.fixture(scope="session")
def identities(tmp_path_factory):
    root = tmp_path_factory.mktemp("pki")
    authority = Authority.create(root / "ca", "demo")
    return {node: TlsIdentity.load(authority.issue_node(node, ["127.0.0.1"], root / node)) for node in VOTERS}


@pytest.fixture(scope="session")
def etcd(tmp_path_factory):
    """One etcd for all scenarios; each has a log of its own in it."""
    root = tmp_path_factory.mktemp("etcd")
    server = EtcdServer(root, Authority.create(root / "ca", "demo"))
    yield server
    server.stop()


@pytest.fixture(params=["memory", "pysyncobj", "etcd"])
def run(request, tmp_path):
    """Runs a scenario, an async function of a running cluster, to its end."""

    def run_scenario(scenario):
        async def main():
            if request.param == "memory":
                cluster = MemoryCluster()
            elif request.param == "etcd":
                cluster = EtcdCluster(request.getfixturevalue("etcd"), next(NAMES))
            else:
                cluster = PysyncobjCluster(tmp_path, request.getfixturevalue("identities"))
            async with contextlib.AsyncExitStack() as stack:
                stack.push_async_callback(cluster.close)
                for node in VOTERS:
                    await cluster.boot(node)
                await cluster.led()
                await scenario(cluster)

        asyncio.run(main())

    return run_scenario
