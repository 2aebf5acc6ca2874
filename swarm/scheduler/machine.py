"""The scheduler: `apply(event) -> actions`. No clock, no socket, no dice.

It has two halves. The *ledger* is what is true: it takes durable events alone and is equal on every
replica. The *leader* decides what to do next: it exists only while this replica leads, and it is made
anew from the ledger at each election, so nothing of it is ever worth saving.
"""

from __future__ import annotations

from collections.abc import Iterator

from swarm.ids import NodeId, RunId, StepKey
from swarm.scheduler.actions import Action, Changed
from swarm.scheduler.chains import After, recorded_as
from swarm.scheduler.copies import Standing as Standing
from swarm.scheduler.desk import Place as Place
from swarm.scheduler.events import (
    AgentDeployed,
    AgentRemoved,
    CertificateIssued,
    Deposed,
    Durable,
    Elected,
    Event,
    IdentityRevoked,
    KeyRegistered,
    PolicyApplied,
    RunCancelled,
    RunSubmitted,
    StepsIntended,
    StepsRecorded,
    TokenCreated,
    TokenRevoked,
    TokenUsed,
)
from swarm.scheduler.explaining import Explanation
from swarm.scheduler.leader import Leader
from swarm.scheduler.ledger import Ledger
from swarm.scheduler.placement import NodeView
from swarm.scheduler.run import Step
from swarm.scheduler.together import Options

DEFAULTS = Options()
NOTHING = Standing(0, 0, 0)  # known to who does not lead


class Scheduler:
    """State of every run; `apply` is the only way in, its return value the only way out."""

    def __init__(self, options: Options = DEFAULTS) -> None:
        self.ledger = Ledger()
        self.term = 0
        self._options = options
        self._leader: Leader | None = None

    @property
    def leading(self) -> bool:
        return self._leader is not None

    def apply(self, event: Event) -> list[Action]:
        """Absorb one event and say what must happen next. A replica that does not lead only watches."""
        match event:
            case (
                RunSubmitted()
                | StepsRecorded()
                | StepsIntended()
                | RunCancelled()
                | AgentDeployed()
                | AgentRemoved()
                | TokenCreated()
                | TokenUsed()
                | TokenRevoked()
                | IdentityRevoked()
                | KeyRegistered()
                | CertificateIssued()
                | PolicyApplied()
            ):
                return self._commit(event)
            case Elected():
                self.term = event.term
                self._leader = Leader(self.ledger, event.term, event.at_ms, self._options)
                return []
            case Deposed():
                self._leader = None
                return []
            case _:
                return self._leader.happen(event) if self._leader is not None else []

    def _commit(self, event: Durable) -> list[Action]:
        touched = self.ledger.apply(event)
        actions: list[Action] = [Changed(run.submitted.run) for run, _ in touched]
        if self._leader is not None:
            actions += self._leader.committed(event, touched)
        return actions

    # -- reading -----------------------------------------------------------------------------

    def accepts(self, key: StepKey, after: After | None = None) -> bool:
        """Whether a result of this attempt is wanted: there is none yet, nor is another on its way.

        A follower's result counts only `after` the attempt at the step before it that gave the result.
        """
        run = self.ledger.runs.get(key.run)
        if run is None or key.step >= len(run.state):
            return False
        if run.state[key.step] is Step.WAITING:
            return self._leader is not None and self._leader.following.promised(key, after)
        if run.state[key.step] is not Step.READY or not (after is None or recorded_as(run, key.step, after)):
            return False
        entry = self._leader.desk.find(key.run, key.step) if self._leader is not None else None
        return entry is None or entry.place is not Place.RECORDING or entry.key == key

    def nodes(self) -> Iterator[NodeView]:
        """Attached nodes, as the leader sees them."""
        return iter(self._leader.desk.nodes.values() if self._leader is not None else ())

    def place(self, run: RunId, step: int) -> tuple[Place, NodeId | None] | None:
        """Where a ready step is on the leader's desk."""
        if self._leader is None:
            return None
        entry = self._leader.desk.find(run, step)
        if entry is not None:
            return entry.place, entry.node
        promise = self._leader.desk.promises.find(run, step)
        return (Place.RECORDING, None) if promise is not None and promise.arrived else None

    def explain(self, run: RunId, step: int) -> Explanation | None:
        """Why a step is where it is; only the leader knows."""
        return self._leader.explain(self.ledger.runs[run], step) if self._leader is not None else None

    def makes_again(self, key: StepKey) -> bool:
        """Whether this attempt is at a step that has its result and is run again for what it gave."""
        return self._leader is not None and self._leader.remakes.knows(key)

    def copies(self) -> Standing:
        """How it stands with the copies of large payloads."""
        return self._leader.copies.standing() if self._leader is not None else NOTHING

    def waiting(self) -> int:
        """Steps that are ready and wait for room."""
        return sum(map(len, self._leader.desk.queues.values())) if self._leader is not None else 0
