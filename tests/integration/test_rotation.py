"""Certificates exchanged under a process that goes on: nobody is dropped, new channels use the new one."""

import asyncio
import contextlib
import ssl

import grpc
import grpc.aio
import pytest

from swarm.adapters.rpc.channels import Channels
from swarm.adapters.tls import SERVER_OPTIONS, Authority, TlsIdentity
from swarm.errors import Unreachable
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


def shown(port):
    """The certificate a server shows, in DER."""
    pem = ssl.get_server_certificate(("127.0.0.1", port), timeout=CALL_S)
    return ssl.PEM_cert_to_DER_cert(pem)


def der(files):
    return ssl.PEM_cert_to_DER_cert(files.certificate.read_text())


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


def test_a_server_shows_the_newer_certificate_while_its_streams_go_on(world):
    authority, node, caller = world

    async def scenario():
        server, client = TlsIdentity.load(node), TlsIdentity.load(caller)
        async with served(server) as port:
            address = f"127.0.0.1:{port}"
            assert not await server.show(address)
            async with client.channel(address, NodeId("n1")) as channel:
                stream = channel.stream_stream("/test/echo")()
                assert await answered(stream, b"before")
                before = der(node)
                assert await asyncio.to_thread(shown, port) == before
                authority.issue_node(NodeId("n1"), ["127.0.0.1"], node.key.parent)
                assert await server.show(address)
                assert await asyncio.to_thread(shown, port) == der(node) != before
                assert await answered(stream, b"after")
            async with client.channel(address, NodeId("n1")) as channel:
                assert await answered(channel.stream_stream("/test/echo")(), b"anew")

    asyncio.run(scenario())


def test_exchanges_under_a_storm_of_handshakes_harm_no_caller(world, monkeypatch):
    """What killed a server that was given another certificate at every handshake."""
    monkeypatch.setattr("swarm.adapters.tls.serving.LINGER_S", 0.02)
    authority, node, caller = world

    async def scenario():
        server, client = TlsIdentity.load(node), TlsIdentity.load(caller)
        over = asyncio.Event()

        async def storm(port):
            while not over.is_set():
                async with client.channel(f"127.0.0.1:{port}", NodeId("n1")) as channel:
                    assert await answered(channel.stream_stream("/test/echo")(), b"x")

        async with served(server) as port:
            callers = [asyncio.create_task(storm(port)) for _ in range(6)]
            for _ in range(12):
                authority.issue_node(NodeId("n1"), ["127.0.0.1"], node.key.parent)
                assert await server.show(f"127.0.0.1:{port}")
            over.set()
            await asyncio.gather(*callers)

    asyncio.run(scenario())


def test_a_server_that_is_gone_is_not_said_to_show_anything(world):
    authority, node, _ = world

    async def scenario():
        server = TlsIdentity.load(node)
        async with served(server) as port:
            pass
        authority.issue_node(NodeId("n1"), ["127.0.0.1"], node.key.parent)
        with pytest.raises(Unreachable, match="newer certificate"):
            await server.show(f"127.0.0.1:{port}")

    asyncio.run(scenario())
