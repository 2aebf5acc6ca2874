"""Certificates exchanged under a process that goes on: nobody is dropped, new channels use the new one."""

import asyncio
import contextlib

import grpc
import grpc.aio
import pytest

from swarm.adapters.rpc.channels import Channels
from swarm.adapters.tls import SERVER_OPTIONS, Authority, TlsIdentity
from swarm.ids import NodeId
from swarm.trust import Role

CALL_S = 10


@contextlib.asynccontextmanager
async def served(identity):
    """A server that echoes a stream; yields its address."""

    async def echo(requests, _context):
        async for request in requests:
            yield request

    server = grpc.aio.server(options=SERVER_OPTIONS)
    handler = grpc.stream_stream_rpc_method_handler(echo)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test", {"echo": handler}),))
    port = server.add_secure_port("127.0.0.1:0", identity.server_credentials())
    await server.start()
    try:
        yield port
    finally:
        await server.stop(0)


@pytest.fixture
def world(tmp_path):
    authority = Authority.create(tmp_path / "ca", "demo")
    node = authority.issue_node(NodeId("n1"), ["127.0.0.1"], tmp_path / "n1")
    caller = authority.issue_node(NodeId("n2"), ["127.0.0.1"], tmp_path / "n2", role=Role.WORKER)
    return authority, node, caller


async def answered(stream, data):
    await stream.write(data)
    return await asyncio.wait_for(stream.read(), CALL_S) == data


def test_a_stream_outlives_the_exchange_and_new_channels_use_the_new_certificate(world):
    authority, node, caller = world

    async def scenario():
        async with served(TlsIdentity.load(node)) as port:
            identity = TlsIdentity.load(caller)
            channels = Channels(identity, {NodeId("n1"): f"127.0.0.1:{port}"})
            old = channels.to(NodeId("n1"))
            stream = old.stream_stream("/test/echo")()
            assert await answered(stream, b"before")
            assert channels.to(NodeId("n1")) is old
            for generation in (1, 2):
                authority.issue_node(NodeId("n2"), ["127.0.0.1"], caller.key.parent, role=Role.WORKER)
                new = channels.to(NodeId("n1"))
                assert new is not old
                assert identity.generation == generation
                assert await answered(new.stream_stream("/test/echo")(), b"new")
                assert await answered(stream, b"after")
                old = new
            await channels.close()

    asyncio.run(scenario())


def test_files_that_are_not_whole_or_somebody_elses_are_not_taken(world):
    authority, node, caller = world
    identity = TlsIdentity.load(node)
    key = node.key.read_bytes()
    node.key.write_bytes(caller.key.read_bytes())  # the key of the new pair is there, its certificate not yet
    assert not identity.refresh()
    node.key.unlink()
    assert not identity.refresh()
    node.key.write_bytes(key)
    authority.issue_node(NodeId("n9"), ["127.0.0.1"], node.key.parent)
    assert not identity.refresh()
    authority.issue_node(NodeId("n1"), ["127.0.0.1"], node.key.parent)
    assert identity.refresh()
    assert not identity.refresh()
    assert identity.generation == 1
