"""From queued steps to dispatches, and what to do about steps that no node can take."""

from __future__ import annotations

from swarm import limits
from swarm.errors import RunFailed
from swarm.ids import RunId, StepKey
from swarm.scheduler.actions import Action, Dispatch
from swarm.scheduler.desk import Desk, Entry, Where
from swarm.scheduler.fair import FairQueue
from swarm.scheduler.ledger import Ledger, Offer
from swarm.scheduler.placement import NodeView, able, affinities, choose
from swarm.scheduler.run import Run

IMPATIENT_SCAN_MS = 1_000  # how often one queue is searched for steps that waited too long for a host


class Placer:
    """Places steps for one leader, in one term."""

    def __init__(self, desk: Desk, ledger: Ledger, term: int) -> None:
        self._desk = desk
        self._ledger = ledger
        self._term = term

    def place(self, now_ms: int) -> list[Action]:
        """Place what can be placed: the most urgent queues in turn, one step each, until there is no room."""
        nodes = self._desk.nodes.values()
        actions: list[Action] = []
        hungry = [(where, queue) for where, queue in self._desk.queues.items() if queue]
        while hungry and any(view.free > 0 for view in nodes):
            urgent = min(queue.priority for _, queue in hungry)
            hungry = [
                (where, queue)
                for where, queue in hungry
                if queue.priority != urgent or self._place_next(where, queue, now_ms, actions)
            ]
        return actions

    def _place_next(self, where: Where, queue: FairQueue, now_ms: int, actions: list[Action]) -> bool:
        """Place the next step of one queue; whether it is worth coming back."""
        offer = self._ledger.offer(where[0])
        if offer is None:
            return False
        digest, layers = offer.agent.digest, where[1] | offer.agent.layers
        views = [v for v in self._desk.nodes.values() if v.free > 0 and able(v, digest, layers)]
        if not views:
            return False
        while name := queue.pop():
            if entry := self._desk.waiting(*name):
                run = self._ledger.runs[name[0]]
                view = choose(views, affinities(run.sources(name[1])))
                actions.append(self._dispatch(run, name[1], entry, offer, view, now_ms))
                # Slots come free one by one: without turns the first queue would take them all.
                self._desk.queues[where] = self._desk.queues.pop(where)
                return bool(queue)
        return False

    def _dispatch(
        self, run: Run, step: int, entry: Entry, offer: Offer, view: NodeView, now_ms: int
    ) -> Dispatch:
        node = run.graph.nodes[step]
        entry.attempts += 1
        key = StepKey(run.submitted.run, step, self._term, entry.attempts)
        self._desk.fly(entry, view, key, now_ms, node.timeout_ms)
        inputs = run.inputs(step, offer.gathers)
        scatter = tuple(item for item in run.scatter(step) if item[0] in offer.scatters)
        return Dispatch(view.node, key, offer.agent.digest, node.capability, inputs, node.timeout_ms, scatter)

    # -- nobody can take it --------------------------------------------------------------------

    def impatient(self, now_ms: int) -> list[tuple[RunId, int, RunFailed]]:
        """Steps that waited too long for a node to host them, and why. They leave the queues."""
        desk = self._desk
        desk.unhosted = {where: look for where, look in desk.unhosted.items() if where in desk.queues}
        found: list[tuple[RunId, int, RunFailed]] = []
        for where, queue in desk.queues.items():
            if self._hosted(where):
                desk.unhosted.pop(where, None)
            elif now_ms > desk.unhosted.setdefault(where, now_ms + limits.UNHOSTED_MS_MAX):
                desk.unhosted[where] = now_ms + IMPATIENT_SCAN_MS
                found += self._leave(where, queue, now_ms)
        return found

    def _hosted(self, where: Where) -> bool:
        offer = self._ledger.offer(where[0])
        if offer is None:
            return False
        digest, layers = offer.agent.digest, where[1] | offer.agent.layers
        return any(able(view, digest, layers) for view in self._desk.nodes.values())

    def _leave(self, where: Where, queue: FairQueue, now_ms: int) -> list[tuple[RunId, int, RunFailed]]:
        error = self._reason(where)
        gone: list[tuple[RunId, int, RunFailed]] = []

        def patient(run: RunId, step: int) -> bool:
            entry = self._desk.waiting(run, step)
            if entry is None:
                return False
            if now_ms - entry.since_ms > limits.UNHOSTED_MS_MAX:
                gone.append((run, step, error))
                return False
            return True

        queue.keep(patient)
        return gone

    def _reason(self, where: Where) -> RunFailed:
        capability, layers = where
        offer = self._ledger.offer(capability)
        if offer is None:
            return RunFailed(
                f"no agent offers {capability}",
                place=str(capability),
                remedy="deploy one that does; swarm agents shows what is offered",
            )
        needed = ", ".join(sorted(layers | offer.agent.layers))
        return RunFailed(
            f"no attached node can run {capability}{f' with layers {needed}' if needed else ''}",
            place=str(capability),
            remedy="swarm agents shows which nodes host what; add a node that can",
        )
