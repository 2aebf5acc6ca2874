"""The leader's side of chains: what becomes of promises as attempts end, and what their nodes are told."""

from __future__ import annotations

from swarm.ids import NodeId, RunId, StepKey
from swarm.scheduler.actions import Action, Withdraw
from swarm.scheduler.chains import After, follower_of, recorded_as
from swarm.scheduler.desk import Desk, Entry, Place
from swarm.scheduler.events import AttemptFailed
from swarm.scheduler.ledger import Ledger
from swarm.scheduler.run import Run


class Following:
    """Keeps the promises on a desk; see `chains`."""

    def __init__(self, desk: Desk, ledger: Ledger) -> None:
        self._desk = desk
        self._ledger = ledger

    def promised(self, key: StepKey, after: After | None) -> bool:
        """Whether this is the result of a follower, whose predecessor's is on its way to the log."""
        promise = self._desk.promises.kept(key, after)
        if promise is None:
            return False
        before = promise.before
        entry = self._desk.find(before.run, before.step)
        if entry is not None:
            return entry.place is Place.RECORDING and entry.key == before
        earlier = self._desk.promises.find(before.run, before.step)
        return earlier is not None and earlier.key == before and earlier.arrived

    def knows(self, key: StepKey) -> bool:
        """Whether this attempt is on the desk, or is promised."""
        if self._desk.find(key.run, key.step) is not None:
            return True
        promise = self._desk.promises.find(key.run, key.step)
        return promise is not None and promise.holds and promise.key == key

    def resume(self, run: Run, step: int, entry: Entry, now_ms: int) -> AttemptFailed | bool:
        """The step is ready. Whether the node that was promised it has it already, or how that has ended."""
        promise = self._desk.promises.take(run.submitted.run, step)
        if promise is None:
            return False
        entry.attempts = promise.key.attempt
        self._give_back(promise.node, promise.key)
        view = self._desk.nodes.get(promise.node)
        if not promise.holds or not recorded_as(run, step, promise.after):
            return False
        if promise.arrived:
            self._desk.record(entry, promise.key, now_ms)
        elif promise.failed is not None:
            return promise.failed
        elif view is not None:
            self._desk.fly(entry, view, promise.key, now_ms, run.graph.nodes[step])
        return promise.arrived or view is not None

    def succeeded(self, key: StepKey) -> None:
        """If the node of this attempt was promised what follows, it is at it now: that takes a slot."""
        run = self._ledger.runs.get(key.run)
        step = follower_of(run, key.step) if run is not None else None
        promise = self._desk.promises.find(key.run, step) if step is not None else None
        if run is None or promise is None or promise.before != key or not promise.holds or promise.arrived:
            return
        if view := self._desk.nodes.get(promise.node):
            view.take(promise.key, run.graph.nodes[promise.key.step].resources)

    def arrive_early(self, node: NodeId, key: StepKey) -> None:
        """The result of a step that is not ready yet."""
        self._desk.promises.arrive(key)
        self._give_back(node, key)
        self.succeeded(key)

    def fail_early(self, event: AttemptFailed) -> None:
        """An attempt at a step that is not ready yet has failed."""
        self._desk.promises.fail(event)
        self._give_back(event.node, event.key)

    def call_off(self, entry: Entry, actions: list[Action], but: StepKey | None = None) -> None:
        """Nobody waits for its attempts any more, nor for what follows them, but for the one that counts."""
        for node, key in entry.flying():
            if key != but:
                actions.append(Withdraw(node, key))
                self.break_off(key, actions)

    def break_off(self, key: StepKey, actions: list[Action]) -> None:
        """What was promised to follow this attempt is not to be begun, or ended."""
        for promise in self._desk.promises.line(self._ledger.runs[key.run], key):
            promise.holds = False
            self._give_back(promise.node, promise.key)
            actions.append(Withdraw(promise.node, promise.key))

    def forget(self, run: RunId, actions: list[Action]) -> None:
        """A run is over: nobody waits for anything of it."""
        for entry in self._desk.clear(run):
            actions += [Withdraw(node, key) for node, key in entry.flying()]
        for promise in self._desk.promises.clear(run):
            self._give_back(promise.node, promise.key)
            actions.append(Withdraw(promise.node, promise.key))

    def _give_back(self, node: NodeId, key: StepKey) -> None:
        if view := self._desk.nodes.get(node):
            view.give_back(key)
