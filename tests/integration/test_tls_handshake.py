"""A real gRPC server over mutual TLS: who gets in, who does not, and that a refusal harms nobody else."""

import asyncio
import contextlib
import subprocess
from datetime import UTC, datetime, timedelta

import grpc
import grpc.aio
import pytest

from swarm.adapters.tls import (
    SERVER_OPTIONS,
    Authority,
    TlsIdentity,
    Validity,
    explain_failure,
    peer_identity,
)
from swarm.adapters.tls.diagnose import Proof
from swarm.errors import Bug
from swarm.trust import Role
from swarm.trust.identity import node_identity

CALL_TIMEOUT_S = 10


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A cluster with two nodes and a client, and an impostor's authority under the same name."""
    root = tmp_path_factory.mktemp("pki")
    ours, evil = Authority.create(root / "ca", "demo"), Authority.create(root / "evil", "demo")
    past = datetime(2020, 1, 1, tzinfo=UTC)
    return {
        "n1": ours.issue_node("n1", ["127.0.0.1"], root / "n1"),
        "n2": ours.issue_node("n2", ["127.0.0.1"], root / "n2"),
        "n3 elsewhere": ours.issue_node("n3", ["192.0.2.1"], root / "n3"),
        "alice": ours.issue_client("alice", Role.CLIENT, root / "alice"),
        "expired": ours.issue_node(
            "n2", ["127.0.0.1"], root / "old", validity=Validity(past, past + timedelta(days=1))
        ),
        "evil n2": evil.issue_node("n2", ["127.0.0.1"], root / "evil-n2"),
        "evil n1": evil.issue_node("n1", ["127.0.0.1"], root / "evil-n1"),
        "authority": ours,
    }


@contextlib.asynccontextmanager
async def served(credentials):
    """A server that answers with the caller's identity; yields its address."""

    async def whoami(_request, context):
        return peer_identity(context).uri.encode()

    server = grpc.aio.server(options=SERVER_OPTIONS)
    handler = grpc.unary_unary_rpc_method_handler(whoami)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test", {"whoami": handler}),))
    port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


async def call(tls, address, expected="n1"):
    async with tls.channel(address, expected) as channel:
        return (await channel.unary_unary("/test/whoami")(b"", timeout=CALL_TIMEOUT_S)).decode()


async def refusal(tls, address, expected="n1"):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(tls, address, expected)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    return caught.value


def unchecked(files, authority=None):
    """An identity that did not look at its own files first, as an attacker's would not."""
    pem = authority.certificate_pem if authority else files.authority.read_bytes()
    proof = Proof(node_identity("demo", "n2"), files.certificate.read_bytes(), files.key.read_bytes(), pem)
    return TlsIdentity(proof)


def test_a_good_node_and_a_good_client_are_known_by_their_certificates(world):
    async def scenario():
        async with served(TlsIdentity.load(world["n1"]).server_credentials()) as address:
            assert await call(TlsIdentity.load(world["n2"]), address) == "spiffe://demo/node/n2"
            assert (
                await call(TlsIdentity.load(world["alice"]), address) == "spiffe://demo/client/client/alice"
            )
            assert await call(TlsIdentity.load(world["alice"]), address, None) == (
                "spiffe://demo/client/client/alice"
            )

    asyncio.run(scenario())


def test_strangers_are_refused_while_a_good_client_keeps_being_served(world):
    good = TlsIdentity.load(world["alice"])

    async def scenario():
        credentials = TlsIdentity.load(world["n1"]).server_credentials()
        async with served(credentials) as address, good.channel(address, "n1") as channel:
            ask = channel.unary_unary("/test/whoami")
            for stranger in ("evil n2", "expired"):
                tls = unchecked(world[stranger], world["authority"])
                await refusal(tls, address)
                assert await ask(b"", timeout=CALL_TIMEOUT_S) == b"spiffe://demo/client/client/alice"
            anonymous = grpc.ssl_channel_credentials(world["authority"].certificate_pem)
            options = [("grpc.ssl_target_name_override", "n1")]
            async with grpc.aio.secure_channel(address, anonymous, options=options) as nobody:
                with pytest.raises(grpc.aio.AioRpcError):
                    await nobody.unary_unary("/test/whoami")(b"", timeout=CALL_TIMEOUT_S)
            async with grpc.aio.insecure_channel(address) as plain:
                with pytest.raises(grpc.aio.AioRpcError):
                    await plain.unary_unary("/test/whoami")(b"", timeout=CALL_TIMEOUT_S)
            assert await ask(b"", timeout=CALL_TIMEOUT_S) == b"spiffe://demo/client/client/alice"

    asyncio.run(scenario())


def test_a_node_that_is_not_the_expected_one_is_not_talked_to(world):
    client = TlsIdentity.load(world["alice"])

    async def scenario():
        async with served(TlsIdentity.load(world["n2"]).server_credentials()) as address:
            error = await refusal(client, address, "n1")
            assert "another identity" in explain_failure(error, "n1").message
        async with served(TlsIdentity.load(world["n3 elsewhere"]).server_credentials()) as address:
            await refusal(client, address, None)

    asyncio.run(scenario())


def test_a_server_of_another_authority_is_not_talked_to(world):
    client = TlsIdentity.load(world["alice"])

    async def scenario():
        async with served(TlsIdentity.load(world["evil n1"]).server_credentials()) as address:
            error = await refusal(client, address)
            assert "not signed by our authority" in explain_failure(error, "n1").message

    asyncio.run(scenario())


def test_a_server_whose_certificate_expired_is_not_talked_to(world):
    client = TlsIdentity.load(world["alice"])

    async def scenario():
        async with served(unchecked(world["expired"]).server_credentials()) as address:
            error = await refusal(client, address, "n2")
            assert "expired" in explain_failure(error, "n2").message

    asyncio.run(scenario())


def test_a_clients_certificate_cannot_serve(world):
    with pytest.raises(Bug, match="only a node serves"):
        TlsIdentity.load(world["alice"]).server_credentials()
    files = world["alice"]
    stolen = grpc.ssl_server_credentials(
        [(files.key.read_bytes(), files.certificate.read_bytes())],
        files.authority.read_bytes(),
        require_client_auth=True,
    )

    async def scenario():
        async with served(stolen) as address:
            await refusal(TlsIdentity.load(world["n2"]), address, None)

    asyncio.run(scenario())


@pytest.mark.parametrize(("version", "accepted"), [("-tls1_2", False), ("-tls1_3", True)])
def test_only_tls_1_3_is_spoken(world, version, accepted):
    files = world["n2"]

    async def scenario():
        async with served(TlsIdentity.load(world["n1"]).server_credentials()) as address:
            command = ["openssl", "s_client", version, "-brief", "-alpn", "h2", "-connect", address]
            command += [
                "-cert",
                str(files.certificate),
                "-key",
                str(files.key),
                "-CAfile",
                str(files.authority),
            ]
            client = await asyncio.create_subprocess_exec(
                *command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
            output, _ = await asyncio.wait_for(client.communicate(), CALL_TIMEOUT_S)
            assert (b"CONNECTION ESTABLISHED" in output) is accepted, output
            assert (b"TLSv1.3" in output) is accepted
            assert await call(TlsIdentity.load(files), address) == "spiffe://demo/node/n2"

    asyncio.run(scenario())
