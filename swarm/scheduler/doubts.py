"""Steps that must not run twice and of whose attempt nobody knows what became.

First the node that was named in the intent has `INTENT_WAIT_MS` to come back and say. Where it does not, or
where it says no more than that the attempt ended, the step's own agent is asked, if it declares a capability
for that (`reconcile`): on any node that can, with the inputs of the step and the identity of the intent. It
only looks; so a question may be put again, and by the next leader too. Three answers end the doubt: it was
done (that is the step's result), it was not and will not be under this intent (another is made), or the agent
cannot say. Then, or when nobody answers within `RECONCILE_MS_MAX`, a person has to decide.
"""

from __future__ import annotations

from typing import Final

from swarm import limits
from swarm.errors import AgentFailed, Mistake, NeedsDecision, SwarmError, TooLarge, Unreachable
from swarm.ids import NodeId, RunId, StepKey
from swarm.scheduler.actions import Dispatch
from swarm.scheduler.desk import Desk, Doubt, Entry, Place
from swarm.scheduler.ledger import Ledger
from swarm.scheduler.placing import Placer

TOLD: Final = (AgentFailed, Mistake, TooLarge)
"""What an agent or its node says of a call that ended; other failures leave open what was done."""


class Doubts:
    """Keeps the intents on a desk whose outcome is open."""

    def __init__(self, desk: Desk, ledger: Ledger, placer: Placer) -> None:
        self._desk = desk
        self._ledger = ledger
        self._placer = placer

    def intended(self, key: StepKey) -> bool:
        """Whether this is the attempt at a step that must not run twice."""
        run = self._ledger.runs.get(key.run)
        intent = run.intents.get(key.step) if run is not None else None
        return intent is not None and (intent.term, intent.attempt) == (key.term, key.attempt)

    def begin(self, entry: Entry, run: RunId, step: int, now_ms: int) -> None:
        """Its node is lost: it may come back."""
        entry.doubt = None
        self._desk.rest(entry, run, step, now_ms, limits.INTENT_WAIT_MS, Place.UNSURE)

    def returned(self, node: NodeId, now_ms: int) -> None:
        """The node is back and does not work on these: what it finished it will say in a moment, or never."""
        for name, run in self._ledger.runs.items():
            for step, intent in run.intents.items():
                entry = self._desk.find(name, step)
                lost = entry is not None and entry.place is Place.UNSURE and intent.node == node
                if entry is not None and lost and self._placer.answers(name, step):
                    self.wait(entry, name, step, now_ms)

    def told(self, entry: Entry, key: StepKey, error: SwarmError) -> bool:
        """Whether a failure of the attempt that was intended is news to us."""
        if entry.place is Place.UNSURE or (entry.place is Place.ASKING and isinstance(error, TOLD)):
            return self.intended(key)
        return False

    def ask(
        self, entry: Entry, run: RunId, step: int, now_ms: int, cause: SwarmError | None = None
    ) -> Dispatch | NeedsDecision | None:
        """The question; what to tell a person where there is none any more; None while it has to wait."""
        doubt = entry.doubt
        if doubt is None:
            doubt = entry.doubt = Doubt(now_ms, cause or Unreachable("it did not come back"))
        patient = now_ms - doubt.since_ms < limits.RECONCILE_MS_MAX
        if not patient or not self._placer.answers(run, step):
            return self.undecided(run, step, doubt.cause)
        question = self._placer.ask(run, step, entry, now_ms)
        if question is None:
            self.wait(entry, run, step, now_ms)
        return question

    def wait(self, entry: Entry, run: RunId, step: int, now_ms: int) -> None:
        """The question was not answered, or there is nobody to put it to: it is put again."""
        self._desk.rest(entry, run, step, now_ms, limits.RECONCILE_REST_MS, Place.UNSURE)

    def undecided(self, run: RunId, step: int, cause: SwarmError) -> NeedsDecision:
        """What a person is told."""
        return NeedsDecision(
            f"it must not run twice, and nobody can say whether it ran: {cause.message}",
            place=f"node {self.attempt(run, step)[1]}",
            remedy="look whether it took effect; if not, submit the work again under a new key",
        )

    def attempt(self, run: RunId, step: int) -> tuple[StepKey, NodeId]:
        """The one in doubt, and whose it was."""
        intent = self._ledger.runs[run].intents[step]
        return StepKey(run, step, intent.term, intent.attempt), intent.node
