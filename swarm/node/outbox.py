"""Finished work a node may not forget yet: kept until the leader says it is in the log."""

from __future__ import annotations

from collections.abc import Sequence

from swarm import limits
from swarm.errors import Bug
from swarm.graph import refs
from swarm.ids import Digest, StepKey
from swarm.ports import OutcomeStore
from swarm.wire.messages import Outcome


class Outbox:
    """Outcomes by attempt. `unsent` of them wait for the link; the others wait for their receipt.

    What is here is also in the store, which outlives this process: an outcome is stored before it is sent.
    Those that may gather are stored together, when they are sent: if the process ends before, they run again.
    """

    def __init__(self, store: OutcomeStore) -> None:
        self._store = store
        self._kept: dict[StepKey, Outcome] = {outcome.key: outcome for outcome in store.open_outcomes()}
        self._unsent: dict[StepKey, None] = dict.fromkeys(self._kept)
        self._unstored: list[Outcome] = []

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def unsent(self) -> int:
        """How many wait for the link."""
        return len(self._unsent)

    def add(self, outcomes: Sequence[Outcome], *, gather: bool = False) -> None:
        if len(self._kept) + len(outcomes) > limits.OUTBOX_ITEMS_MAX:
            raise Bug(f"{len(self._kept)} outcomes without a receipt: the leader assigns beyond the slots")
        if gather:
            self._unstored += outcomes
        else:
            self._store.keep(outcomes)
        for outcome in outcomes:
            self._kept[outcome.key] = outcome
            self._unsent[outcome.key] = None

    def take(self, items_max: int) -> tuple[Outcome, ...]:
        """The next outcomes to send."""
        if self._unstored:
            gathered, self._unstored = self._unstored, []
            self._store.keep(gathered)
        keys = [key for key, _ in zip(self._unsent, range(items_max), strict=False)]
        for key in keys:
            del self._unsent[key]
        return tuple(self._kept[key] for key in keys)

    def receipt(self, keys: Sequence[StepKey]) -> None:
        for key in keys:
            self._kept.pop(key, None)
            self._unsent.pop(key, None)
        self._store.forget(keys)

    def refs(self) -> set[Digest]:
        """Large payloads that no log may speak of yet."""
        kept = self._kept.values()
        return {ref.digest for outcome in kept if outcome.ok for ref in refs(outcome.outputs.values())}

    def resend(self) -> None:
        """The link was lost: whatever has no receipt is offered again."""
        self._unsent = dict.fromkeys(self._kept)
