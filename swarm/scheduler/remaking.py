"""Large payloads that nobody has any more, made again by the steps that gave them.

A record is a step's result for ever, and running its step again changes nothing in it: what comes out is
compared by digest with what the record says. Where it is the same, the bytes are there again, and that is all
that was wanted; where it is not, it is thrown away, and the payload stays lost. So this works for agents that
give the same for the same. Nothing of it is in the log: another leader begins anew when it is asked.

It is asked when an attempt could not be given its inputs (`DataLost`). The steps that gave what is lost are
planned, and before them those that gave what *they* were given, if that is lost too. What was submitted is
not made again (its client has to), nor is what a step with `effects: once` gave.

    WAITING --its own inputs are there, a node has room--> FLYING --the same came out--> SETTLING --> (there)
       ^                                                     |                              |
       `------------- failed, or its node was lost ----------+------- nobody has it --------'
                                                             `-- another came out, too many tries --> FAILED
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from swarm import limits
from swarm.errors import DataLost
from swarm.graph import Ref, refs
from swarm.ids import Digest, NodeId, RunId, StepKey
from swarm.scheduler.actions import Action, Withdraw
from swarm.scheduler.desk import CLAIMED_ATTEMPT_MAX, Desk, Where
from swarm.scheduler.events import AttemptFailed, MadeAgain
from swarm.scheduler.holders import Holders
from swarm.scheduler.ledger import Ledger
from swarm.scheduler.needs import SUBMITTED, large_inputs, near
from swarm.scheduler.placement import choose
from swarm.scheduler.placing import ONCE, Placer
from swarm.scheduler.run import Run

LOOK_MS: Final = 200  # how often it is looked what may go on
REST_MS: Final = 500  # how often the step that needs it asks whether it is there


class State(enum.Enum):
    """How far a step is that is run again."""

    WAITING = "waiting"
    FLYING = "flying"
    SETTLING = "settling"
    THERE = "there"
    FAILED = "failed"


OVER: Final = (State.THERE, State.FAILED)


@dataclass(slots=True)
class Remake:
    """A step that is run again; `node` and `key` of the attempt that flies."""

    step: int
    since_ms: int
    state: State = State.WAITING
    tries: int = 0
    node: NodeId | None = None
    key: StepKey | None = None
    why: str = ""  # it failed

    def turn(self, state: State, now_ms: int) -> None:
        self.state, self.since_ms = state, now_ms


class Remakes:
    """See the head of this module."""

    def __init__(self, desk: Desk, ledger: Ledger, placer: Placer, holders: Holders, term: int) -> None:
        self._desk = desk
        self._ledger = ledger
        self._placer = placer
        self._holders = holders
        self._term = term
        self._all: dict[RunId, dict[int, Remake]] = {}
        self._ready: deque[tuple[RunId, int]] = deque()  # that wait for a node; may hold stale names
        self._open = 0  # that have not failed
        self._attempts = CLAIMED_ATTEMPT_MAX  # no other attempt has such a number, and no node may claim one
        self._look_ms = 0

    # -- what steps that need it ask -----------------------------------------------------------------

    def lacks(self, event: AttemptFailed) -> DataLost | bool:
        """Whether an attempt failed because nobody has what it was to be given; then as `ask` says."""
        if not isinstance(event.error, DataLost):
            return False
        return self.ask(self._ledger.runs[event.key.run], event.key.step, event.at_ms)

    def ask(self, run: Run, step: int, now_ms: int) -> DataLost | bool:
        """A step could not be given its inputs: whether it is to wait until they are made again.

        False where nothing of them is lost, as far as is known; an error where it is and will be.
        """
        name = run.submitted.run
        planned: dict[int, Remake] = {}
        missing = [*self._missing(run, step)]
        found = bool(missing)
        while missing:
            ref = missing.pop()
            maker = self._maker(run, ref.digest)
            if isinstance(maker, str):
                return self._lost(run, ref, None, maker)
            if maker in planned or self._goes_on(name, maker, now_ms):
                continue
            if why := self._unrepeatable(run, maker):
                return self._lost(run, ref, maker, why)
            planned[maker] = Remake(maker, now_ms)
            missing += self._missing(run, maker)
            if len(planned) > limits.REMAKES_MAX:
                why = f"before it more than {limits.REMAKES_MAX} others would have to be"
                return self._lost(run, ref, maker, why)
        if self._open + len(planned) <= limits.REMAKES_MAX:  # else it asks again
            self._all.setdefault(name, {}).update(planned)
            self._open += len(planned)
        return self.awaited(run, step) or found

    def _goes_on(self, run: RunId, step: int, now_ms: int) -> bool:
        """Whether a step is on the way already; one that was, and whose payload is lost anew, goes on."""
        remake = self._all.get(run, {}).get(step)
        if remake is not None and remake.state is State.THERE:
            self._open += 1
            self._again(remake, "it was lost anew each time", now_ms)
        return remake is not None

    def awaited(self, run: Run, step: int) -> DataLost | bool:
        """Whether inputs of this step are being made again, or why they will not be."""
        waits = False
        for ref in self._missing(run, step) if run.submitted.run in self._all else ():
            maker = self._maker(run, ref.digest)
            remake = self._all.get(run.submitted.run, {}).get(maker) if isinstance(maker, int) else None
            if remake is not None and remake.state is State.FAILED:
                return self._lost(run, ref, remake.step, remake.why)
            waits = waits or (remake is not None and remake.state is not State.THERE)
        return waits

    def _missing(self, run: Run, step: int) -> Iterator[Ref]:
        """What a step is given and nobody has."""
        return (ref for ref in large_inputs(run, step) if not self._holders.there(ref.digest))

    def _maker(self, run: Run, digest: Digest) -> int | str:
        """The first step of the run that gave it, or why there is none."""
        for mention in self._ledger.needs.mentions(digest):
            if mention.run == run.submitted.run:
                return mention.step if mention.step != SUBMITTED else "it was submitted with the run"
        return "no step of this run gave it"

    def _unrepeatable(self, run: Run, step: int) -> str:
        """Why a step must not be run again."""
        where = Where.of(run, step)
        offer = self._ledger.offer(where.capability, where.context.tenant)
        if offer is None:
            return f"no agent offers {where.capability} any more"
        return "it must not run twice" if offer.signature.effects == ONCE else ""

    def _lost(self, run: Run, ref: Ref, maker: int | None, why: str) -> DataLost:
        nodes = ", ".join(sorted({*ref.nodes, *self._holders.last(ref.digest)})) or "nobody"
        told = f"{ref.size_bytes} bytes ({ref.digest}) were with {nodes}, and nobody has them any more"
        if maker is not None:
            told += f"; step {run.graph.nodes[maker].name}, which gave them, was not run again with success"
        return DataLost(
            f"{told}: {why}",
            place=f"blob {ref.digest[:12]}",
            remedy="bring one of these nodes back, or submit the work again",
        )

    def note(self, run: Run, step: int) -> str:
        """What there is to tell of a step: that it is run again, or waits for others that are."""
        remakes = self._all.get(run.submitted.run, {})
        again = remakes.get(step)
        if again is not None and again.state not in OVER:
            return f"it is run again, because nobody has what it gave any more ({again.state.value}):"
        makers = [self._maker(run, ref.digest) for ref in self._missing(run, step)] if remakes else []
        names = sorted({run.graph.nodes[maker].name for maker in makers if maker in remakes})
        return f"it waits for {', '.join(names)}, run again because what it gave is lost:" if names else ""

    # -- what happens ------------------------------------------------------------------------------

    def knows(self, key: StepKey) -> bool:
        """Whether this is the attempt at a step that is run again."""
        remake = self._all.get(key.run, {}).get(key.step)
        return remake is not None and remake.key == key

    def ended(self, event: MadeAgain) -> None:
        """An attempt ended."""
        remake = self._all.get(event.key.run, {}).get(event.key.step)
        if remake is None or remake.key != event.key:
            return
        self._land(remake)
        run = self._ledger.runs[event.key.run]
        given = run.records[remake.step].outputs.values()
        wanted = {ref.digest for ref in refs(given) if not self._holders.there(ref.digest)}
        if event.error is not None:
            self._again(remake, event.error.message, event.at_ms, final=not event.retryable)
        elif not wanted <= event.digests:
            self._again(remake, "it gave something else this time", event.at_ms, final=True)
        else:
            remake.turn(State.SETTLING, event.at_ms)

    def gone(self, node: NodeId, now_ms: int) -> None:
        """A node is lost, with what it was running."""
        for remakes in self._all.values():
            for remake in remakes.values():
                if remake.state is State.FLYING and remake.node == node:
                    self._land(remake)
                    self._again(remake, f"node {node} was lost while it ran", now_ms)

    def forget(self, run: RunId, actions: list[Action]) -> None:
        """A run is over: nobody waits for its payloads."""
        for remake in self._all.pop(run, {}).values():
            self._open -= remake.state not in OVER
            if remake.node is not None and remake.key is not None:
                actions.append(Withdraw(remake.node, remake.key))
                self._land(remake)

    def tick(self, now_ms: int, actions: list[Action]) -> None:
        """See what may go on, and what took too long."""
        if now_ms < self._look_ms or not self._open:
            return
        self._look_ms = now_ms + LOOK_MS
        for name, remakes in self._all.items():
            for remake in [each for each in remakes.values() if each.state not in OVER]:
                self._look(self._ledger.runs[name], remake, now_ms, actions)

    def _look(self, run: Run, remake: Remake, now_ms: int, actions: list[Action]) -> None:
        waited_ms = now_ms - remake.since_ms
        given = refs(run.records[remake.step].outputs.values())
        if remake.state is not State.FLYING and all(self._holders.there(ref.digest) for ref in given):
            self._open -= 1
            remake.turn(State.THERE, now_ms)
        elif remake.state is State.WAITING:
            self._prepare(run, remake, waited_ms, now_ms)
        elif remake.state is State.FLYING and waited_ms > run.graph.nodes[remake.step].timeout_ms:
            assert remake.node is not None
            assert remake.key is not None
            actions.append(Withdraw(remake.node, remake.key))
            self._land(remake)
            self._again(remake, f"it gave no result within {waited_ms} ms", now_ms)
        elif remake.state is State.SETTLING and waited_ms > limits.REMAKE_SETTLE_MS:
            self._again(remake, "no node has what it gave", now_ms)

    def _prepare(self, run: Run, remake: Remake, waited_ms: int, now_ms: int) -> None:
        """Line it up for a node, once what it is given is there."""
        name = run.submitted.run
        lost = self.ask(run, remake.step, now_ms)
        if isinstance(lost, DataLost):
            self._again(remake, f"what it is given is lost too: {lost.message}", now_ms, final=True)
        elif lost and not self.awaited(run, remake.step):
            self._again(remake, "too many others are being run again", now_ms, final=True)
        elif lost:
            remake.since_ms = now_ms
        elif waited_ms > limits.UNHOSTED_MS_MAX and not self._placer.hosted(Where.of(run, remake.step)):
            self._again(remake, self._placer.reason(Where.of(run, remake.step)).message, now_ms, final=True)
        elif (name, remake.step) not in self._ready:
            self._ready.append((name, remake.step))

    def place(self, now_ms: int) -> Iterator[Action]:
        """Order what waits for a node, before anything else is: others wait for it."""
        while self._ready:
            name, step = self._ready[0]
            remake = self._all.get(name, {}).get(step)
            if remake is None or remake.state is not State.WAITING:
                self._ready.popleft()
                continue
            run = self._ledger.runs[name]
            found = self._placer.takers(Where.of(run, step))
            if found is None or not found[1]:
                self._ready.rotate(-1)
                return
            self._ready.popleft()
            offer, views = found
            view = choose(views, near(run, step))
            self._attempts += 1
            remake.node, remake.key = view.node, StepKey(name, step, self._term, self._attempts)
            remake.tries += 1
            remake.turn(State.FLYING, now_ms)
            view.take(remake.key, run.graph.nodes[step].resources)
            yield self._placer.told(run, offer, view, remake.key)

    def _again(self, remake: Remake, why: str, now_ms: int, *, final: bool = False) -> None:
        """It did not work: another try, or none."""
        if final or remake.tries >= limits.REMAKE_TRIES_MAX:
            remake.why = why
            remake.turn(State.FAILED, now_ms)
            self._open -= 1
        else:
            remake.turn(State.WAITING, now_ms)

    def _land(self, remake: Remake) -> None:
        """Free its slot."""
        if remake.node is not None and remake.key is not None and (view := self._desk.nodes.get(remake.node)):
            view.give_back(remake.key)
        remake.node = remake.key = None
