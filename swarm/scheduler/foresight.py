"""Steps that are begun while their run is on its way into the log.

Nothing of it is true before the commit, so none of it is on the desk: an attempt that was sent out ahead
holds its slot and waits here. With the run it goes on as if it had been sent then, with the same key. A run
that never comes to be is forsaken, and whatever its attempts give is no result of anything.

Only what may run twice is begun ahead, and only where nobody else waits for the room.
"""

from __future__ import annotations

from swarm.ids import NodeId, RunId, StepKey
from swarm.limits import RUNS_AHEAD_MAX, STEPS_AHEAD_MAX
from swarm.scheduler.actions import Action, Dispatch, Withdraw
from swarm.scheduler.chains import follower_of
from swarm.scheduler.desk import Desk, Entry, Where
from swarm.scheduler.events import RunSubmitted
from swarm.scheduler.ledger import Ledger
from swarm.scheduler.needs import near
from swarm.scheduler.placement import NodeView, choose
from swarm.scheduler.placing import GREEDY, HOME, ONCE, Placer
from swarm.scheduler.run import Run


class Foresight:
    """See the head of this module."""

    def __init__(self, desk: Desk, ledger: Ledger, placer: Placer, term: int) -> None:
        self._desk = desk
        self._ledger = ledger
        self._placer = placer
        self._term = term
        self._flying: dict[RunId, dict[int, tuple[NodeView, StepKey]]] = {}
        self._forsaken: dict[RunId, None] = {}  # the latest; should one come to be, those keys are used up

    def begin(self, run: Run, home: NodeId | None, now_ms: int) -> list[Action]:
        """Send out the first steps of a run that is not in the log yet; to `home` first if that idles."""
        first = list(run.ready())
        busy = any(self._desk.queues.values()) or len(self._flying) >= RUNS_AHEAD_MAX
        quota = self._ledger.policy.in_force and run.submitted.tenant
        if busy or quota or len(first) > STEPS_AHEAD_MAX:
            return []
        actions: list[Action] = []
        flying: dict[int, tuple[NodeView, StepKey]] = {}
        for step in first:
            if run.waits_softly(step) or follower_of(run, step) is not None:
                continue  # a line of steps is one order, and that is made when the run is there
            if (order := self._order(run, step, home, now_ms)) is not None:
                flying[step] = (self._desk.nodes[order.node], order.key)
                actions.append(order)
        if flying:
            self._flying[run.submitted.run] = flying
        return actions

    def _order(self, run: Run, step: int, home: NodeId | None, now_ms: int) -> Dispatch | None:
        """The first attempt at a step, its slot taken.

        None where no node has room, and for what must not run twice: its intent has to be in the log first.
        """
        found = self._placer.takers(Where.of(run, step))
        if found is None or not found[1] or found[0].signature.effects == ONCE:
            return None
        offer, views = found
        idle = (view for view in views if view.node == home and not view.busy and not run.refers)
        here = next(idle, None)
        view = here or choose(views, near(run, step))
        key = StepKey(run.submitted.run, step, self._term, 1)
        look = self._placer.history.begin(self._desk.nodes.values(), HOME if here else GREEDY, now_ms)
        view.take(key, run.graph.nodes[step].resources)
        look.placed.append((key.run, step, view.node))
        self._placer.history.keep(look)
        return self._placer.told(run, offer, view, key)

    def knows(self, run: RunId) -> bool:
        """Whether steps of this run were sent out, wherever they are by now."""
        return run in self._flying or run in self._forsaken

    def forsake(self, run: RunId) -> list[Action]:
        """The run did not come to be."""
        if run not in self._flying:
            return []
        self._forsaken[run] = None
        if len(self._forsaken) > RUNS_AHEAD_MAX:
            del self._forsaken[next(iter(self._forsaken))]
        return self._land(run)

    def resume(self, run: Run, step: int, entry: Entry, now_ms: int) -> bool:
        """A step is on the desk now: whether an attempt at it flies already."""
        name = run.submitted.run
        if name in self._forsaken:
            entry.attempts = 1
        found = self._flying.get(name, {}).pop(step, None)
        if found is None:
            return False
        view, key = found
        view.give_back(key)
        entry.attempts = key.attempt
        if self._desk.nodes.get(view.node) is not view:
            return False  # lost meanwhile, and with it the attempt
        self._desk.fly(entry, view, key, now_ms, run.graph.nodes[step])
        return True

    def settle(self, event: RunSubmitted) -> list[Action]:
        """The run is in the log, or another with its key is: what was not resumed has given its result, or
        is wanted no more.
        """
        for record in event.records:
            if found := self._flying.get(event.run, {}).pop(record.step, None):
                found[0].give_back(found[1])
                found[0].done += 1
                found[0].judge(failed=False)
        return self._land(event.run)

    def _land(self, run: RunId) -> list[Action]:
        left = self._flying.pop(run, {}).values()
        for view, key in left:
            view.give_back(key)
        return [Withdraw(NodeId(view.node), key) for view, key in left]
