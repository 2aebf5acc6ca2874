r"""Submissions that are begun while they are being written down.

    examine --> first steps are sent out --> (a moment, if their submitter waits) --> one entry: run + results
                                        \--> (nobody waits) -----------------------> one entry: run

Nothing is acknowledged, shown or recorded before that entry is committed. Until then what nodes say of such a
run is kept here: results that come in time travel in its own entry, so that a short run costs one commit; the
others are taken as ever once the run is there. If it never comes to be, they are no results of anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from swarm import limits
from swarm.coordinator.links import NodeLink
from swarm.coordinator.replica import Replica
from swarm.ids import NodeId, RunId, StepKey
from swarm.ports import Clock
from swarm.scheduler.events import RunForeseen, RunForsaken, RunSubmitted, StepRecord
from swarm.scheduler.ledger import payload_bytes
from swarm.scheduler.run import Run
from swarm.wire.messages import Outcome

MOMENT_MS: Final = 10  # how long a submission waits for its first results, where its submitter does
VAIN_WAITS_MAX: Final = 64  # after a wait in vain so many submissions do not wait, at most


@dataclass(slots=True)
class Begun:
    """A run whose first steps were sent out."""

    run: Run
    complete: asyncio.Future[None]  # every attempt that was sent out has ended
    ended: asyncio.Future[None]  # the run is in the log, or will not be
    open: set[StepKey] = field(default_factory=set)
    said: list[tuple[NodeLink, Outcome]] = field(default_factory=list)


class Ahead:
    """Runs that are begun and not in the log yet; see the head of this module."""

    def __init__(self) -> None:
        self._begun: dict[RunId, Begun] = {}

    def __contains__(self, run: RunId) -> bool:
        return run in self._begun

    def open(self, run: Run) -> Begun:
        loop = asyncio.get_running_loop()
        begun = Begun(run, loop.create_future(), loop.create_future())
        self._begun[run.submitted.run] = begun
        return begun

    def close(self, begun: Begun) -> None:
        self._begun.pop(begun.run.submitted.run, None)

    def sent(self, key: StepKey) -> None:
        """An attempt was sent out."""
        if (begun := self._begun.get(key.run)) is not None:
            begun.open.add(key)

    def take(self, link: NodeLink, outcome: Outcome) -> bool:
        """Keep what a node says of a run that is not in the log yet; whether it is of one."""
        begun = self._begun.get(outcome.key.run)
        if begun is None:
            return False
        begun.said.append((link, outcome))
        begun.open.discard(outcome.key)
        if not begun.open and not begun.complete.done():
            begun.complete.set_result(None)
        return True


class Submissions:
    """Brings submissions into the log, and their first steps to the nodes meanwhile."""

    def __init__(
        self,
        replica: Replica,
        ahead: Ahead,
        clock: Clock,
        flush: Callable[[], None],
        take: Callable[[NodeLink, Outcome], None],
    ) -> None:
        self._replica = replica
        self._ahead = ahead
        self._clock = clock
        self._flush = flush
        self._take = take
        self._keys: dict[tuple[str, str], Begun] = {}  # of submissions under way
        self._vain = 0  # how many do not wait after the latest wait in vain
        self._skip = 0

    async def enter(self, event: RunSubmitted, *, waits: bool) -> int:
        """Propose a submission. Returns its index once it is committed and folded here."""
        name = (event.principal, event.key)
        while (first := self._keys.get(name)) is not None:  # it is being repeated, by an impatient caller
            await asyncio.wait({first.ended})
        if self._replica.scheduler.ledger.run_of_key(*name) is not None:
            return self._replica.applied_index()
        begun = self._begin(event)
        if begun is None:
            return await self._replica.propose(event)
        if event.key:
            self._keys[name] = begun
        records: tuple[StepRecord, ...] = ()
        try:
            if waits:
                await self._wait(begun)
                records = _results(begun)
            return await self._replica.propose(replace(event, records=records) if records else event)
        finally:
            self._keys.pop(name, None)
            self._end(begun, {record.step for record in records})

    def _begin(self, event: RunSubmitted) -> Begun | None:
        begun = self._ahead.open(Run(event))
        self._replica.absorb(RunForeseen(self._clock.monotonic_ms(), event, self._replica.node))
        if not begun.open:
            self._ahead.close(begun)
            return None
        self._flush()
        return begun

    async def _wait(self, begun: Begun) -> None:
        """Give the first results a moment; where that was in vain, the next submissions do without."""
        if self._skip > 0:
            self._skip -= 1
            return
        await asyncio.wait({begun.complete}, timeout=MOMENT_MS / 1000)
        self._vain = 0 if begun.complete.done() else min(max(1, 2 * self._vain), VAIN_WAITS_MAX)
        self._skip = self._vain

    def _end(self, begun: Begun, recorded: set[int]) -> None:
        """The run is there, or it will not be."""
        self._ahead.close(begun)
        begun.ended.set_result(None)
        name = begun.run.submitted.run
        if name not in self._replica.scheduler.ledger.runs:
            self._replica.absorb(RunForsaken(self._clock.monotonic_ms(), name))
        for link, outcome in begun.said:
            if outcome.key.step not in recorded:
                self._take(link, outcome)
        self._flush()


def _results(begun: Begun) -> tuple[StepRecord, ...]:
    """Of what was said the results that fit into the run's own entry. Anything else is dealt with later."""
    found: list[StepRecord] = []
    weight = payload_bytes(begun.run.submitted.inputs.values())
    for link, outcome in begun.said:
        size = payload_bytes(outcome.outputs.values())
        fits = size <= limits.STEP_BYTES_MAX and weight + size <= limits.RECORDS_BATCH_BYTES_MAX
        good = outcome.ok and begun.run.output_problem(outcome.key.step, outcome.outputs) is None
        if good and fits and outcome.after is None:
            weight += size
            found.append(result_record(outcome, link.status.hello.node))
    return tuple(found)


def result_record(outcome: Outcome, node: NodeId) -> StepRecord:
    """The record of a step that succeeded."""
    return StepRecord(
        *outcome.key,
        node,
        True,
        outcome.outputs,
        None,
        outcome.started_ms,
        outcome.wall_ms,
        outcome.cached,
        outcome.signature,
    )
