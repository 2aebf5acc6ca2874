"""Durable events as bytes of the replicated log, and the ledger as a snapshot.

The schema has a version. A replica that meets an entry of a version it does not know stops, because
skipping it would make it disagree with the others; new versions get an upgrade function here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from google.protobuf.message import DecodeError

from swarm.errors import Bug
from swarm.graph import Priority, decode, encode
from swarm.ids import AgentName, NodeId, RunId
from swarm.scheduler.events import (
    AgentDeployed,
    AgentRemoved,
    Durable,
    RunCancelled,
    RunSubmitted,
    StepRecord,
    StepsRecorded,
)
from swarm.wire.convert import (
    agent_from_pb,
    agent_to_pb,
    error_from_pb,
    error_to_pb,
    inputs_from_pb,
    items_from_pb,
    items_to_pb,
)
from swarm.wire.gen import entry_pb2 as pb

VERSION = 1


def encode_event(event: Durable) -> bytes:
    """One durable event as the bytes of a log entry."""
    return _to_pb(event).SerializeToString()


def decode_event(data: bytes) -> Durable:
    """The reverse of `encode_event`. Raises `Bug` on bytes no replica of this version wrote."""
    try:
        return _from_pb(pb.Entry.FromString(data))
    except DecodeError as error:
        raise Bug(f"a log entry does not parse: {error}") from error


def encode_history(events: Sequence[Durable]) -> bytes:
    """A snapshot: events that rebuild the state."""
    return pb.Snapshot(version=VERSION, entries=[_to_pb(event) for event in events]).SerializeToString()


def decode_history(data: bytes) -> list[Durable]:
    """The reverse of `encode_history`."""
    try:
        snapshot = pb.Snapshot.FromString(data)
    except DecodeError as error:
        raise Bug(f"a snapshot does not parse: {error}") from error
    _know(snapshot.version)
    return [_from_pb(entry) for entry in snapshot.entries]


def _know(version: int) -> None:
    if version != VERSION:
        raise Bug(
            f"the log speaks schema {version}, this version speaks {VERSION}",
            remedy="run the version that wrote the log, or a newer one",
        )


def _to_pb(event: Durable) -> pb.Entry:
    entry = pb.Entry(version=VERSION, at_ms=event.at_ms)
    match event:
        case RunSubmitted():
            entry.run_submitted.CopyFrom(
                pb.RunSubmitted(
                    run=event.run,
                    graph=encode(event.graph),
                    inputs=items_to_pb(event.inputs),
                    priority=int(event.priority),
                    principal=event.principal,
                    key=event.key,
                )
            )
        case StepsRecorded():
            entry.steps_recorded.records.extend(_record_to_pb(record) for record in event.records)
        case RunCancelled():
            entry.run_cancelled.CopyFrom(
                pb.RunCancelled(run=event.run, reason=event.reason, principal=event.principal)
            )
        case AgentDeployed():
            entry.agent_deployed.CopyFrom(
                pb.AgentDeployed(agent=agent_to_pb(event.agent), principal=event.principal)
            )
        case AgentRemoved():
            entry.agent_removed.CopyFrom(pb.AgentRemoved(name=event.name, principal=event.principal))
        case _:
            assert_never(event)
    return entry


def _from_pb(entry: pb.Entry) -> Durable:
    _know(entry.version)
    at_ms = entry.at_ms
    match entry.WhichOneof("event"):
        case "run_submitted":
            run = entry.run_submitted
            return RunSubmitted(
                at_ms,
                RunId(run.run),
                decode(run.graph),
                inputs_from_pb(run.inputs),
                Priority(run.priority),
                run.principal,
                run.key,
            )
        case "steps_recorded":
            return StepsRecorded(at_ms, tuple(_record_from_pb(r) for r in entry.steps_recorded.records))
        case "run_cancelled":
            cancelled = entry.run_cancelled
            return RunCancelled(at_ms, RunId(cancelled.run), cancelled.reason, cancelled.principal)
        case "agent_deployed":
            deployed = entry.agent_deployed
            return AgentDeployed(at_ms, agent_from_pb(deployed.agent), deployed.principal)
        case "agent_removed":
            removed = entry.agent_removed
            return AgentRemoved(at_ms, AgentName(removed.name), removed.principal)
        case unknown:
            raise Bug(f"a log entry of kind {unknown} is none this version knows")


def _record_to_pb(record: StepRecord) -> pb.StepRecord:
    return pb.StepRecord(
        run=record.run,
        step=record.step,
        term=record.term,
        attempt=record.attempt,
        node=record.node,
        status="ok" if record.ok else "failed",
        outputs=items_to_pb(record.outputs),
        error=error_to_pb(record.error) if record.error is not None else None,
        started_ms=record.started_ms,
        wall_ms=record.wall_ms,
    )


def _record_from_pb(record: pb.StepRecord) -> StepRecord:
    return StepRecord(
        run=RunId(record.run),
        step=record.step,
        term=record.term,
        attempt=record.attempt,
        node=NodeId(record.node),
        ok=record.status == "ok",
        outputs=items_from_pb(record.outputs),
        error=error_from_pb(record.error) if record.HasField("error") else None,
        started_ms=record.started_ms,
        wall_ms=record.wall_ms,
    )
