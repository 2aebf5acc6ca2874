"""What a node's steps take and give that does not travel with them: brought before a step runs, and copied
to a second node before its result is told.

Most steps have none of that, and are handed on at once. An attempt that waits for its inputs, or for the
copies of what it made, is still under way as far as the leader is concerned.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from swarm.errors import SwarmError
from swarm.graph import PLAIN, REF, Context, Items, Payload, has_refs, read_ref, refs
from swarm.ids import Digest, NodeId, StepKey
from swarm.node.calls import Call
from swarm.node.data import Data
from swarm.ports import Clock, Reply
from swarm.tasks import Tasks
from swarm.wire.messages import Assignment, Outcome


class Cargo:
    """See the head of this module."""

    def __init__(
        self,
        data: Data,
        clock: Clock,
        tasks: Tasks,
        run: Callable[[Sequence[Assignment]], None],
        tell: Callable[[Sequence[Outcome]], None],
    ) -> None:
        self._data = data
        self._clock = clock
        self._tasks = tasks
        self._run = run
        self._tell = tell
        self._waiting: dict[StepKey, asyncio.Task[None]] = {}  # attempts whose inputs are on their way
        self._leaving: dict[StepKey, Outcome] = {}  # finished, and not yet copied
        self._contexts: dict[StepKey, Context] = {}  # of attempts under way, where it is not the plain one

    def pending(self) -> tuple[StepKey, ...]:
        """Attempts that are neither with a host nor in the outbox."""
        return (*self._waiting, *self._leaving)

    def held(self) -> set[Digest]:
        """What finished attempts here speak of, and no log yet."""
        return {ref.digest for outcome in self._leaving.values() for ref in refs(outcome.outputs.values())}

    # -- in ----------------------------------------------------------------------------------------

    def bring(self, items: Sequence[Assignment]) -> None:
        """Run the attempts that may run now; the others run once their inputs are here."""
        self._contexts.update((item.key, item.context) for item in items if item.context is not PLAIN)
        if not any(has_refs(item.inputs.values()) for item in items):
            self._run(items)
            return
        ready: list[Assignment] = []
        for item in items:
            if not has_refs(item.inputs.values()):
                ready.append(item)
            elif item.key not in self._waiting:
                self._waiting[item.key] = self._tasks.start(self._wait(item))
        self._run(ready)

    async def _wait(self, item: Assignment) -> None:
        began_ms = self._clock.wall_ms()
        wanted = {ref.digest: ref for ref in refs(item.inputs.values())}
        try:
            await asyncio.gather(*(self._data.fetch(ref) for ref in wanted.values()))
        except SwarmError as error:
            self._tell([Outcome(item.key, False, {}, error, True, began_ms, 0.0, after=item.after)])
        else:
            self._run([item])
        finally:
            del self._waiting[item.key]

    def withdraw(self, key: StepKey) -> None:
        """Nobody waits for this attempt any more."""
        self._contexts.pop(key, None)
        if (task := self._waiting.get(key)) is not None:
            task.cancel()

    # -- out ---------------------------------------------------------------------------------------

    def ship(self, outcomes: Sequence[Outcome]) -> None:
        """Tell the outcomes that may be told now; the others are once a second node holds their outputs."""
        if not any(has_refs(outcome.outputs.values()) for outcome in outcomes):
            for outcome in outcomes if self._contexts else ():
                self._contexts.pop(outcome.key, None)
            self._tell(outcomes)
            return
        ready: list[Outcome] = []
        for outcome in outcomes:
            if has_refs(outcome.outputs.values()):
                self._leaving[outcome.key] = outcome
                self._tasks.start(self._copy(outcome, self._contexts.pop(outcome.key, PLAIN)))
            else:
                ready.append(outcome)
        if ready:
            self._tell(ready)

    # -- calls -------------------------------------------------------------------------------------

    def whole(self, call: Call) -> Call:
        """The same call; what its answer left in the store is told with it: nothing else brings it."""

        def answered(result: Reply | SwarmError) -> None:
            if isinstance(result, SwarmError) or not has_refs(result.values()):
                call.answered(result)
            else:
                self._tasks.start(self._answer(call, result))

        return Call(call.capability, call.inputs, call.timeout_ms, answered)

    async def _answer(self, call: Call, result: Reply) -> None:
        try:
            call.answered({port: await self._open(items) for port, items in result.items()})
        except SwarmError as error:
            call.answered(error)

    async def _open(self, items: Items) -> Items:
        if isinstance(items, Payload):
            return await self._data.inline(items)
        return tuple([await self._data.inline(item) for item in items])

    # -- copies ------------------------------------------------------------------------------------

    async def _copy(self, outcome: Outcome, context: Context) -> None:
        digests = list({ref.digest: None for ref in refs(outcome.outputs.values())})
        nodes = await self._data.spread(digests, context)
        outputs = {port: _located(items, nodes) for port, items in outcome.outputs.items()}
        del self._leaving[outcome.key]
        self._tell([outcome._replace(outputs=outputs)])


def _located(items: Items, nodes: tuple[NodeId, ...]) -> Items:
    """The same values; those that lie elsewhere say where."""
    return _one(items, nodes) if isinstance(items, Payload) else tuple([_one(item, nodes) for item in items])


def _one(item: Payload, nodes: tuple[NodeId, ...]) -> Payload:
    return replace(read_ref(item.data), nodes=nodes).payload() if item.kind == REF else item
