"""A running cluster of either log, for a scenario."""

import asyncio
import contextlib

import pytest

from swarm.adapters.tls import Authority, TlsIdentity
from tests.conformance.log.harness import VOTERS, MemoryCluster, PysyncobjCluster


@pytest.fixture(scope="session")
def identities(tmp_path_factory):
    root = tmp_path_factory.mktemp("pki")
    authority = Authority.create(root / "ca", "demo")
    return {node: TlsIdentity.load(authority.issue_node(node, ["127.0.0.1"], root / node)) for node in VOTERS}


@pytest.fixture(params=["memory", "pysyncobj"])
def run(request, tmp_path):
    """Runs a scenario, an async function of a running cluster, to its end."""

    def run_scenario(scenario):
        async def main():
            if request.param == "memory":
                cluster = MemoryCluster()
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
