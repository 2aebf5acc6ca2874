"""Durable events as bytes of the replicated log, and the ledger as a snapshot.

Here the newest schema is read and written; what older ones said is brought to it by `schema`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby, repeat
from typing import assert_never

from google.protobuf.message import DecodeError

from swarm.errors import Bug, LogTooNew, SwarmError
from swarm.graph import Priority, decode, encode
from swarm.ids import AgentName, NodeId, RunId
from swarm.scheduler.events import (
    AgentDeployed,
    AgentRemoved,
    CertificateIssued,
    Durable,
    IdentityRevoked,
    KeyRegistered,
    Membership,
    PolicyApplied,
    RunCancelled,
    RunSubmitted,
    StepIntent,
    StepRecord,
    StepsIntended,
    StepsRecorded,
    TokenCreated,
    TokenRevoked,
    TokenUsed,
)
from swarm.wire.columns import (
    Shape,
    from_columns,
    same_length,
    shape,
    signatures_from_pb,
    signatures_to_pb,
    to_columns,
)
from swarm.wire.convert import (
    agent_from_pb,
    agent_to_pb,
    error_from_pb,
    error_to_pb,
    inputs_from_pb,
    items_to_pb,
)
from swarm.wire.gen import entry_pb2 as pb
from swarm.wire.schema import (
    SNAPSHOT_VERSION,
    VERSION,
    VERSION_FIRST,
    VERSION_WITH_RECORDS,
    demand_known,
    upgraded,
)

# Of protobuf's encoding: a field begins with its number and what follows; numbers have a bit for "more to
# come".
_WIRE_TYPE, _MORE = 0x07, 0x80
_VERSION_KEY = bytes([pb.Entry.VERSION_FIELD_NUMBER << 3])
_REVOKES = bytes([pb.Entry.IDENTITY_REVOKED_FIELD_NUMBER << 3 | 2])


def encode_event(event: Durable) -> bytes:
    """One durable event as the bytes of a log entry."""
    return _to_pb(event).SerializeToString()


def decode_event(data: bytes) -> Durable:
    """The reverse of `encode_event`, of every schema there was.

    Raises `LogTooNew` on an entry of a newer version's, `Bug` on bytes no replica wrote.
    """
    with _only_bugs("a log entry"):
        return _from_pb(pb.Entry.FromString(data))


def demand_readable(data: bytes) -> None:
    """Raises `LogTooNew` for an encoded event of a newer version's: told from its first bytes, as below.

    Who decodes later would find out when others rely on what it has taken in.
    """
    if data[:1] == _VERSION_KEY and data[1] > VERSION:
        with _only_bugs("a log entry"):
            demand_known("log", pb.Entry.FromString(data).version, VERSION)


def revokes(data: bytes) -> bool:
    """Whether an encoded event sends somebody away: told from its first bytes, for those who decode later."""
    at = 0
    while at < len(data) and data[at] & _WIRE_TYPE == 0:  # the version and the time, which are numbers
        at += 1
        while data[at] & _MORE:
            at += 1
        at += 1
    return data[at : at + 1] == _REVOKES


def encode_history(events: Sequence[Durable]) -> bytes:
    """A snapshot: events that rebuild the state.

    Piece by piece, which protobuf reads as one message: serialising the whole at once would hold up every
    other thread of the process for as long as it takes.
    """
    pieces = [pb.Snapshot(version=SNAPSHOT_VERSION).SerializeToString()]
    pieces += (pb.Snapshot(entries=[_to_pb(event)]).SerializeToString() for event in events)
    return b"".join(pieces)


def decode_history(data: bytes) -> list[Durable]:
    """The reverse of `encode_history`."""
    with _only_bugs("a snapshot"):
        snapshot = pb.Snapshot.FromString(data)
        demand_known("snapshot", snapshot.version, SNAPSHOT_VERSION)
        return [_from_pb(entry) for entry in snapshot.entries]


@contextmanager
def _only_bugs(what: str) -> Iterator[None]:
    """Whatever is wrong with our own log, it is a bug: no replica can go on without that entry."""
    try:
        yield
    except (Bug, LogTooNew):
        raise
    except (DecodeError, SwarmError, ValueError) as error:
        raise Bug(f"{what} does not parse: {error}") from error


def _to_pb(event: Durable) -> pb.Entry:
    entry = pb.Entry(version=VERSION_FIRST, at_ms=event.at_ms)
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
                    tenant=event.tenant,
                    sign=event.sign,
                    records=_parts_to_pb(event.records),
                )
            )
            if event.records:
                entry.version = VERSION_WITH_RECORDS
        case StepsRecorded():
            entry.steps_recorded.parts.extend(_parts_to_pb(event.records))
        case StepsIntended():
            entry.steps_intended.intents.extend(_intent_to_pb(intent) for intent in event.intents)
            entry.steps_intended.SetInParent()
        case RunCancelled():
            entry.run_cancelled.CopyFrom(
                pb.RunCancelled(run=event.run, reason=event.reason, principal=event.principal)
            )
        case AgentDeployed():
            entry.agent_deployed.CopyFrom(
                pb.AgentDeployed(
                    agent=agent_to_pb(event.agent), principal=event.principal, tenant=event.tenant
                )
            )
        case AgentRemoved():
            entry.agent_removed.CopyFrom(pb.AgentRemoved(name=event.name, principal=event.principal))
        case PolicyApplied():
            entry.policy_applied.CopyFrom(
                pb.PolicyApplied(document=event.document, principal=event.principal)
            )
        case (
            TokenCreated()
            | TokenUsed()
            | TokenRevoked()
            | IdentityRevoked()
            | CertificateIssued()
            | KeyRegistered()
        ):
            _membership_to_pb(event, entry)
        case _:
            assert_never(event)
    return entry


def _membership_to_pb(event: Membership, entry: pb.Entry) -> None:
    match event:
        case TokenCreated():
            created = pb.TokenCreated(
                token=event.token,
                secret_sha256=event.secret_sha256,
                role=event.role,
                expires_ms=event.expires_ms,
                uses_max=event.uses_max,
                principal=event.principal,
            )
            entry.token_created.CopyFrom(created)
        case TokenUsed():
            used = pb.TokenUsed(token=event.token, name=event.name, key_sha256=event.key_sha256)
            entry.token_used.CopyFrom(used)
        case TokenRevoked():
            entry.token_revoked.CopyFrom(pb.TokenRevoked(token=event.token, principal=event.principal))
        case IdentityRevoked():
            revoked = pb.IdentityRevoked(
                name=event.name, reason=event.reason, principal=event.principal, serial=event.serial
            )
            entry.identity_revoked.CopyFrom(revoked)
        case CertificateIssued():
            issued = pb.CertificateIssued(
                uri=event.uri, serial=event.serial, not_after_ms=event.not_after_ms, origin=event.origin
            )
            entry.certificate_issued.CopyFrom(issued)
        case KeyRegistered():
            entry.key_registered.CopyFrom(pb.KeyRegistered(node=event.node, key=event.key))
        case _:
            assert_never(event)


def _membership_from_pb(entry: pb.Entry) -> Membership:
    at_ms = entry.at_ms
    match entry.WhichOneof("event"):
        case "token_created":
            made = entry.token_created
            return TokenCreated(
                at_ms,
                made.token,
                made.secret_sha256,
                made.role,
                made.expires_ms,
                made.uses_max,
                made.principal,
            )
        case "token_used":
            used = entry.token_used
            return TokenUsed(at_ms, used.token, used.name, used.key_sha256)
        case "token_revoked":
            return TokenRevoked(at_ms, entry.token_revoked.token, entry.token_revoked.principal)
        case "identity_revoked":
            gone = entry.identity_revoked
            return IdentityRevoked(at_ms, gone.name, gone.reason, gone.principal, gone.serial)
        case "certificate_issued":
            new = entry.certificate_issued
            return CertificateIssued(at_ms, new.uri, new.serial, new.not_after_ms, new.origin)
        case "key_registered":
            return KeyRegistered(at_ms, NodeId(entry.key_registered.node), entry.key_registered.key)
        case unknown:
            raise Bug(f"a log entry of kind {unknown} is none this version knows")


def _from_pb(entry: pb.Entry) -> Durable:
    if entry.version != VERSION:
        entry = upgraded(entry)
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
                run.tenant,
                run.sign,
                _records_from_pb(run.records),
            )
        case "steps_recorded":
            return StepsRecorded(at_ms, _records_from_pb(entry.steps_recorded.parts))
        case "steps_intended":
            return StepsIntended(at_ms, tuple(map(_intent_from_pb, entry.steps_intended.intents)))
        case "run_cancelled":
            cancelled = entry.run_cancelled
            return RunCancelled(at_ms, RunId(cancelled.run), cancelled.reason, cancelled.principal)
        case "agent_deployed":
            deployed = entry.agent_deployed
            return AgentDeployed(at_ms, agent_from_pb(deployed.agent), deployed.principal, deployed.tenant)
        case "agent_removed":
            removed = entry.agent_removed
            return AgentRemoved(at_ms, AgentName(removed.name), removed.principal)
        case "policy_applied":
            return PolicyApplied(at_ms, entry.policy_applied.document, entry.policy_applied.principal)
        case _:
            return _membership_from_pb(entry)


def _intent_to_pb(intent: StepIntent) -> pb.StepIntent:
    return pb.StepIntent(
        run=intent.run, step=intent.step, term=intent.term, attempt=intent.attempt, node=intent.node
    )


def _intent_from_pb(intent: pb.StepIntent) -> StepIntent:
    return StepIntent(RunId(intent.run), intent.step, intent.term, intent.attempt, NodeId(intent.node))


def _parts_to_pb(records: Sequence[StepRecord]) -> Iterator[pb.RecordPart]:
    for key, group in groupby(records, _result_key):
        if key is None:
            for record in group:
                yield pb.RecordPart(failure=_failure_to_pb(record))
        else:
            yield pb.RecordPart(results=_results_to_pb(*key, list(group)))


def _records_from_pb(parts: Iterable[pb.RecordPart]) -> tuple[StepRecord, ...]:
    return tuple(record for part in parts for record in _part_from_pb(part))


def _result_key(record: StepRecord) -> tuple[RunId, int, NodeId, bool, Shape] | None:
    """What neighbours must share to be written as one; None for a failure, which is written alone."""
    if not record.ok:
        return None
    return (record.run, record.term, record.node, record.cached, shape(record.outputs))


def _results_to_pb(
    run: RunId, term: int, node: NodeId, cached: bool, common: Shape, records: Sequence[StepRecord]
) -> pb.ResultRecords:
    return pb.ResultRecords(
        run=run,
        term=term,
        node=node,
        steps=[record.step for record in records],
        attempts=[record.attempt for record in records],
        started_ms=[record.started_ms for record in records],
        wall_ms=[record.wall_ms for record in records],
        outputs=to_columns([record.outputs for record in records], common),
        cached=cached,
        signatures=signatures_to_pb([record.signature for record in records]),
    )


def _failure_to_pb(record: StepRecord) -> pb.FailureRecord:
    return pb.FailureRecord(
        run=record.run,
        step=record.step,
        term=record.term,
        attempt=record.attempt,
        node=record.node,
        error=error_to_pb(record.error) if record.error is not None else None,
        started_ms=record.started_ms,
        wall_ms=record.wall_ms,
    )


def _part_from_pb(part: pb.RecordPart) -> Iterator[StepRecord]:
    if part.WhichOneof("part") == "results":
        results = part.results
        run, term, node, count = RunId(results.run), results.term, NodeId(results.node), len(results.steps)
        same_length(count, results.attempts, results.started_ms, results.wall_ms)
        rows = from_columns(results.outputs, count)
        found = zip(
            repeat(run), results.steps, repeat(term), results.attempts, repeat(node), repeat(True),
            rows, repeat(None), results.started_ms, results.wall_ms, repeat(results.cached),
            signatures_from_pb(results.signatures, count),
        )  # fmt: skip
        yield from map(StepRecord._make, found)
    elif part.WhichOneof("part") == "failure":
        failure = part.failure
        yield StepRecord(
            run=RunId(failure.run),
            step=failure.step,
            term=failure.term,
            attempt=failure.attempt,
            node=NodeId(failure.node),
            ok=False,
            outputs={},
            error=error_from_pb(failure.error) if failure.HasField("error") else None,
            started_ms=failure.started_ms,
            wall_ms=failure.wall_ms,
        )
    else:
        raise Bug("a part of step records is of no kind this version knows")
