"""What this node goes on with by itself: a step of a chain begins when the one before it has succeeded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from swarm.ids import StepKey
from swarm.scheduler.actions import fed
from swarm.wire.messages import Assignment, Outcome


class Chains:
    """The rest of each chain whose present step is under way here."""

    def __init__(self) -> None:
        self._heads: dict[StepKey, Assignment] = {}

    def __bool__(self) -> bool:
        return bool(self._heads)

    def begin(self, items: Sequence[Assignment]) -> Sequence[Assignment]:
        """The same assignments; what follows them is remembered."""
        self._heads.update((item.key, item) for item in items if item.followers)
        return items

    def go_on(self, outcomes: Sequence[Outcome]) -> list[Assignment]:
        """What is to begin now that these have ended. After a failure the leader decides."""
        found = []
        for outcome in outcomes:
            head = self._heads.pop(outcome.key, None)
            if head is not None and outcome.ok and (following := _next(head, outcome)) is not None:
                found.append(following)
        return found

    def obey(self, term: int) -> None:
        """What an earlier leader promised is not begun under another, who knows nothing of it."""
        self._heads = {key: head for key, head in self._heads.items() if key.term == term}

    def cut(self, keys: Iterable[StepKey]) -> None:
        """Nobody waits for these attempts: neither they nor what follows them is begun."""
        gone = set(keys)
        for key, head in list(self._heads.items()):
            if key in gone:
                del self._heads[key]
                continue
            kept = next((at for at, each in enumerate(head.followers) if each.key in gone), None)
            if kept is not None:
                self._heads[key] = head._replace(followers=head.followers[:kept])


def _next(head: Assignment, outcome: Outcome) -> Assignment | None:
    """The next step with what it is given; None where an output is missing, which the leader will notice."""
    first, *others = head.followers or (None,)
    inputs = fed(first, outcome.outputs) if first is not None else None
    if first is None or inputs is None:
        return None
    return Assignment(
        first.key,
        first.agent,
        first.capability,
        inputs,
        first.timeout_ms,
        first.scatter,
        head.context,
        head.priority,
        head.sign,
        followers=tuple(others),
        after=(outcome.key.term, outcome.key.attempt),
    )
