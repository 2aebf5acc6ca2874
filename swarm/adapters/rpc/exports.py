"""A run as the log has it, streamed to whoever wants to work its results out again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from swarm import limits
from swarm.adapters.rpc.callers import Access
from swarm.adapters.rpc.notes import concerns
from swarm.coordinator import Coordinator
from swarm.coordinator.tenancy import barred_step
from swarm.errors import NotAllowed
from swarm.ids import RunId
from swarm.scheduler.events import StepRecord, StepsRecorded
from swarm.scheduler.ledger import payload_bytes
from swarm.scheduler.run import Run
from swarm.wire.entries import encode_event
from swarm.wire.gen import client_pb2 as pb


class ExportCalls:
    """A part of the client service; see the head of this module."""

    def __init__(self, coordinator: Coordinator, access: Access) -> None:
        self._coordinator = coordinator
        self._access = access

    async def ExportRun(  # noqa: N802
        self, request: pb.ExportRunRequest, context: Any
    ) -> AsyncIterator[pb.ExportRunReply]:
        grant = self._access.caller(context, request.on_behalf_of, "/swarm.v1.Swarm/ExportRun").grant
        run = await self._coordinator.look_up(RunId(request.run), grant)
        concerns(run)
        if step := barred_step(run, grant):
            raise NotAllowed(
                f"its step {step} is in a context you are not cleared for",
                place=request.run[: limits.NAME_CHARS_MAX],
                remedy="ask for the clearance in the policy",
            )
        keys = self._coordinator.replica.scheduler.ledger.members.result_keys()
        yield pb.ExportRunReply(
            entries=[encode_event(run.submitted)],
            keys=[
                pb.NodeKey(node=key.node, key=key.key, from_ms=key.from_ms, until_ms=key.until_ms)
                for key in keys
            ],
        )
        for batch in _batches(run):
            event = StepsRecorded(run.submitted.at_ms, tuple(batch))
            yield pb.ExportRunReply(entries=[encode_event(event)])


def _batches(run: Run) -> Iterator[list[StepRecord]]:
    """Its records in the order of the log, as many as fit a message."""
    batch: list[StepRecord] = []
    weight = 0
    for step in list(run.order):
        record = run.records[step]
        size = payload_bytes(record.outputs.values())
        if batch and (
            len(batch) >= limits.RECORDS_BATCH_MAX or weight + size > limits.RECORDS_BATCH_BYTES_MAX
        ):
            yield batch
            batch, weight = [], 0
        batch.append(record)
        weight += size
    if batch:
        yield batch
