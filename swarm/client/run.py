"""A run as its submitter sees it: news while it goes on, values when it is over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing
from typing import Any, Final

from swarm.client.connection import REST_S_MIN, Connection, Streaming
from swarm.client.data import downloaded
from swarm.client.proofs import CheckedStep, checked
from swarm.client.records import (
    CANCELLED,
    RUNNING,
    SUCCEEDED,
    Event,
    PlacingInfo,
    ProgressInfo,
    RunDetails,
    RunEnded,
    RunInfo,
    StepDone,
    StepInfo,
)
from swarm.client.values import decode_outputs
from swarm.errors import ProtocolBroken, RunFailed, SwarmError
from swarm.graph import Items
from swarm.ids import RunId
from swarm.wire.convert import items_from_pb
from swarm.wire.gen import client_pb2
from swarm.wire.gen.client_pb2_grpc import SwarmStub

_NO_EVENTS: Final = (1 << 63) - 1  # an offset beyond any event: only the end is waited for


class Run:
    """One submission of one graph. Awaiting it gives the values of the graph's outlets."""

    def __init__(
        self,
        connection: Connection,
        run: RunId,
        *,
        existed: bool = False,
        lag_s: float = 0.0,
        end: client_pb2.WatchReply | None = None,
    ) -> None:
        self.id = run
        self.existed = existed
        """Whether the key it was submitted with had been used before: this is that earlier run."""
        self._connection = connection
        self._lag_s = lag_s
        self._end = end  # what was said of its end: a replica that has not heard of it yet is incomplete

    def __await__(self) -> Generator[Any, None, dict[str, object]]:
        return self.result().__await__()

    def __repr__(self) -> str:
        return f"<Run {self.id}>"

    def progress(self, since: int = 0) -> AsyncGenerator[Event, None]:
        """Each recorded step from the `since`-th on, in the order of the log, then `RunEnded`.

        It survives the loss of the node it listens to: no event is missing, none comes twice.
        """
        return self._events(since, follow=True)

    async def logs(self) -> list[StepDone]:
        """The steps recorded so far; of a run whose end was heard of through this object, all of them."""
        return [
            event
            async for event in self._events(0, follow=self._end is not None)
            if isinstance(event, StepDone)
        ]

    async def result(self) -> dict[str, object]:
        """Wait for the end. Returns the values of the graph's outlets, or raises `RunFailed`."""
        end = await self._followed(outputs=True)
        if end.run.status != SUCCEEDED:
            raise self._failure(await self._ended())
        outputs = await downloaded(self._connection, self.id, await self._outputs(end))
        return decode_outputs(outputs.items())

    async def values(self) -> dict[str, object]:
        """Wait for the end, however it ends: the values of those outlets that came about."""
        end = await self._followed(outputs=True)
        return decode_outputs((await self._outputs(end)).items())

    async def failures(self) -> dict[str, SwarmError]:
        """Of a run that is over: what each step that failed ended with."""
        details = await self.show()
        return {step.step: step.error for step in details.steps if step.error is not None}

    async def wait(self) -> RunInfo:
        """Wait for the end, however it ends."""
        return RunInfo.from_pb((await self._followed(outputs=False)).run)

    async def show(self) -> RunDetails:
        """The run and each of its steps as they stand now."""
        reply = await self._shown(outputs=False)
        steps = tuple(StepInfo.from_pb(step) for step in reply.steps)
        return RunDetails(RunInfo.from_pb(reply.run), steps, ProgressInfo.from_pb(reply.progress))

    async def explain(self, step: str) -> PlacingInfo:
        """Why this step is where it is, or where it would be placed now; told by the leader."""
        request = client_pb2.ExplainStepRequest(run=self.id, step=step)
        reply = await self._connection.ask(
            lambda stub, timeout_s: stub.ExplainStep(request, timeout=timeout_s), lag_s=self._lag_s
        )
        return PlacingInfo.from_pb(reply)

    async def cancel(self, reason: str = "") -> RunInfo:
        """End it. A run that is over stays as it is."""
        request = client_pb2.CancelRunRequest(run=self.id, reason=reason)
        reply = await self._connection.ask(lambda stub, timeout_s: stub.CancelRun(request, timeout=timeout_s))
        return RunInfo.from_pb(reply.run)

    async def verify(self) -> list[CheckedStep]:
        """Work every recorded result out again, here: which hold, and why the others do not."""
        return await checked(self._connection, self.id, self._lag_s)

    # -- inside -----------------------------------------------------------------------------

    async def _followed(self, *, outputs: bool) -> client_pb2.WatchReply:
        """What is said of its end, once there is one."""
        if self._end is None:
            async for _ in self._events(_NO_EVENTS, follow=True, outputs=outputs):
                pass
        assert self._end is not None, "a followed stream is complete only when the run is over"
        return self._end

    async def _outputs(self, end: client_pb2.WatchReply) -> dict[str, Items]:
        said = end.outputs.items if end.HasField("outputs") else (await self._ended()).outputs
        return items_from_pb(said)

    async def _events(
        self, since: int, *, follow: bool, outputs: bool = False
    ) -> AsyncGenerator[Event, None]:
        wanted = since  # the invariant: everything before this offset has been yielded
        state: RunInfo | None = None
        last: client_pb2.WatchReply | None = None

        def watch(stub: SwarmStub) -> Streaming[client_pb2.WatchReply]:
            return stub.Watch(
                client_pb2.WatchRequest(run=self.id, offset=wanted, follow=follow, outputs=outputs)
            )

        def complete() -> bool:
            return state is not None and (state.over or not follow)

        async with aclosing(self._connection.follow(watch, complete, lag_s=self._lag_s)) as replies:
            async for reply in replies:
                state, last = RunInfo.from_pb(reply.run), reply
                for event in reply.events:
                    if event.offset > wanted:
                        message = f"event {wanted} is missing, the next one is {event.offset}"
                        raise ProtocolBroken(message, place=self.id)
                    if event.offset == wanted:
                        wanted += 1
                        yield StepDone.from_pb(event, state)
        if state is not None and state.over:
            self._end = last
            yield RunEnded(state)

    async def _shown(self, *, outputs: bool) -> client_pb2.ShowRunReply:
        request = client_pb2.ShowRunRequest(run=self.id, outputs=outputs)
        return await self._connection.ask_leader(
            lambda stub, timeout_s: stub.ShowRun(request, timeout=timeout_s),
            lambda reply: (reply.freshness.leader, reply.freshness.answered_by),
            lag_s=self._lag_s,
        )

    async def _ended(self) -> client_pb2.ShowRunReply:
        """The run's last state with its outputs, from a replica that knows it is over."""
        clock = asyncio.get_running_loop().time
        until = clock() + self._connection.patience_s
        while True:
            reply = await self._shown(outputs=True)
            if reply.run.status != RUNNING or clock() > until:
                return reply
            self._connection.move_on(None)
            await asyncio.sleep(REST_S_MIN)

    def _failure(self, reply: client_pb2.ShowRunReply) -> RunFailed:
        run = RunInfo.from_pb(reply.run)
        if run.status == CANCELLED:
            return RunFailed(f"it was cancelled: {run.reason or 'no reason given'}", place=self.id)
        failed = next((step for step in map(StepInfo.from_pb, reply.steps) if step.error), None)
        if failed is None or failed.error is None:
            return RunFailed(run.reason or f"it ended as {run.status}", place=self.id)
        where = f"{self.id}, step {failed.step!r} ({failed.capability}) on {failed.node or 'no node'}"
        cause = failed.error
        message = f"{cause.code}: {cause.place + ': ' if cause.place else ''}{cause.message}"
        return RunFailed(message, place=where, remedy=cause.remedy, problems=cause.problems)
