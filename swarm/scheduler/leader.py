"""The leader's work: it learns what happened, keeps the desk, and says what must happen next.

Two clocks meet in the scheduler and must not be mixed: durable events carry the calendar's time, as some
leader saw it; deadlines are kept by this leader's clock that never jumps, and only volatile events tell it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias, assert_never

from swarm import limits
from swarm.errors import DataLost, NeedsDecision, NotDone, NotHosted, OutOfTime, SwarmError, Unreachable
from swarm.ids import NodeId, RunId, StepKey
from swarm.scheduler.actions import Action, Record, Recorded, Withdraw
from swarm.scheduler.copies import Copies
from swarm.scheduler.desk import CLAIMED_ATTEMPT_MAX, Desk, Entry, Place, Where
from swarm.scheduler.doubts import TOLD, Doubts
from swarm.scheduler.events import (
    AttemptFailed,
    BlobsHeld,
    CopyEnded,
    Durable,
    MadeAgain,
    NodeChanged,
    NodeJoined,
    NodeLost,
    OutcomesArrived,
    RunForeseen,
    RunForsaken,
    RunSubmitted,
    StepRecord,
    StepsIntended,
    StepsRecorded,
    Tick,
)
from swarm.scheduler.explaining import Explanation, explain
from swarm.scheduler.following import Following
from swarm.scheduler.foresight import Foresight
from swarm.scheduler.ledger import Ledger
from swarm.scheduler.placement import NodeView, sane_load
from swarm.scheduler.placing import Placer
from swarm.scheduler.ranking import Ranks
from swarm.scheduler.rebalancing import Rebalancer
from swarm.scheduler.remaking import REST_MS, Remakes
from swarm.scheduler.retry import may_retry, rest_ms
from swarm.scheduler.run import Run, Step
from swarm.scheduler.together import Options

Happening: TypeAlias = (
    RunForeseen
    | RunForsaken
    | NodeJoined
    | NodeChanged
    | NodeLost
    | OutcomesArrived
    | AttemptFailed
    | BlobsHeld
    | CopyEnded
    | MadeAgain
    | Tick
)
"""The volatile events a leader hears of while it leads."""


class Leader:
    """One term of leadership, from the election on."""

    def __init__(self, ledger: Ledger, term: int, now_ms: int, options: Options) -> None:
        self.desk = Desk()
        self.following = Following(self.desk, ledger)
        self.ranks = Ranks()
        self._ledger = ledger
        self._term = term
        self._now_ms = now_ms
        self._hold_until_ms = now_ms + limits.TAKEOVER_GRACE_MS  # nodes may claim what they run until then
        self.placer = Placer(self.desk, ledger, term, options)
        self._doubts = Doubts(self.desk, ledger, self.placer)
        self._foresight = Foresight(self.desk, ledger, self.placer, term)
        self.copies = Copies(self.desk, ledger, now_ms)  # of large payloads
        self.remakes = Remakes(self.desk, ledger, self.placer, self.copies.holders, term)
        self._rebalancer = (
            Rebalancer(self.desk, ledger, self.placer, self.ranks) if options.rebalance else None
        )
        for run in ledger.runs.values():
            if run.settled:
                continue
            steps = [*run.ready()]
            if _simple(run, steps, self.ranks):
                self.desk.open(run, _by_where(run, steps), now_ms)
                continue
            for step in steps:
                self._welcome(run, step, [])

    def committed(self, event: Durable, touched: Sequence[tuple[Run, list[int]]]) -> list[Action]:
        """What is true changed: these runs, and of each these steps may be looked at again."""
        actions: list[Action] = []
        if isinstance(event, StepsRecorded | RunSubmitted) and event.records:
            self._settle(event.records, actions)
            if touched:
                self.ranks.learn(self._ledger, event.records)
        if isinstance(event, StepsRecorded | RunSubmitted) and any(run.refers for run, _ in touched):
            self.copies.spoken_of(event, self._now_ms)
        if isinstance(event, StepsIntended):
            orders = (self.placer.intended(intent, self._now_ms) for intent in event.intents)
            actions += [order for order in orders if order is not None]
        for run, steps in touched:
            foreseen = self._foresight.knows(run.submitted.run)
            if isinstance(event, RunSubmitted) and not foreseen and _simple(run, steps, self.ranks):
                self.desk.open(run, _by_where(run, steps), self._now_ms)
                continue
            for step in steps:
                self._welcome(run, step, actions)
            if run.settled:
                self.ranks.forget(run.submitted.run)
                self.following.forget(run.submitted.run, actions)
                self.remakes.forget(run.submitted.run, actions)
        if isinstance(event, RunSubmitted):
            actions += self._foresight.settle(event)
        self._place(actions)
        return actions

    def happen(self, event: Happening) -> list[Action]:
        """Something happened that the log does not tell of."""
        self._now_ms = event.at_ms
        actions: list[Action] = []
        match event:
            case OutcomesArrived():
                self._arrive(event, actions)
            case AttemptFailed():
                self._fail(event, actions)
            case RunForeseen():
                if self._now_ms >= self._hold_until_ms:
                    actions += self._foresight.begin(Run(event.submitted), event.home, self._now_ms)
            case RunForsaken():
                actions += self._foresight.forsake(event.run)
            case NodeJoined():
                self._join(event, actions)
            case NodeChanged():
                _change(self.desk.nodes.get(event.node), event)
                self.copies.changed(event)
            case NodeLost():
                self._lose(event.node, frozenset(), actions)
                self.copies.gone(event.node, self._now_ms)
            case BlobsHeld() | CopyEnded():
                self.copies.hear(event)
            case MadeAgain():
                self.remakes.ended(event)
            case Tick():
                self._tick(actions)
            case _:
                assert_never(event)
        self._place(actions)
        return actions

    def explain(self, run: Run, step: int) -> Explanation:
        """Why a step is where it is, or where it would go."""
        found = explain(self._ledger, self.desk, self.placer.history, run, step, self._now_ms)
        note = self.remakes.note(run, step)
        return replace(found, note=note) if note else found

    def _place(self, actions: list[Action]) -> None:
        if self._now_ms >= self._hold_until_ms:
            actions += self.remakes.place(self._now_ms)
            actions += self.placer.place(self._now_ms)

    # -- steps come and go -----------------------------------------------------------------------

    def _settle(self, records: Sequence[StepRecord], actions: list[Action]) -> None:
        """Steps are in the log: take them off the desk and tell whoever still works on them."""
        told: dict[NodeId, list[StepKey]] = {}
        off: list[Action] = []
        for run, step, term, attempt, node, *_ in records:
            key = StepKey(run, step, term, attempt)
            if node:
                told.setdefault(node, []).append(key)
            entry = self.desk.remove(run, step)
            if entry is not None and (entry.key != key or entry.spare is not None):
                self.following.call_off(entry, off, but=key)
        actions += [Recorded(node, keys) for node, keys in told.items()]
        actions += off

    def _welcome(self, run: Run, step: int, actions: list[Action]) -> None:
        """A step may run, or one of its loose inputs came at last."""
        if run.state[step] is not Step.READY:
            return  # one entry of the log may hold both what made it ready and its own result
        name = run.submitted.run
        entry = self.desk.find(name, step)
        if entry is None:
            entry = self.desk.add(name, step, self._now_ms, run.submitted.tenant)
            if self._foresight.resume(run, step, entry, self._now_ms):
                return
            resumed = self.following.resume(run, step, entry, self._now_ms)
            if isinstance(resumed, AttemptFailed):
                self._attempt_over(resumed, entry, actions)
            if resumed:
                return
            if step in run.intents:
                self._doubts.begin(entry, name, step, self._now_ms)
                return
            if run.waits_softly(step):
                self.desk.wait(entry, name, step, self._now_ms)
                return
        elif entry.place is not Place.LATE or run.waits_softly(step):
            return
        self._queue(run, step, entry)

    def _queue(self, run: Run, step: int, entry: Entry, *, front: bool = False) -> None:
        name, priority = (run.submitted.run, step), run.submitted.priority
        where, ranks = Where.of(run, step), self.ranks.of(run)
        self.desk.queue(entry, where, name, priority, self._now_ms, front=front, ranks=ranks)

    # -- attempts end ----------------------------------------------------------------------------

    def _arrive(self, event: OutcomesArrived, actions: list[Action]) -> None:
        """Results came, of whatever attempt: nobody needs to try these steps any more."""
        view = self.desk.nodes.get(event.node)
        for key in event.keys:
            entry = self.desk.find(key.run, key.step)
            if entry is None:
                self.following.arrive_early(event.node, key)
                continue
            if entry.place is Place.RECORDING:
                continue
            if entry.key != key or entry.spare is not None:
                self.following.call_off(entry, actions, but=key)
            self.desk.record(entry, key, self._now_ms)
            if self.desk.promises:
                self.following.succeeded(key)
            if view is not None:
                view.done += 1
                if view.failures:
                    view.judge(failed=False)

    def _fail(self, event: AttemptFailed, actions: list[Action]) -> None:
        actions.append(Recorded(event.node, (event.key,)))
        entry = self.desk.find(event.key.run, event.key.step)
        if entry is None:
            self.following.fail_early(event)
        flies = entry is not None and (event.node, event.key) in entry.flying()
        if entry is not None and entry.spare is not None and flies and not self.remakes.lacks(event):
            entry.failures += 1  # the other attempt goes on
            entry.drop(self.desk.nodes, event.key)
            if view := self.desk.nodes.get(event.node):
                view.judge(failed=True)
        elif entry is not None and (flies or self._doubts.told(entry, event.key, event.error)):
            self._attempt_over(event, entry, actions)

    def _attempt_over(self, event: AttemptFailed, entry: Entry, actions: list[Action]) -> None:
        """An attempt failed: rest and try again, or give the step up."""
        key = event.key
        if entry.place is Place.ASKING and entry.key == key:
            self._answered(entry, key, event.error, actions)
            return
        if self._held_back(entry, key, self.remakes.lacks(event), actions):
            return
        if view := self.desk.nodes.get(event.node):
            view.judge(failed=True)
        entry.failures += 1
        if self._doubts.intended(key) and not isinstance(event.error, NotHosted):
            if isinstance(event.error, TOLD):
                record = _failure(key, event.node, event.error, event.started_ms, event.wall_ms)
                self._give_up(entry, record, actions)
            else:
                self._ask(entry, key.run, key.step, actions, event.error)
            return
        policy = self._ledger.runs[key.run].graph.nodes[key.step].retry
        if may_retry(policy, entry.failures, retryable=event.retryable):
            duration_ms = rest_ms(policy, key.run, key.step, entry.failures)
            self.desk.rest(entry, key.run, key.step, self._now_ms, duration_ms)
        else:
            record = _failure(key, event.node, event.error, event.started_ms, event.wall_ms)
            self._give_up(entry, record, actions)

    def _held_back(self, entry: Entry, key: StepKey, waits: DataLost | bool, actions: list[Action]) -> bool:
        """A step lacks some of its inputs: whether it `waits` for them, or was given up for want of them."""
        if waits:
            self.following.call_off(entry, actions, but=key)
        if isinstance(waits, DataLost):
            self._give_up(entry, _failure(key, NodeId(""), waits), actions)
        elif waits:
            self.desk.rest(entry, key.run, key.step, self._now_ms, REST_MS)
        return bool(waits)

    def _ask(
        self, entry: Entry, run: RunId, step: int, actions: list[Action], cause: SwarmError | None = None
    ) -> None:
        """Have the agent say what became of an attempt, if it can, or a person."""
        found = self._doubts.ask(entry, run, step, self._now_ms, cause)
        if isinstance(found, NeedsDecision):
            self._give_up(entry, _failure(*self._doubts.attempt(run, step), found), actions)
        elif found is not None:
            actions.append(found)

    def _answered(self, entry: Entry, key: StepKey, error: SwarmError, actions: list[Action]) -> None:
        """The agent did not say that it was done: that would have been a result."""
        if isinstance(error, NotDone):
            entry.doubt = None
            self._queue(self._ledger.runs[key.run], key.step, entry, front=True)
        elif isinstance(error, NeedsDecision):
            told = self._doubts.undecided(key.run, key.step, error)
            self._give_up(entry, _failure(*self._doubts.attempt(key.run, key.step), told), actions)
        else:
            self._doubts.wait(entry, key.run, key.step, self._now_ms)

    def _give_up(self, entry: Entry, record: StepRecord, actions: list[Action]) -> None:
        key = StepKey(record.run, record.step, record.term, record.attempt)
        self.desk.record(entry, key, self._now_ms)
        actions.append(Record(record))

    # -- nodes come and go -------------------------------------------------------------------------

    def _join(self, event: NodeJoined, actions: list[Action]) -> None:
        """A node opened a link. What it still runs goes on, unless somebody else took it over."""
        old = self.desk.nodes.get(event.node)
        kept = frozenset(
            key for key in event.running if old is not None and key in old.busy and self.following.knows(key)
        )
        self._lose(event.node, kept, actions)
        view = NodeView(
            event.node,
            event.slots,
            event.agents,
            event.layers,
            memory_mb=event.memory_mb,
            cpu_cores=event.cpu_cores,
            clearance=event.clearance,
        )
        self.desk.nodes[event.node] = view
        self.copies.joined(event.node, self._now_ms)
        for key in event.running:
            entry = self.desk.find(key.run, key.step)
            if key in kept:
                view.take(key, self._ledger.runs[key.run].graph.nodes[key.step].resources)
            elif entry is not None and self._may_claim(entry, key):
                entry.attempts = max(entry.attempts, key.attempt)
                entry.losses = max(entry.losses - 1, 0)  # it was not lost after all
                self.following.call_off(entry, actions)  # nobody has to be asked about it any more
                entry.doubt = None
                node = self._ledger.runs[key.run].graph.nodes[key.step]
                self.desk.fly(entry, view, key, self._now_ms, node)
            else:
                actions.append(Withdraw(event.node, key))
        self._doubts.returned(event.node, self._now_ms)

    def _may_claim(self, entry: Entry, key: StepKey) -> bool:
        """Nobody else works on it, and the attempt is one that can have been ordered."""
        if entry.place in (Place.UNSURE, Place.ASKING):
            return self._doubts.intended(key)
        attempts_max = entry.attempts if key.term == self._term else CLAIMED_ATTEMPT_MAX
        return (
            entry.place in (Place.QUEUED, Place.LATE)
            and key.term <= self._term
            and 1 <= key.attempt <= attempts_max
        )

    def _lose(self, node: NodeId, kept: frozenset[StepKey], actions: list[Action]) -> None:
        """A node is gone; what it was running must run elsewhere, but for what is kept."""
        view = self.desk.nodes.pop(node, None)
        if view is None:
            return
        self.desk.promises.lose(node, kept)
        self.remakes.gone(node, self._now_ms)
        for key in view.busy:
            entry = self.desk.find(key.run, key.step)
            if entry is None or key in kept:
                continue
            if entry.spare is not None:
                entry.drop(self.desk.nodes, key)
                continue
            if entry.place is Place.ASKING:
                self._doubts.wait(entry, key.run, key.step, self._now_ms)
                continue
            if entry.place is Place.FLYING and self._doubts.intended(key):
                self._doubts.begin(entry, key.run, key.step, self._now_ms)
                continue
            entry.losses += 1
            if entry.losses > limits.NODE_LOSSES_MAX:
                error = Unreachable(f"{entry.losses} nodes were lost while they ran it", place=f"node {node}")
                self._give_up(entry, _failure(key, node, error), actions)
            else:
                self._queue(self._ledger.runs[key.run], key.step, entry, front=True)

    # -- time passes -----------------------------------------------------------------------------

    def _tick(self, actions: list[Action]) -> None:
        for name, step, entry in self.desk.ring(self._now_ms):
            if entry.place is Place.UNSURE:
                self._ask(entry, name, step, actions)
            elif entry.node is not None and entry.key is not None:
                if entry.spare is not None:
                    actions.append(Withdraw(*entry.spare))
                    entry.drop(self.desk.nodes, entry.spare[1])
                self._time_out(entry, entry.node, entry.key, actions)
            else:
                run, key = self._ledger.runs[name], StepKey(name, step, self._term, entry.attempts)
                if not self._held_back(entry, key, self.remakes.awaited(run, step), actions):
                    self._queue(run, step, entry)
        self.desk.sweep()
        actions += self.copies.tick(self._now_ms)
        self.remakes.tick(self._now_ms, actions)
        for name, step, error in self.placer.impatient(self._now_ms):
            if unhosted := self.desk.find(name, step):
                key = StepKey(name, step, self._term, unhosted.attempts)
                self._give_up(unhosted, _failure(key, NodeId(""), error), actions)
        if self._rebalancer is not None:
            actions += self._rebalancer.rebalance(self._now_ms)

    def _time_out(self, entry: Entry, node: NodeId, key: StepKey, actions: list[Action]) -> None:
        timeout_ms = self._ledger.runs[key.run].graph.nodes[key.step].timeout_ms
        error = OutOfTime(f"no result within {timeout_ms} ms", place=f"node {node}")
        actions.append(Withdraw(node, key))
        self.following.break_off(key, actions)
        failed = AttemptFailed(
            self._now_ms, node, key, error, retryable=True, started_ms=0, wall_ms=float(timeout_ms)
        )
        self._attempt_over(failed, entry, actions)


def _change(view: NodeView | None, event: NodeChanged) -> None:
    if view is not None:
        view.agents = view.agents if event.agents is None else event.agents
        view.load = view.load if event.load is None else sane_load(event.load)
        view.draining = view.draining if event.draining is None else event.draining


def _simple(run: Run, steps: Sequence[int], ranks: Ranks) -> bool:
    """Whether these steps, of a run nobody here has looked at yet, may be queued as they are: there are some,
    none is waited for, ranked or in doubt.
    """
    return bool(steps) and not run.intents and ranks.of(run) is None and not any(map(run.waits_softly, steps))


def _by_where(run: Run, steps: Sequence[int]) -> list[tuple[Where, list[int]]]:
    alike: dict[int, list[int]] = {}
    for step in steps:
        alike.setdefault(run.plan.alike[step], []).append(step)
    return [(Where.of(run, first), those) for first, those in alike.items()]


def _failure(
    key: StepKey, node: NodeId, error: SwarmError, started_ms: int = 0, wall_ms: float = 0.0
) -> StepRecord:
    return StepRecord(*key, node, ok=False, outputs={}, error=error, started_ms=started_ms, wall_ms=wall_ms)
