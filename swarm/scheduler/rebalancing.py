"""Second attempts at steps that are late, where nodes idle: the first result wins, the other is withdrawn.

Work that waits at the leader goes by itself to whoever has room. What was handed to a node stays there,
though, in the node's own queue or in a cell that hangs. So once nothing waits at the leader and a node runs
dry, this looks for steps that would end much sooner over there, and begins a *spare* attempt at them: at the
tail of a slow node's queue, which moves queued work without losing it if the new node dies, and at steps that
run far longer than their kind does. A spare never touches the first attempt before there is a result.

Never copied: a step that must not run twice (`effects: once`), one that may be tried once only, one that has
a spare already, and one of a kind whose cost nobody has measured yet.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from swarm.ids import NodeId, StepKey
from swarm.scheduler.actions import Action
from swarm.scheduler.desk import Desk, Place
from swarm.scheduler.ledger import Ledger
from swarm.scheduler.placement import NodeView
from swarm.scheduler.placing import ONCE, Placer
from swarm.scheduler.ranking import Ranks
from swarm.scheduler.run import context_of

LOOK_MS: Final = 100  # between two looks at all nodes
SPARES_MAX: Final = 64  # begun at one look
BETTER: Final = 2.0  # a spare must be expected to end so many times sooner
GAIN_MS_MIN: Final = 500.0  # and by so much
LATE: Final = 3.0  # times what its kind takes, and more than LATE_MS_MIN: then a step is late, and will be
LATE_MS_MIN: Final = 2_000
PACE_MEMORY: Final = 0.7  # of the running average of a node's pace


@dataclass(slots=True)
class _Pace:
    """How many steps a node ends in a millisecond, as far as we have seen it work."""

    view: NodeView
    done: int
    seen_ms: int
    per_ms: float | None = None


class Rebalancer:
    """See the head of this module. Asked at every tick; looks now and then."""

    def __init__(self, desk: Desk, ledger: Ledger, placer: Placer, ranks: Ranks) -> None:
        self._desk = desk
        self._ledger = ledger
        self._placer = placer
        self._ranks = ranks
        self._paces: dict[NodeId, _Pace] = {}
        self._look_ms = 0

    def rebalance(self, now_ms: int) -> list[Action]:
        """Begin spares where they pay."""
        if now_ms < self._look_ms:
            return []
        self._look_ms = now_ms + LOOK_MS
        self._measure(now_ms)
        actions: list[Action] = []
        views = self._desk.nodes.values()
        if any(self._desk.queues.values()) or not any(view.busy for view in views):
            return actions
        takers = sorted(
            (view for view in views if view.free > 0), key=lambda view: (len(view.busy), view.node)
        )
        givers = [view for view in views if self._may_pay(view, now_ms)]
        for giver in sorted(givers, key=self._wait_ms, reverse=True):
            for key, expected_ms in self._late(giver, now_ms):
                if len(actions) >= SPARES_MAX:
                    return actions
                action = self._spare(key, expected_ms, [each for each in takers if each is not giver], now_ms)
                if action is not None:
                    actions.append(action)
        return actions

    def _measure(self, now_ms: int) -> None:
        """What each node has done since the last look."""
        paces: dict[NodeId, _Pace] = {}
        for view in self._desk.nodes.values():
            old = self._paces.get(view.node)
            if old is None or old.view is not view:  # it is new, or it came back
                paces[view.node] = _Pace(view, view.done, now_ms)
                continue
            paces[view.node] = old
            ended, spent_ms = view.done - old.done, now_ms - old.seen_ms
            if ended and spent_ms > 0:
                seen = ended / spent_ms
                old.per_ms = (
                    seen if old.per_ms is None else old.per_ms * PACE_MEMORY + seen * (1 - PACE_MEMORY)
                )
            if ended or not view.busy:  # a node in the middle of one long step has not become slower
                old.done, old.seen_ms = view.done, now_ms
        self._paces = paces

    def _wait_ms(self, view: NodeView) -> float:
        """How long this node will take over what it has."""
        pace = self._paces[view.node].per_ms
        return len(view.busy) / pace if pace else float(len(view.busy)) * GAIN_MS_MIN

    def _may_pay(self, view: NodeView, now_ms: int) -> bool:
        """Whether a spare for anything here could be expected to gain enough: to look at each costs more."""
        if self._wait_ms(view) > GAIN_MS_MIN:
            return True
        first = next(iter(view.busy), None)
        entry = self._desk.find(first.run, first.step) if first is not None else None
        return entry is not None and now_ms - entry.since_ms > LATE_MS_MIN  # nothing is there for longer

    def _late(self, view: NodeView, now_ms: int) -> Iterator[tuple[StepKey, float]]:
        """Attempts on a node, the one that ends last first, and in how many ms each is expected to end."""
        pace = self._paces[view.node].per_ms
        for at, key in reversed(list(enumerate(view.busy, start=1))):
            entry = self._desk.find(key.run, key.step)
            if (
                entry is None
                or entry.place is not Place.FLYING
                or entry.key != key
                or entry.spare is not None
            ):
                continue
            cost_ms = self._cost_ms(key)
            if cost_ms is None or not self._may_run_twice(key):
                continue
            age_ms = now_ms - entry.since_ms
            expected_ms = at / pace if pace else 0.0
            if age_ms > LATE * cost_ms + LATE_MS_MIN:
                expected_ms = max(expected_ms, age_ms)
            if age_ms >= LOOK_MS:
                yield key, expected_ms

    def _cost_ms(self, key: StepKey) -> float | None:
        node = self._ledger.runs[key.run].graph.nodes[key.step]
        return self._ranks.costs.get(node.capability)

    def _may_run_twice(self, key: StepKey) -> bool:
        run = self._ledger.runs[key.run]
        node = run.graph.nodes[key.step]
        offer = self._ledger.offer(node.capability, context_of(run, key.step).tenant)
        return (
            offer is not None
            and offer.signature.effects != ONCE
            and key.step not in run.intents
            and node.retry.attempts_max > 1
        )

    def _spare(self, key: StepKey, expected_ms: float, takers: list[NodeView], now_ms: int) -> Action | None:
        """Begin a spare on the node where it would end first, if that is much sooner."""
        cost_ms = self._cost_ms(key) or 0.0
        best: NodeView | None = None
        best_ms = (expected_ms - GAIN_MS_MIN) / BETTER
        for view in takers:
            pace = self._paces[view.node].per_ms
            ahead_ms = len(view.busy) / pace if pace else len(view.busy) * cost_ms
            if ahead_ms + cost_ms < best_ms and self._placer.could(key, view):
                best, best_ms = view, ahead_ms + cost_ms
        return self._placer.spare(key, best, now_ms) if best is not None else None
