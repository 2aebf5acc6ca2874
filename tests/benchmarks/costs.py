"""What a leader pays for messages, measured here: the real wire code, gRPC over mutual TLS, the disk.

A cost is processor time, so that others on the machine hardly show. A sync is wall time: it is waited for.
"""

import asyncio
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from swarm.adapters.tls import SERVER_OPTIONS, Authority, IdentityFiles, TlsIdentity

import grpc.aio  # isort: skip  # after swarm.adapters.tls

from swarm.graph import Payload
from swarm.ids import CapabilityName, Digest, NodeId, RunId, StepKey
from swarm.scheduler.events import StepRecord, StepsRecorded
from swarm.testing.graphs import OUT, PARTS
from swarm.wire.entries import decode_event, encode_event
from swarm.wire.links import from_node_from_pb, from_node_to_pb, to_node_to_pb
from swarm.wire.messages import Assignment, Assignments, Outcome, Outcomes, Receipts

STEPS = 512  # to a message, where the cost of a step is measured
REPEATS = 40
MESSAGES = 2_000
STREAM = "/bench/Stream"


@dataclass(frozen=True, slots=True)
class Costs:
    """Microseconds of the leader's processor, unless said otherwise."""

    message_us: float  # one message of a stream, sent or received, whatever it holds
    order_us: float  # a step in an assignment and in its receipt
    outcome_us: float  # a step in a message from a node
    record_us: float  # a step in an entry of the log, encoded and read
    sync_ms: float  # wall time of writing 64 KiB and syncing it


def measure_costs():
    """All of them, in about two seconds of processor time."""
    keys = [StepKey(RunId("run-0123456789ab"), step, 3, 1) for step in range(STEPS)]
    outputs = {OUT: Payload("json", b"12345"), PARTS: ()}
    outcomes = from_node_to_pb(
        Outcomes(tuple(Outcome(key, True, outputs, None, False, 1_700_000_000_000, 1.0) for key in keys))
    ).SerializeToString()
    orders = Assignments(
        tuple(
            Assignment(key, Digest("ab" * 32), CapabilityName("model:a"), {}, 60_000, ((PARTS, 0),))
            for key in keys
        )
    )
    records = StepsRecorded(
        1_700_000_000_000,
        tuple(StepRecord(*key, NodeId("n1"), True, outputs, None, 1_700_000_000_000, 1.0) for key in keys),
    )
    parse = type(from_node_to_pb(Outcomes(())))

    def send():
        to_node_to_pb(orders).SerializeToString()
        to_node_to_pb(Receipts(tuple(keys))).SerializeToString()

    return Costs(
        asyncio.run(_message_us()),
        _step_us(send),
        _step_us(lambda: from_node_from_pb(parse.FromString(outcomes))),
        _step_us(lambda: decode_event(encode_event(records))),
        _sync_ms(),
    )


def _step_us(work):
    work()
    began = time.process_time()
    for _ in range(REPEATS):
        work()
    return (time.process_time() - began) / REPEATS / STEPS * 1e6


def _sync_ms():
    with tempfile.TemporaryFile() as file:
        os.posix_fallocate(file.fileno(), 0, 4 << 20)
        os.fsync(file.fileno())
        times = []
        for number in range(20):
            began = time.perf_counter()
            os.pwrite(file.fileno(), bytes(1 << 16), number << 16)
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - began)
    return sorted(times)[len(times) // 2] * 1000


async def _message_us():
    """Half of what an echoed message costs this process, which is both ends of each."""

    async def echo(requests, _context):
        async for request in requests:
            yield request

    class Handler(grpc.GenericRpcHandler):
        def service(self, _details):
            return grpc.stream_stream_rpc_method_handler(echo)

    with tempfile.TemporaryDirectory() as folder:
        authority = Authority.create(Path(folder) / "ca", "bench")
        files = authority.issue_node(NodeId("n1"), ["127.0.0.1"], Path(folder) / "n1")
        identity = TlsIdentity.load(IdentityFiles.within(files.key.parent))
        server = grpc.aio.server(options=SERVER_OPTIONS)
        server.add_generic_rpc_handlers((Handler(),))
        port = server.add_secure_port("127.0.0.1:0", identity.server_credentials())
        await server.start()
        channel = identity.channel(f"127.0.0.1:{port}", NodeId("n1"))
        stream = channel.stream_stream(STREAM)()
        data = bytes(200)
        for _ in range(200):
            await stream.write(data)
            await stream.read()
        began = time.process_time()
        for _ in range(MESSAGES):
            await stream.write(data)
            await stream.read()
        used = time.process_time() - began
        await stream.done_writing()
        assert await stream.read() is grpc.aio.EOF
        await channel.close()
        await server.stop(1)
    return used / MESSAGES / 4 * 1e6  # there and back, each sent and received
