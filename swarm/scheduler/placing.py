"""From queued steps to dispatches, and what to do about steps that no node can take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from swarm import limits
from swarm.errors import RunFailed
from swarm.graph import PLAIN
from swarm.ids import RunId, StepKey
from swarm.scheduler.actions import Action, Dispatch, Intend
from swarm.scheduler.chains import followers
from swarm.scheduler.desk import Desk, Entry, Place, Where, question_ms
from swarm.scheduler.events import StepIntent
from swarm.scheduler.explaining import History
from swarm.scheduler.fair import FairQueue
from swarm.scheduler.ledger import Ledger, Offer
from swarm.scheduler.needs import near
from swarm.scheduler.placement import NodeView, Ordered, able, choose, fits, large_enough
from swarm.scheduler.run import Run, context_of
from swarm.scheduler.shares import Shares
from swarm.scheduler.together import (
    ASSIGNERS,
    TOGETHER_STEPS_MAX,
    Options,
    Wish,
    choose_together,
    contested,
)

TURN_STEPS_MAX = 4_096  # placed from one queue before the others are looked at, where there are none
ONCE = "once"  # the `effects` of a capability that must not run twice
IMPATIENT_SCAN_MS = 1_000  # how often one queue is searched for steps that waited too long for a host
GREEDY = "greedy"
HOME = "home"  # by no score: its run is begun while it is written down, and the leader's own node idled
SPARE = "spare"

Hungry: TypeAlias = list[tuple[Where, FairQueue]]
"""Queues that have steps, and what these ask of a node."""


@dataclass(frozen=True, slots=True)
class _Bidder:
    """A step that was taken out of its queue to be placed together with others."""

    where: Where
    queue: FairQueue
    offer: Offer
    run: Run
    step: int
    entry: Entry
    wish: Wish


class Placer:
    """Places steps for one leader, in one term."""

    def __init__(self, desk: Desk, ledger: Ledger, term: int, options: Options) -> None:
        self.history = History()
        self._desk = desk
        self._ledger = ledger
        self._term = term
        self._name = "hungarian" if options.assigner == "auto" else options.assigner
        self._assigner = ASSIGNERS[options.assigner]

    def place(self, now_ms: int) -> list[Action]:
        """Place what can be placed: the most urgent queues in turn, one step each, until there is no room."""
        actions: list[Action] = []
        hungry = [(where, queue) for where, queue in self._desk.queues.items() if queue]
        if not hungry:
            return actions
        slots = sum(view.slots for view in self._desk.nodes.values() if not view.draining)
        tenants = {where.context.tenant for where, _ in hungry}
        shares = Shares(self._ledger.policy, self._desk.flights, tenants, slots)
        room = sum(view.free for view in self._desk.nodes.values() if view.free > 0)
        while room > len(actions) and (hungry := shares.with_room(hungry)):
            ranks = shares.ranks(hungry)
            best = min(ranks)
            if self._assigner is not None and room - len(actions) <= TOGETHER_STEPS_MAX:
                first = [each for each, rank in zip(hungry, ranks, strict=True) if rank == best]
                most = shares.turn(first, room - len(actions))
                again = self._place_batch(first, most, now_ms, actions)
                hungry = [each for each in hungry if each not in first or each in again]
                continue
            turn = 1 if len(hungry) > 1 else TURN_STEPS_MAX
            hungry = [
                (where, queue)
                for (where, queue), rank in zip(hungry, ranks, strict=True)
                if rank != best
                or self._place_turn(where, queue, shares.room(where.context.tenant, turn), now_ms, actions)
            ]
        return actions

    def _place_turn(
        self, where: Where, queue: FairQueue, turn: int, now_ms: int, actions: list[Action]
    ) -> bool:
        """Place the next steps of one queue, at most `turn`; whether it is worth coming back."""
        needs = where.needs
        found = self.takers(where)
        if found is None:
            return False
        offer, views = found
        if not views:
            return False
        look = self.history.begin(self._desk.nodes.values(), GREEDY, now_ms)
        placed, ordered = look.placed, Ordered(views, needs)
        while ordered and len(placed) < turn and (name := queue.pop()):
            entry = self._desk.waiting(*name)
            if entry is None:
                continue
            run, step = self._ledger.runs[name[0]], name[1]
            view = ordered.choose(near(run, step))
            actions.append(self._dispatch(run, step, entry, offer, view, now_ms))
            placed.append((*name, view.node))
            ordered.taken(view)
        self.history.keep(look)
        if look.placed:
            self._to_the_end(where)
        return bool(look.placed and queue)

    def takers(self, where: Where) -> tuple[Offer, list[NodeView]] | None:
        """Who serves a queue, and the nodes that have room for one of its steps."""
        offer = self._ledger.offer(where.capability, where.context.tenant)
        if offer is None:
            return None
        views = self._desk.nodes.values()
        return offer, [view for view in views if self._able(view, offer, where) and fits(view, where.needs)]

    def _to_the_end(self, where: Where) -> None:
        """Slots come free one by one: without turns the first queue would take them all."""
        if where in self._desk.queues:
            self._desk.queues[where] = self._desk.queues.pop(where)

    # -- when there is little room: several steps at once ------------------------------------------

    def _place_batch(self, hungry: Hungry, room: int, now_ms: int, actions: list[Action]) -> Hungry:
        """Place as many steps as there is room for; the queues that are worth coming back to."""
        batch, left = self._gather(hungry, room)
        together = self._assigner if contested([each.wish for each in batch]) else None
        chosen: list[NodeView | None] = [None] * len(batch)
        if together is not None:
            chosen = choose_together([each.wish for each in batch], together)
        look = self.history.begin(
            self._desk.nodes.values(), self._name if together is not None else GREEDY, now_ms
        )
        waiting: list[_Bidder] = []
        for bidder, given in zip(batch, chosen, strict=True):
            fitting = [each for each in bidder.wish.views if fits(each, bidder.where.needs)]
            view = given if together is not None or not fitting else choose(fitting, bidder.wish.near)
            if view is None or view not in fitting:
                waiting.append(bidder)
                continue
            run, step = bidder.run, bidder.step
            actions.append(self._dispatch(run, step, bidder.entry, bidder.offer, view, now_ms))
            look.placed.append((run.submitted.run, step, view.node))
        self.history.keep(look)
        for bidder in reversed(waiting):
            submitted = bidder.run.submitted
            bidder.queue.push(submitted.priority, submitted.run, bidder.step, front=True)
        for where in dict.fromkeys(each.where for each in batch):
            self._to_the_end(where)
        stuck = {each.where for each in waiting}
        return [each for each in left if each[0] not in stuck] if look.placed else []

    def _gather(self, hungry: Hungry, room: int) -> tuple[list[_Bidder], Hungry]:
        """The next steps of these queues, one of each in turn; and the queues that have more of them."""
        batch: list[_Bidder] = []
        gathered: set[tuple[RunId, int]] = set()  # a step's name may stand in its queue twice
        open_queues = []
        for where, queue in hungry:
            found = self.takers(where)
            if found is not None and found[1]:
                open_queues.append((where, queue, *found))
        urgent = min((queue.priority for _, queue, _, _ in open_queues), default=0)
        while open_queues and len(batch) < room:
            for each in list(open_queues):
                where, queue, offer, views = each
                if queue.priority != urgent or (name := queue.pop()) is None:
                    open_queues.remove(each)
                elif name not in gathered and (entry := self._desk.waiting(*name)) is not None:
                    gathered.add(name)
                    run, step = self._ledger.runs[name[0]], name[1]
                    wish = Wish(views, near(run, step))
                    batch.append(_Bidder(where, queue, offer, run, step, entry, wish))
                    if len(batch) >= room:
                        break
        return batch, [(where, queue) for where, queue, _, _ in open_queues if queue]

    def _dispatch(
        self, run: Run, step: int, entry: Entry, offer: Offer, view: NodeView, now_ms: int
    ) -> Dispatch | Intend:
        entry.attempts += 1
        key = StepKey(run.submitted.run, step, self._term, entry.attempts)
        if offer.signature.effects == ONCE:
            self._desk.intend(entry, view, key, now_ms, run.graph.nodes[step])
            return Intend(StepIntent(*key, view.node))
        return self._order(run, entry, offer, view, key, now_ms)

    def intended(self, intent: StepIntent, now_ms: int) -> Dispatch | None:
        """The intent is in the log: order its attempt, unless it is no longer wanted or its node is gone.

        What was not ordered has not run, whatever the log says: it may be queued again.
        """
        key = StepKey(intent.run, intent.step, intent.term, intent.attempt)
        entry, view = self._desk.find(key.run, key.step), self._desk.nodes.get(intent.node)
        if entry is None or entry.place is not Place.INTENDED or entry.key != key or view is None:
            return None
        run = self._ledger.runs[key.run]
        where = Where.of(run, key.step)
        offer = self._ledger.offer(where.capability, where.context.tenant)
        if offer is None or not self._able(view, offer, where):
            self._desk.queue(entry, where, (key.run, key.step), run.submitted.priority, now_ms, front=True)
            return None
        return self._order(run, entry, offer, view, key, now_ms)

    # -- what became of an attempt -----------------------------------------------------------------

    def answers(self, name: RunId, step: int) -> bool:
        """Whether the agent that serves this step now can tell what became of an intent."""
        run = self._ledger.runs[name]
        offer = self._ledger.offer(run.graph.nodes[step].capability, context_of(run, step).tenant)
        return offer is not None and bool(offer.signature.reconcile)

    def ask(self, name: RunId, step: int, entry: Entry, now_ms: int) -> Dispatch | None:
        """Have a node ask its agent; None where none that could has room."""
        run = self._ledger.runs[name]
        found = self.takers(Where.of(run, step))
        if found is None or not found[1]:
            return None
        offer, views = found
        entry.attempts += 1
        key, node, intent = (
            StepKey(name, step, self._term, entry.attempts),
            run.graph.nodes[step],
            run.intents[step],
        )
        view = choose(views, {})
        self._desk.fly(entry, view, key, now_ms, node, asks=True)
        order = self.told(run, offer, view, key)
        return order._replace(timeout_ms=question_ms(node), about=(intent.term, intent.attempt))

    def _order(
        self, run: Run, entry: Entry, offer: Offer, view: NodeView, key: StepKey, now_ms: int
    ) -> Dispatch:
        self._desk.fly(entry, view, key, now_ms, run.graph.nodes[key.step])
        order = self.told(run, offer, view, key)
        if key.step not in run.plan.followers or offer.signature.effects == ONCE:
            return order
        return order._replace(followers=followers(self._ledger, self._desk.promises, run, key, view))

    def told(self, run: Run, offer: Offer, view: NodeView, key: StepKey) -> Dispatch:
        """What a node is told of an attempt."""
        step, node = key.step, run.graph.nodes[key.step]
        inputs = run.inputs(step, offer.gathers)
        scatter = run.plan.scatter[step]
        if scatter:
            scatter = tuple(item for item in scatter if item[0] in offer.scatters)
        return Dispatch(
            view.node,
            key,
            offer.agent.digest,
            node.capability,
            inputs,
            node.timeout_ms,
            scatter,
            context_of(run, step),
            run.submitted.priority,
            run.submitted.sign,
        )

    def _able(self, view: NodeView, offer: Offer, where: Where) -> bool:
        """Whether this node may run such steps at all, room or not."""
        return able(view, offer.agent.digest, where.layers | offer.agent.layers) and (
            where.context is PLAIN
            or (
                view.clearance.covers(where.context)
                and self._ledger.policy.node(view.node).covers(where.context)
            )
        )

    # -- a second attempt ------------------------------------------------------------------------

    def could(self, key: StepKey, view: NodeView) -> bool:
        """Whether that node could take this step now."""
        where = Where.of(self._ledger.runs[key.run], key.step)
        offer = self._ledger.offer(where.capability, where.context.tenant)
        return offer is not None and self._able(view, offer, where) and fits(view, where.needs)

    def spare(self, first: StepKey, view: NodeView, now_ms: int) -> Dispatch:
        """Let that node try a step too which another one works on; it could take it."""
        run, entry = self._ledger.runs[first.run], self._desk.find(first.run, first.step)
        node = run.graph.nodes[first.step]
        offer = self._ledger.offer(node.capability, context_of(run, first.step).tenant)
        assert entry is not None
        assert offer is not None
        entry.attempts += 1
        key = StepKey(first.run, first.step, self._term, entry.attempts)
        look = self.history.begin(self._desk.nodes.values(), SPARE, now_ms)
        look.placed.append((first.run, first.step, view.node))
        self.history.keep(look)
        entry.double(view, key, node.resources)
        return self.told(run, offer, view, key)

    # -- nobody can take it --------------------------------------------------------------------

    def impatient(self, now_ms: int) -> list[tuple[RunId, int, RunFailed]]:
        """Steps that waited too long for a node to host them, and why. They leave the queues."""
        desk = self._desk
        desk.unhosted = {where: look for where, look in desk.unhosted.items() if where in desk.queues}
        found: list[tuple[RunId, int, RunFailed]] = []
        for where, queue in desk.queues.items():
            if self.hosted(where):
                desk.unhosted.pop(where, None)
            elif now_ms > desk.unhosted.setdefault(where, now_ms + limits.UNHOSTED_MS_MAX):
                desk.unhosted[where] = now_ms + IMPATIENT_SCAN_MS
                found += self._leave(where, queue, now_ms)
        return found

    def hosted(self, where: Where) -> bool:
        """Whether an attached node would do, if it were idle."""
        offer = self._ledger.offer(where.capability, where.context.tenant)
        return offer is not None and any(
            self._able(view, offer, where) and large_enough(view, where.needs)
            for view in self._desk.nodes.values()
        )

    def _leave(self, where: Where, queue: FairQueue, now_ms: int) -> list[tuple[RunId, int, RunFailed]]:
        error = self.reason(where)
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

    def reason(self, where: Where) -> RunFailed:
        """Why none does."""
        capability, layers, needs, context = where
        offer = self._ledger.offer(capability, context.tenant)
        if offer is None:
            return RunFailed(
                f"no agent offers {capability}",
                place=str(capability),
                remedy="deploy one that does; swarm agents shows what is offered",
            )
        layers |= offer.agent.layers
        needed = [f"layers {', '.join(sorted(layers))}"] if layers else []
        needed += [f"{needs.memory_mb} MB of memory"] if needs.memory_mb else []
        needed += [f"{needs.cpu_cores:g} processors"] if needs.cpu_cores else []
        needed += [f"clearance for {context}"] if context is not PLAIN else []
        unmet = sorted(layers.difference(*(view.layers for view in self._desk.nodes.values())))
        why = f": none has attested {', '.join(unmet)}" if unmet else ""
        return RunFailed(
            f"no attached node can run {capability}{' with ' + ' and '.join(needed) if needed else ''}{why}",
            place=str(capability),
            remedy="swarm agents shows who hosts what, swarm nodes --json who lacks what; add one that can",
        )
