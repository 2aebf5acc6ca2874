"""The network broker: what is allowed works over TLS and is audited, everything else is refused."""

import asyncio
import datetime as dt
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from sandbox import (
    AgentFailed,
    AgentImage,
    Broker,
    Cell,
    CellLimits,
    CellSpec,
    Connection,
    Destination,
    Refused,
    Warden,
)
from tests.security.support import MIB, TEST_S, children, value

BYTES_MAX = 64 << 10
CALLER = """
from sandbox.egress import connection

class Agent:
    def process_input(self, capability, inputs):
        stream = connection(inputs["to"])
        stream.sendall(bytes(inputs["size"]) + b"!")
        got = 0
        while chunk := stream.recv(65536):
            got += len(chunk)
            if chunk.endswith(b"!"):
                break
        stream.close()
        return {"got": got}
"""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for `localhost`, and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(65536):
        writer.write(chunk)
        await writer.drain()
    writer.close()


class Scene:
    """An echo server on this machine, a warden with a broker that allows it, and what was audited."""

    def __init__(self, warden: Warden, port: int, audited: list[Connection]) -> None:
        self.warden = warden
        self.name = f"localhost:{port}"
        self.port = port
        self.audited = audited

    def spec(self, *egress: str, mbps: int = 1000) -> CellSpec:
        image = AgentImage("caller", "python", CALLER.encode())
        return CellSpec(image, CellLimits(network_mbps=mbps), egress=egress)

    async def call(self, cell: Cell, size: int = 100) -> object:
        question = {"to": ("json", f'"{self.name}"'.encode()), "size": ("json", str(size).encode())}
        return value((await cell.process_input("call", question))["got"])

    async def record(self) -> Connection:
        """What was audited, once it has been."""
        for _ in range(500):
            if self.audited:
                return self.audited.pop()
            await asyncio.sleep(0.01)
        raise AssertionError("nothing was audited")


def play(
    certificate: Path,
    body: Callable[[Scene], Awaitable[None]],
    *,
    private: bool = True,
    trusted: bool = True,
    bytes_max: int = MIB,
    idle_s: float = 10.0,
) -> None:
    async def main() -> None:
        identity = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        identity.load_cert_chain(certificate)
        trust = ssl.create_default_context(cafile=str(certificate) if trusted else None)
        audited: list[Connection] = []
        server = await asyncio.start_server(echo, "localhost", 0, ssl=identity)
        port = server.sockets[0].getsockname()[1]
        async with server, await Warden.open() as warden:
            allowed = [Destination("localhost", port, private=private)]
            warden.broker = Broker(allowed, audited.append, context=trust, bytes_max=bytes_max, idle_s=idle_s)
            await asyncio.wait_for(body(Scene(warden, port, audited)), TEST_S)

    before = children()
    asyncio.run(main())
    assert children() == before


def test_what_is_allowed_is_reached_over_tls_and_audited_with_its_bytes(certificate: Path) -> None:
    async def body(scene: Scene) -> None:
        async with await scene.warden.spawn(scene.spec(scene.name)) as cell:
            assert await scene.call(cell, 10_000) == 10_001
            record = await scene.record()
        assert (record.agent, record.destination) == ("caller", scene.name)
        assert (record.bytes_out, record.bytes_in, record.outcome) == (10_001, 10_001, "closed")
        assert record.address in {"127.0.0.1", "::1"}

    play(certificate, body)


def test_a_connection_serves_once_and_only_the_declared_one(certificate: Path) -> None:
    async def body(scene: Scene) -> None:
        async with await scene.warden.spawn(scene.spec(scene.name)) as cell:
            await scene.call(cell)
            with pytest.raises(Exception, match="not declared, or has been taken"):
                await scene.call(cell)

    play(certificate, body)


def test_what_was_not_allowed_is_refused_before_the_agent_runs(certificate: Path) -> None:
    async def body(scene: Scene) -> None:
        for wrong in (f"127.0.0.1:{scene.port}", "localhost:1", "example.org:443"):
            with pytest.raises(Refused, match="asks for a connection"):
                await scene.warden.spawn(scene.spec(wrong))
        with pytest.raises(Refused, match="bandwidth of 0"):
            await scene.warden.spawn(scene.spec(scene.name, mbps=0))
        scene.warden.broker = None
        with pytest.raises(Refused, match="network is off"):
            await scene.warden.spawn(scene.spec(scene.name))

    play(certificate, body)


def test_a_public_name_that_leads_to_our_own_networks_is_not_followed(certificate: Path) -> None:
    async def body(scene: Scene) -> None:
        async with await scene.warden.spawn(scene.spec(scene.name)) as cell:
            assert await scene.call(cell) == 0
            assert "not a public address" in (await scene.record()).outcome

    play(certificate, body, private=False)


def test_a_server_that_cannot_prove_its_name_gets_nothing(certificate: Path) -> None:
    async def body(scene: Scene) -> None:
        async with await scene.warden.spawn(scene.spec(scene.name)) as cell:
            assert await scene.call(cell) == 0
            record = await scene.record()
            assert "CERTIFICATE_VERIFY_FAILED" in record.outcome
            assert record.bytes_out == 0

    play(certificate, body, trusted=False)


def test_more_bytes_than_allowed_end_the_connection(certificate: Path) -> None:
    async def body(scene: Scene) -> None:
        async with await scene.warden.spawn(scene.spec(scene.name)) as cell:
            with suppress(AgentFailed):  # where the end met it while it was sending
                assert await scene.call(cell, 100_000) != 100_001
            record = await scene.record()
            assert record.outcome == "bytes"
            assert record.bytes_out + record.bytes_in <= 2 * BYTES_MAX

    play(certificate, body, bytes_max=BYTES_MAX)


def test_a_connection_on_which_nothing_moves_is_ended(certificate: Path) -> None:
    async def body(scene: Scene) -> None:
        async with await scene.warden.spawn(scene.spec(scene.name)) as cell:
            question = {"to": ("json", f'"{scene.name}"'.encode()), "size": ("json", b"40000000")}
            call = asyncio.ensure_future(cell.process_input("call", question))  # sends, and does not read
            assert (await scene.record()).outcome == "idle"
            await asyncio.gather(call, return_exceptions=True)

    play(certificate, body, bytes_max=64 * MIB, idle_s=0.3)


def test_bytes_pass_no_faster_than_the_agent_was_given(certificate: Path) -> None:
    async def body(scene: Scene) -> None:
        async with await scene.warden.spawn(scene.spec(scene.name, mbps=1)) as cell:
            began = asyncio.get_running_loop().time()
            assert await scene.call(cell, 50_000) == 50_001
            assert asyncio.get_running_loop().time() - began >= 0.75  # 100 kB both ways at 125 kB/s

    play(certificate, body)


def test_a_connection_nobody_used_is_audited_as_such(certificate: Path) -> None:
    async def body(scene: Scene) -> None:
        async with await scene.warden.spawn(scene.spec(scene.name)):
            pass
        record = await scene.record()
        assert (record.outcome, record.address) == ("unused", "")

    play(certificate, body)
