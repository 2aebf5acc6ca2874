"""Several steps for several nodes at once: who gets which slot when not everybody can have the best one.

One step alone takes the best node there is. Steps that *contest* are looked at together: more of them want
to be where their inputs are than fit there, or not all of them may go to the same nodes. Each free slot is a
column of a table, each step a row, each cell 1 - score, infinite where the step may not go; an `Assigner`
finds the cheapest choice. Every step also has a column of its own that stands for waiting: dearer than any
node, and dearer still for the steps that come first, so that as few as possible wait, and those last in turn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np

from swarm.ids import NodeId
from swarm.scheduler.assignment.matching import Assigner, Costs, auction, genetic, hungarian
from swarm.scheduler.placement import NodeView, score

TOGETHER_STEPS_MAX: Final = 32  # looked at together; the table grows with the square of it
WAITING: Final = 2.0  # what it costs to leave a step waiting; a node costs at most 1

AssignerName: TypeAlias = Literal["auto", "greedy", "hungarian", "auction", "genetic"]
ASSIGNERS: Final[Mapping[AssignerName, Assigner | None]] = {
    "auto": hungarian,  # exact, and batches are small
    "greedy": None,  # each step in turn takes the best node that is left
    "hungarian": hungarian,
    "auction": auction,
    "genetic": genetic,
}


@dataclass(frozen=True, slots=True)
class Options:
    """How a leader places steps."""

    assigner: AssignerName = "auto"
    rebalance: bool = True  # begin a second attempt at steps that are late, where nodes idle


@dataclass(frozen=True, slots=True)
class Wish:
    """One step of a batch: the nodes it may go to, and how much of its input each of them made."""

    views: Sequence[NodeView]
    near: Mapping[NodeId, float]


def contested(wishes: Sequence[Wish]) -> bool:
    """Whether taking turns could give a step a worse place than it needs to have."""
    if len(wishes) < 2:
        return False
    first = wishes[0].views
    wanted: dict[NodeId, int] = {}
    for wish in wishes:
        if wish.views is not first and {v.node for v in wish.views} != {v.node for v in first}:
            return True
        if wish.near:
            favourite = max(wish.near, key=lambda node: (wish.near[node], node))
            wanted[favourite] = wanted.get(favourite, 0) + 1
    room = {view.node: view.free for view in first}
    return any(count > room.get(node, count) for node, count in wanted.items())


def choose_together(wishes: Sequence[Wish], assigner: Assigner) -> list[NodeView | None]:
    """A node for each step, or None where it has to wait."""
    views = {view.node: view for wish in wishes for view in wish.views}
    columns = [
        (view, taken) for view in views.values() for taken in range(min(max(view.free, 0), len(wishes)))
    ]
    choice = assigner(_table(wishes, columns))
    return [columns[at][0] if at < len(columns) else None for at in choice.tolist()]


def _table(wishes: Sequence[Wish], columns: Sequence[tuple[NodeView, int]]) -> Costs:
    table = np.full((len(wishes), len(columns) + len(wishes)), np.inf)
    for row, wish in enumerate(wishes):
        may = {view.node for view in wish.views}
        for column, (view, taken) in enumerate(columns):
            if view.node in may:
                table[row, column] = 1.0 - score(view, wish.near.get(view.node, 0.0), taken)
        table[row, len(columns) + row] = WAITING + (len(wishes) - row) / len(wishes)
    return table
