"""The network broker: what is allowed works over TLS and is audited, everything else is refused."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox import (
    AgentFailed,
    AgentImage,
    Broken,
    Broker,
    Cell,
    CellLimits,
    CellSpec,
    Connection,
    Destination,
    Exceeded,
    Refused,
    Warden,
)
from sandbox.broker import CONNECTIONS_PER_CELL_MAX, OPENING
from tests.security.support import MIB, TEST_S, children, value
from tests.security.tlsserver import make_certificate

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


SHY = """
from sandbox.egress import connection

class Agent:
    def process_input(self, capability, inputs):
        connection(inputs["to"]).close()
        return {}
"""
HOARDER = """
import threading

from sandbox.egress import connection

class Agent:
    def process_input(self, capability, inputs):
        if capability == "elsewhere":
            return {"error": self.elsewhere(inputs["to"])}
        kept = []
        for _ in range(100):
            kept.append(connection(inputs["to"]))
            if capability == "churn":
                kept.pop().close()
        return {}

    def elsewhere(self, place):
        met = []
        def ask():
            try:
                connection(place)
            except ConnectionRefusedError as error:
                met.append(str(error))
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
        return met[0]
"""
DEAF = """
import socket
from sandbox.frames import Kind, pack

class Agent:
    def process_input(self, capability, inputs):
        stream = next(
            socket.socket(fileno=number) for number in range(3, 64) if is_socket(number)
        )
        stream.setblocking(True)
        while True:
            stream.sendall(pack(Kind.CONNECT, 2, (b"nowhere:1",)) * 100)

def is_socket(number):
    import os, stat
    try:
        return stat.S_ISSOCK(os.fstat(number).st_mode)
    except OSError:
        return False
"""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("tls") / "localhost.pem")


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(65536):
        writer.write(chunk)
        await writer.drain()
    writer.close()


class Audited(list[Connection]):
    """What was audited; while it is full, nothing may be opened."""

    full = False

    def take(self, record: Connection) -> None:
        if self.full and record.outcome == OPENING:
            raise OSError("the disk is full")
        self.append(record)


class Scene:
    """An echo server on this machine, a warden with a broker that allows it, and what was audited."""

    def __init__(self, warden: Warden, port: int, audited: Audited) -> None:
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
        """How the connection ended that was audited, once it has been."""
        for _ in range(5000):
            if self.audited and self.audited[-1].outcome != OPENING:
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
        audited = Audited()
        server = await asyncio.start_server(echo, "localhost", 0, ssl=identity)
        port = server.sockets[0].getsockname()[1]
        async with server, await Warden.open() as warden:
            allowed = [Destination("localhost", port, private=private)]
            warden.broker = Broker(allowed, audited.take, context=trust, bytes_max=bytes_max, idle_s=idle_s)
            await asyncio.wait_for(body(Scene(warden, port, audited)), TEST_S)

    before = children()
    asyncio.run(main())
    assert children() == before


def test_what_is_allowed_is_reached_over_tls_and_audited_with_its_bytes(certificate: Path) -> None:
    async def body(scene: Scene) -> None:
        async with await scene.warden.spawn(scene.spec(scene.name)) as cell:
            assert await scene.call(cell, 10_000) == 10_001
            record = await scene.record()
        (opening,) = scene.audited
        assert opening == replace(record, bytes_out=0, bytes_in=0, outcome=OPENING)
        assert (record.agent, record.destination) == ("caller", scene.name)
        assert (record.bytes_out, record.bytes_in, record.outcome) == (10_001, 10_001, "closed")
        assert record.address in {"127.0.0.1", "::1"}

    play(certificate, body)


def test_a_place_may_be_reached_again_and_no_other_one(certificate: Path) -> None:
    async def body(scene: Scene) -> None:
        async with await scene.warden.spawn(scene.spec(scene.name)) as cell:
            for _ in range(3):
                assert await scene.call(cell) == 101
            scene.name = "localhost:1"
            with pytest.raises(AgentFailed, match="localhost:1 is not among the places it declares"):
                await scene.call(cell)
        async with await scene.warden.spawn(scene.spec()) as cell:
            with pytest.raises(AgentFailed, match="declares no egress"):
                await scene.call(cell)

    play(certificate, body)


def test_connections_of_one_cell_are_few_at_a_time_and_few_in_a_second(certificate: Path) -> None:
    async def body(scene: Scene) -> None:
        image = AgentImage("hoarder", "python", HOARDER.encode())
        spec = CellSpec(image, CellLimits(network_mbps=1), egress=(scene.name,))
        question = {"to": ("json", f'"{scene.name}"'.encode())}
        async with await scene.warden.spawn(spec) as cell:
            with pytest.raises(Exceeded, match=f"connections is {CONNECTIONS_PER_CELL_MAX}"):
                await cell.process_input("hoard", question)
            with pytest.raises(Exceeded, match="connections_per_s"):
                await cell.process_input("churn", question)
        async with await scene.warden.spawn(spec) as cell:
            answer = await cell.process_input("elsewhere", question)
            assert "in the thread of the call" in str(value(answer["error"]))

    play(certificate, body)


def test_a_cell_that_asks_and_never_listens_is_ended(certificate: Path) -> None:
    async def body(scene: Scene) -> None:
        image = AgentImage("deaf", "python", DEAF.encode())
        async with await scene.warden.spawn(CellSpec(image)) as cell:
            with pytest.raises(Broken, match="does not hear the answers"):
                await cell.process_input("ask", {})

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


def test_where_one_address_of_a_name_does_not_answer_the_next_one_is_tried(certificate: Path) -> None:
    async def body(scene: Scene) -> None:
        async def resolve(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
            return [(2, 1, 6, "", (address, port)) for address in ("127.0.0.9", "127.0.0.1", "::1")]

        asyncio.get_running_loop().getaddrinfo = resolve  # type: ignore[method-assign,assignment]
        async with await scene.warden.spawn(scene.spec(scene.name)) as cell:
            assert await scene.call(cell) == 101
        record = await scene.record()
        tried = [opening.address for opening in scene.audited]
        assert tried[:2] == ["127.0.0.9", "127.0.0.1"]
        assert (record.address, record.outcome) == (tried[-1], "closed")

    play(certificate, body)


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
            with pytest.raises(Exceeded) as caught:
                await scene.call(cell, 100_000)
            record = await scene.record()
            assert record.outcome == "bytes"
            assert record.bytes_out + record.bytes_in <= 2 * BYTES_MAX
            assert (caught.value.limit, caught.value.value) == ("connection_bytes", BYTES_MAX)
            assert caught.value.asked == record.bytes_out + record.bytes_in
            assert scene.name in caught.value.place

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
        image = AgentImage("shy", "python", SHY.encode())
        spec = CellSpec(image, CellLimits(network_mbps=1), egress=(scene.name,))
        async with await scene.warden.spawn(spec) as cell:
            await cell.process_input("call", {"to": ("json", f'"{scene.name}"'.encode())})
        record = await scene.record()
        assert (record.outcome, record.address) == ("unused", "")

    play(certificate, body)


def test_what_cannot_be_audited_is_not_connected(certificate: Path) -> None:
    async def body(scene: Scene) -> None:
        async with await scene.warden.spawn(scene.spec(scene.name)) as cell:
            scene.audited.full = True
            assert await scene.call(cell) == 0
            record = await scene.record()
            assert record.outcome == "failed: the disk is full"
            assert (record.bytes_out, record.bytes_in) == (0, 0)

    play(certificate, body)
