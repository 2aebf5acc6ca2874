"""Which attempt was given to which node, for as long as its run lives: nobody reports for anybody else.

A leader knows only what it gave away itself. What an earlier leader gave away is in no log, so a node that
says it has an attempt of an earlier term is believed, as it is when it attaches and says what it runs.
"""

from __future__ import annotations

from collections.abc import Callable

from swarm.ids import NodeId, RunId, StepKey


class Given:
    """Attempts of this leader's term, by run."""

    def __init__(self) -> None:
        self._nodes: dict[RunId, dict[StepKey, NodeId]] = {}

    def note(self, key: StepKey, node: NodeId) -> None:
        self._nodes.setdefault(key.run, {})[key] = node

    def belongs(self, key: StepKey, node: NodeId, term: int | None) -> bool:
        """Whether this node may say how this attempt ended."""
        if key.term != term:
            return term is not None and key.term < term
        attempts = self._nodes.get(key.run)
        return attempts is not None and attempts.get(key) == node

    def sweep(self, alive: Callable[[RunId], bool]) -> None:
        """Forget runs that are over."""
        for run in [run for run in self._nodes if not alive(run)]:
            del self._nodes[run]

    def clear(self) -> None:
        self._nodes.clear()
