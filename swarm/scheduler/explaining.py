"""Why a step went where it went: what the leader saw when it placed the latest steps, and what follows.

A turn of placing begins with one look at every node and then places some steps; during a turn nothing changes
but the slots it takes itself. So a turn is kept as that look and the names of its steps in order, and what
each choice was made of is worked out again when somebody asks. How many steps are remembered is bounded;
of one that was forgotten, or has not been placed, it is told what would happen now.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple, assert_never

from swarm.graph import PLAIN, Context, Resources
from swarm.ids import Digest, NodeId, RunId
from swarm.scheduler.desk import Desk
from swarm.scheduler.ledger import Ledger
from swarm.scheduler.needs import near
from swarm.scheduler.placement import CPU_ROUNDING, NodeView, terms
from swarm.scheduler.run import Run, Step, context_of

REMEMBERED_STEPS_MAX: Final = 10_000


class Seen(NamedTuple):
    """A node as it was at the beginning of a turn."""

    view: NodeView
    busy: int
    load: float
    failures: float
    draining: bool
    memory_mb_taken: int
    cpu_cores_taken: float


@dataclass(slots=True)
class Turn:
    """One turn of placing: what was seen, how it was decided, which steps went where in this order."""

    at_ms: int
    how: str
    seen: tuple[Seen, ...]
    placed: list[tuple[RunId, int, NodeId]] = field(default_factory=list)


class History:
    """The latest turns."""

    def __init__(self) -> None:
        self._turns: deque[Turn] = deque()
        self._steps = 0

    def begin(self, views: Iterable[NodeView], how: str, now_ms: int) -> Turn:
        """What a turn sees; the caller notes what it places, and hands the turn over to `keep`."""
        return Turn(now_ms, how, look(views))

    def keep(self, turn: Turn) -> None:
        """Remember it, and forget what is too old."""
        if turn.placed:
            self._turns.append(turn)
            self._steps += len(turn.placed)
            while self._steps > REMEMBERED_STEPS_MAX and len(self._turns) > 1:
                self._steps -= len(self._turns.popleft().placed)

    def find(self, run: RunId, step: int) -> tuple[Turn, int] | None:
        """The latest turn that placed this step, and its place in that turn."""
        for turn in reversed(self._turns):
            for at, (name, number, _) in enumerate(turn.placed):
                if number == step and name == run:
                    return turn, at
        return None


def look(views: Iterable[NodeView]) -> tuple[Seen, ...]:
    return tuple(
        Seen(
            view, len(view.busy), view.load, view.failures, view.draining,
            view.memory_mb_taken, view.cpu_cores_taken,
        )
        for view in views
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Candidate:
    """One node as a place for one step: the terms of its score, or why it could not be."""

    node: NodeId
    why_not: str  # empty for one that could have been chosen
    terms: Mapping[str, float]  # each weighted; their sum is the score
    score: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a step is where it is. `placed` is False where the leader tells what would happen now."""

    placed: bool
    at_ms: int
    how: str
    node: NodeId | None  # that was chosen, or would be
    runner_up: NodeId | None
    candidates: tuple[Candidate, ...]  # best first, those that could not be at the end
    note: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a step asks of a node."""

    agent: Digest
    layers: frozenset[str]
    needs: Resources
    near: Mapping[NodeId, float]
    context: Context = PLAIN
    barred: frozenset[NodeId] = frozenset()  # by the policy, from this context


def explain(ledger: Ledger, desk: Desk, history: History, run: Run, step: int, now_ms: int) -> Explanation:
    """Why this step is where it is, or where it would go."""
    node = run.graph.nodes[step]
    context = context_of(run, step)
    offer = ledger.offer(node.capability, context.tenant)
    if offer is None:
        note = f"no agent offers {node.capability}"
        return Explanation(False, now_ms, "", None, None, (), note)
    barred = frozenset(name for name in desk.nodes if not ledger.policy.node(name).covers(context))
    layers = node.layers | offer.agent.layers
    wanted = Wanted(offer.agent.digest, layers, node.resources, near(run, step), context, barred)
    found = history.find(run.submitted.run, step)
    if found is not None:
        return explain_turn(*found, wanted)
    return explain_now(desk.nodes.values(), wanted, now_ms, _unplaced(desk, run, step))


def _unplaced(desk: Desk, run: Run, step: int) -> str:
    """Why there is nothing to tell of its placing."""
    match run.state[step]:
        case Step.WAITING:
            sources = dict.fromkeys(source for source, *_ in run.plan.incoming[step])
            missing = (source for source in sources if run.state[source] < Step.OK)
            waits = ", ".join(run.graph.nodes[source].name for source in missing)
            return f"it waits for {waits}; if it were ready now:"
        case Step.SKIPPED | Step.CANCELLED:
            return "it will never run; if it did now:"
        case Step.READY if (entry := desk.find(run.submitted.run, step)) and entry.node is None:
            return f"it is {entry.place.name.lower()}; if it were placed now:"
        case Step.READY | Step.OK | Step.FAILED:
            return "it was placed by an earlier leader, or too long ago to be remembered; now:"
        case unknown:
            assert_never(unknown)


def explain_turn(turn: Turn, at: int, wanted: Wanted) -> Explanation:
    """Why the step at this place of a turn went where it went."""
    taken: dict[NodeId, int] = {}
    for _, _, node in turn.placed[:at]:
        taken[node] = taken.get(node, 0) + 1
    chosen = turn.placed[at][2]
    return _explained(turn.seen, taken, wanted, True, turn.at_ms, turn.how, chosen)


def explain_now(views: Iterable[NodeView], wanted: Wanted, now_ms: int, note: str) -> Explanation:
    """Where a step would go if it were placed now."""
    return _explained(look(views), {}, wanted, False, now_ms, "greedy", None, note)


def _explained(
    seen: Iterable[Seen],
    taken: Mapping[NodeId, int],
    wanted: Wanted,
    placed: bool,
    at_ms: int,
    how: str,
    chosen: NodeId | None,
    note: str = "",
) -> Explanation:
    found = [_candidate(each, taken.get(each.view.node, 0), wanted) for each in seen]
    found.sort(key=lambda each: (bool(each.why_not), -each.score, each.node))
    possible = [each.node for each in found if not each.why_not]
    if chosen is None and possible:
        chosen = possible[0]
    runner_up = next((node for node in possible if node != chosen), None)
    return Explanation(placed, at_ms, how, chosen, runner_up, tuple(found), note)


def _candidate(seen: Seen, taken: int, wanted: Wanted) -> Candidate:
    view = seen.view
    found = terms(
        busy=seen.busy + taken,
        slots=view.slots,
        load=seen.load,
        failures=seen.failures,
        affinity=wanted.near.get(view.node, 0.0),
    )
    why_not = _why_not(seen, taken, wanted)
    return Candidate(view.node, why_not, found, 0.0 if why_not else sum(found.values()))


def _why_not(seen: Seen, taken: int, wanted: Wanted) -> str:
    view, needs = seen.view, wanted.needs
    free_mb = view.memory_mb - seen.memory_mb_taken - taken * needs.memory_mb
    free_cores = view.cpu_cores - seen.cpu_cores_taken - taken * needs.cpu_cores
    if wanted.agent not in view.agents:
        return "it does not host the agent"
    if missing := wanted.layers - view.layers:
        return f"it has not shown that these sandbox layers hold: {', '.join(sorted(missing))}"
    if view.node in wanted.barred or not view.clearance.covers(wanted.context):
        return f"it is not cleared for the context of the step ({wanted.context})"
    if seen.draining:
        return "it is draining"
    if seen.busy + taken >= view.slots:
        return f"all of its {view.slots} slots are taken"
    if needs.memory_mb and needs.memory_mb > free_mb:
        return f"{free_mb} MB of memory are free of {view.memory_mb}, {needs.memory_mb} are asked for"
    if needs.cpu_cores and needs.cpu_cores > free_cores + CPU_ROUNDING:
        return f"{free_cores:g} processors are free of {view.cpu_cores:g}, {needs.cpu_cores:g} are asked for"
    return ""
