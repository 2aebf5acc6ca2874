"""Whether the signed results of a run hold: fetched as the log has them, and worked out again here."""

from __future__ import annotations

from contextlib import aclosing

from swarm.client.connection import Connection, Streaming
from swarm.errors import Bug, LogTooNew, NotFound, ProtocolBroken
from swarm.ids import RunId
from swarm.scheduler.events import RunSubmitted, StepsRecorded
from swarm.scheduler.proofs import Checked as CheckedStep
from swarm.scheduler.proofs import check_run
from swarm.scheduler.run import Run
from swarm.trust.results import Key
from swarm.wire.entries import decode_event
from swarm.wire.gen import client_pb2
from swarm.wire.gen.client_pb2_grpc import SwarmStub

__all__ = ["CheckedStep", "checked", "read_export"]


async def checked(connection: Connection, run: RunId, lag_s: float) -> list[CheckedStep]:
    """Every step that gave a result. Raises `NotFound` where the run was not to be signed."""
    replies: list[client_pb2.ExportRunReply] = []

    def ask(stub: SwarmStub) -> Streaming[client_pb2.ExportRunReply]:
        replies.clear()  # a stream that breaks begins again
        return stub.ExportRun(client_pb2.ExportRunRequest(run=run))

    async with aclosing(connection.follow(ask, lambda: bool(replies), lag_s=lag_s)) as stream:
        async for reply in stream:
            replies += [reply]  # one by one: `ask` may have to begin again
    return read_export(replies)


def read_export(replies: list[client_pb2.ExportRunReply]) -> list[CheckedStep]:
    """The same for what was fetched."""
    found: Run | None = None
    keys: list[Key] = []
    for reply in replies:
        keys += [Key(key.node, key.key, key.from_ms, key.until_ms) for key in reply.keys]
        for entry in reply.entries:
            try:
                event = decode_event(entry)
            except LogTooNew as error:
                raise ProtocolBroken(
                    f"a run that cannot be read: {error.message}",
                    place="run",
                    remedy="use a client as new as the cluster",
                ) from error
            except Bug as error:
                raise ProtocolBroken(f"a run that cannot be read: {error.message}", place="run") from error
            match event:
                case RunSubmitted() if found is None:
                    found = Run(event)
                case StepsRecorded() if found is not None:
                    for record in event.records:
                        if record.run != found.submitted.run or record.step >= len(found.state):
                            raise ProtocolBroken("a record of another run", place=found.submitted.run)
                        found.record(record, event.at_ms)
                case _:
                    raise ProtocolBroken("this is no run", place="run")
    if found is None:
        raise ProtocolBroken("this is no run", place="run")
    if not found.submitted.sign:
        raise NotFound(
            "its results were not to be signed", place=found.submitted.run, remedy="submit runs with --sign"
        )
    return list(check_run(found, keys))
