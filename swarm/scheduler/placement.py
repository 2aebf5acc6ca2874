"""Which node: filter, then score, then the best by score.

Every signal of the score lies in [0, 1], a missing one counts 0, and the weights sum to 1, so two
scores can always be compared and each term can be shown to a person.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from swarm.graph import UNBOUNDED, Bond, Clearance, Ref, Resources
from swarm.ids import Digest, NodeId, StepKey

WEIGHT_ROOM = 0.55  # free slots
WEIGHT_MACHINE = 0.15  # an idle machine
WEIGHT_HEALTH = 0.15  # attempts that did not fail
WEIGHT_AFFINITY = 0.15  # inputs made here, shared bonds in full, others half; or large inputs that lie here
assert abs(WEIGHT_ROOM + WEIGHT_MACHINE + WEIGHT_HEALTH + WEIGHT_AFFINITY - 1.0) < 1e-9

CPU_ROUNDING = 1e-6  # cores are added and subtracted as floats
NOTHING = Resources()
HEALTH_MEMORY = 0.9  # of the running average of failures


@dataclass(slots=True)
class NodeView:
    """What the leader knows of a node."""

    node: NodeId
    slots: int
    agents: frozenset[Digest]
    layers: frozenset[str]
    load: float = 0.0
    draining: bool = False
    failures: float = 0.0  # running average of attempts that failed, 0..1
    busy: dict[StepKey, Resources] = field(default_factory=dict)  # attempts in flight, in order of dispatch
    memory_mb_taken: int = 0
    cpu_cores_taken: float = 0.0
    done: int = 0
    memory_mb: int = 0  # of the machine; steps that ask for memory or processors are placed by them
    cpu_cores: float = 0.0
    clearance: Clearance = UNBOUNDED  # contexts it accepts

    @property
    def free(self) -> int:
        return 0 if self.draining else self.slots - len(self.busy)

    def take(self, key: StepKey, needs: Resources) -> None:
        """An attempt begins here."""
        self.busy[key] = needs
        self.memory_mb_taken += needs.memory_mb
        self.cpu_cores_taken += needs.cpu_cores

    def give_back(self, key: StepKey) -> None:
        """An attempt ended here, if it was here."""
        if (needs := self.busy.pop(key, None)) is not None:
            self.memory_mb_taken -= needs.memory_mb
            self.cpu_cores_taken -= needs.cpu_cores

    def judge(self, *, failed: bool) -> None:
        """Remember how an attempt ended."""
        self.failures = self.failures * HEALTH_MEMORY + (1.0 - HEALTH_MEMORY) * failed


def sane_load(load: float) -> float:
    """A load as a signal: what no honest node says, not a number above all, counts as fully busy."""
    return load if 0.0 <= load <= 1.0 else 1.0


def affinities(sources: Iterable[tuple[NodeId, Bond]], large: Iterable[Ref] = ()) -> dict[NodeId, float]:
    """How much of a step's input each node made, or has of it that would have to travel, 0..1."""
    weights: dict[NodeId, float] = {}
    count = 0
    for node, bond in sources:
        count += 1
        weights[node] = weights.get(node, 0.0) + (1.0 if bond is Bond.SHARED else 0.5)
    near = {node: weight / count for node, weight in weights.items()}
    lying: dict[NodeId, int] = {}
    total_bytes = 0
    for ref in large:
        total_bytes += ref.size_bytes
        for node in ref.nodes:
            lying[node] = lying.get(node, 0) + ref.size_bytes
    for node, size_bytes in lying.items():
        near[node] = max(near.get(node, 0.0), min(size_bytes / max(total_bytes, 1), 1.0))
    return near


def score(view: NodeView, affinity: float, taken: int = 0) -> float:
    """How good a place this is, 0..1, once so many of its free slots are taken. One is left."""
    return (
        WEIGHT_ROOM * (1.0 - (len(view.busy) + taken) / view.slots)
        + WEIGHT_MACHINE * (1.0 - view.load)
        + WEIGHT_HEALTH * (1.0 - view.failures)
        + WEIGHT_AFFINITY * affinity
    )


def terms(*, busy: int, slots: int, load: float, failures: float, affinity: float) -> dict[str, float]:
    """What a score is the sum of, by name; `score` adds the same without naming them, for speed."""
    return {
        "room": WEIGHT_ROOM * (1.0 - busy / slots),
        "machine": WEIGHT_MACHINE * (1.0 - load),
        "health": WEIGHT_HEALTH * (1.0 - failures),
        "affinity": WEIGHT_AFFINITY * affinity,
    }


def able(view: NodeView, agent: Digest, layers: frozenset[str]) -> bool:
    """Whether this node may run such a step at all, room or not."""
    return agent in view.agents and layers <= view.layers


def fits(view: NodeView, needs: Resources) -> bool:
    """Whether there is a slot, and what a step asks for. What asks for nothing needs only a slot."""
    return (
        view.free > 0
        and (needs.memory_mb == 0 or needs.memory_mb <= view.memory_mb - view.memory_mb_taken)
        and (needs.cpu_cores == 0 or needs.cpu_cores <= view.cpu_cores - view.cpu_cores_taken + CPU_ROUNDING)
    )


def large_enough(view: NodeView, needs: Resources) -> bool:
    """Whether an idle node would do."""
    return needs.memory_mb <= view.memory_mb and needs.cpu_cores <= view.cpu_cores + CPU_ROUNDING


def choose(views: Iterable[NodeView], near: Mapping[NodeId, float]) -> NodeView:
    """The best of some nodes that are able and have room; ties by name, so that a replay chooses the same."""
    best: NodeView | None = None
    best_score = -1.0
    for view in views:
        value = score(view, near.get(view.node, 0.0))
        if value > best_score or (value == best_score and best is not None and view.node < best.node):
            best, best_score = view, value
    assert best is not None
    return best


class Ordered:
    """Nodes that are able and have room, the best in front: `choose` for many steps of one queue in turn.

    While a queue has its turn only the slots it takes itself change, so a score is worked out once for each
    step that is placed and not for each node: O(log nodes) a step, and what it is near to besides.
    """

    def __init__(self, views: Sequence[NodeView], needs: Resources) -> None:
        self._needs = needs if needs != NOTHING else None
        self._left = {view.node: view.free for view in views}  # free slots
        self._views = {view.node: view for view in views}
        self._heap = [(-score(view, 0.0), node) for node, view in self._views.items()]
        heapq.heapify(self._heap)
        self._moved: set[NodeId] = set()  # whose score in the heap is from before they took something

    def __bool__(self) -> bool:
        return bool(self._views)

    def choose(self, near: Mapping[NodeId, float]) -> NodeView:
        """The best node for a step with these affinities."""
        while (name := self._heap[0][1]) in self._moved or name not in self._views:
            self._moved.discard(name)
            self._settle(name)
        best = self._views[name]
        if near and (close := [view for node in near if (view := self._views.get(node)) is not None]):
            best = choose((best, *close), near)
        return best

    def taken(self, view: NodeView) -> None:
        """It got a step."""
        self._left[view.node] -= 1
        if not self._left[view.node] or (self._needs is not None and not fits(view, self._needs)):
            del self._views[view.node]
        if self._heap[0][1] == view.node:
            self._settle(view.node)
        else:
            self._moved.add(view.node)

    def _settle(self, name: NodeId) -> None:
        """Put the first of the heap where it belongs now, or away."""
        view = self._views.get(name)
        if view is None:
            heapq.heappop(self._heap)
        else:
            heapq.heapreplace(self._heap, (-score(view, 0.0), name))
