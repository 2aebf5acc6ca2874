"""One task per agent at the least total cost, three ways behind one Protocol.

`costs[task, agent]` may be infinite: that agent may not have that task. There are at least as many
agents as tasks. The Hungarian method is exact (scipy does it where it is installed and the table is
large); the auction is within a stated share of the best; the genetic search takes any extra cost a
caller adds, and promises nothing.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from swarm.errors import Mistake

Costs = NDArray[np.float64]
Choice = NDArray[np.int64]

AUCTION_SHARE: Final = 0.0005  # of the mean cost of a task that its bids may be off by, together
HASTY_SHARE: Final = 0.005  # the same of an auction that only has to begin somewhere
AUCTION_SCALING: Final = 5.0
OWN_TASKS_MAX: Final = 64  # larger tables go to scipy, if there is one
GENERATIONS: Final = 300
POPULATION: Final = 64
SWAPS_MAX: Final = 3  # one mutation exchanges so many pairs at most


class Assigner(Protocol):
    """Gives every task its agent."""

    def __call__(self, costs: Costs) -> Choice: ...


def total(costs: Costs, choice: Choice) -> float:
    """What a choice costs."""
    return float(costs[np.arange(len(choice)), choice].sum())


def hungarian(costs: Costs) -> Choice:
    """The cheapest choice: one shortest augmenting path per task, cubic in the number of tasks."""
    tasks, agents = _checked(costs)
    if tasks > OWN_TASKS_MAX and (solver := _scipy()) is not None:
        return _solved(solver, costs)
    row_price, price = np.zeros(tasks), np.zeros(agents + 1)
    holder = np.full(agents + 1, -1)  # of each agent; the last place stands for the task being added
    for task in range(tasks):
        holder[agents] = task
        column = agents
        distance = np.full(agents, np.inf)
        before = np.full(agents, agents)
        done = np.zeros(agents + 1, bool)
        while holder[column] >= 0:
            done[column] = True
            row = int(holder[column])
            reach = costs[row] - row_price[row] - price[:agents]
            better = ~done[:agents] & (reach < distance)
            distance[better] = reach[better]
            before[better] = column
            column = int(np.where(done[:agents], np.inf, distance).argmin())
            step = float(distance[column])
            if done[column] or not np.isfinite(step):
                raise _impossible()
            row_price[holder[done]] += step
            price[done] -= step
            distance[~done[:agents]] -= step
        while column != agents:
            source = int(before[column])
            holder[column] = holder[source]
            column = source
    choice = np.full(tasks, -1)
    taken = np.flatnonzero(holder[:agents] >= 0)
    choice[holder[taken]] = taken
    return choice


@cache
def _scipy() -> Callable[[Costs], tuple[Choice, Choice]] | None:
    """SciPy's solver, where it is installed; loading it takes longer than many small tables."""
    try:
        module = importlib.import_module("scipy.optimize")
    except ImportError:
        return None
    solver: Callable[[Costs], tuple[Choice, Choice]] = module.linear_sum_assignment
    return solver


def _solved(solver: Callable[[Costs], tuple[Choice, Choice]], costs: Costs) -> Choice:
    try:
        return solver(costs)[1]
    except ValueError:
        raise _impossible() from None


def auction(costs: Costs, share: float = AUCTION_SHARE) -> Choice:
    """Tasks bid for agents until nobody is outbid; within `share` of the mean cost of the best, each.

    Bids rise by at least a step that shrinks from round to round (epsilon scaling); prices stay from
    one round to the next, so the later ones are short.
    """
    tasks, agents = _checked(costs)
    allowed = np.isfinite(costs)
    if not allowed.any(axis=1).all():
        raise _impossible()
    top = float(np.abs(costs[allowed]).max(initial=0.0)) or 1.0
    worth = np.zeros(
        (agents, agents)
    )  # the tasks, then idle ones that want nothing, so all agents are bid for
    worth[:tasks] = np.where(allowed, -costs, -top * (4 * agents + 4))
    last = max(share * float(np.abs(costs[allowed]).mean()), 1e-12 * top)
    step = max(top / 4, last)
    prices = np.zeros(agents)
    while True:
        choice = _bidding(worth, prices, step)
        if step <= last:
            break
        step = max(step / AUCTION_SCALING, last)
    chosen = choice[:tasks]
    if not np.isfinite(costs[np.arange(tasks), chosen]).all():
        raise _impossible()
    return chosen


def _bidding(worth: Costs, prices: Costs, step: float) -> Choice:
    """One round: every task ends with an agent that it would not give up for a gain above `step`."""
    count = len(worth)
    choice = np.full(count, -1)
    owner = np.full(count, -1)
    waiting = list(range(count))
    while waiting:
        task = waiting.pop()
        gains = worth[task] - prices
        best = int(gains.argmax())
        gain = gains[best]
        gains[best] = -np.inf
        second = float(gains.max()) if count > 1 else float(gain)
        prices[best] += float(gain) - second + step
        outbid = int(owner[best])
        if outbid >= 0:
            choice[outbid] = -1
            waiting.append(outbid)
        owner[best], choice[task] = task, best
    return choice


def genetic(costs: Costs, seed: int = 0, extra: Callable[[Choice], float] | None = None) -> Choice:
    """Search by selection and exchange; `extra` may add any cost of a whole choice.

    It begins with what a hasty auction and plain greed would choose, among others by chance.
    """
    tasks, agents = _checked(costs)
    chance = np.random.default_rng(seed)
    finite = costs[np.isfinite(costs)]
    penalty = (float(np.abs(finite).max(initial=1.0)) + 1.0) * (tasks + 1)
    table = np.where(np.isfinite(costs), costs, penalty)

    def weigh(population: Choice) -> Costs:
        found: Costs = table[np.arange(tasks), population[:, :tasks]].sum(1)
        return found if extra is None else found + np.array([extra(each[:tasks]) for each in population])

    begun = [_whole(auction(table, HASTY_SHARE), agents), _greedy(table)]
    by_chance = [chance.permutation(agents) for _ in range(POPULATION - len(begun))]
    population = np.array(begun + by_chance)
    weights = weigh(population)
    for _ in range(GENERATIONS):
        rivals = chance.integers(0, POPULATION, (POPULATION, 2))
        first = weights[rivals[:, 0]] <= weights[rivals[:, 1]]
        children = population[np.where(first, rivals[:, 0], rivals[:, 1])].copy()
        for child in children:
            for _ in range(int(chance.integers(1, SWAPS_MAX + 1))):
                _exchange(child, table, int(chance.integers(0, tasks)), chance)
        both = np.vstack([population, children])
        weighed = np.concatenate([weights, weigh(children)])
        kept = np.argsort(weighed, kind="stable")[:POPULATION]
        population, weights = both[kept], weighed[kept]
    best: Choice = population[int(weights.argmin()), :tasks]
    if not np.isfinite(costs[np.arange(tasks), best]).all():
        raise _impossible()
    return best


def _exchange(child: Choice, table: Costs, task: int, chance: np.random.Generator) -> None:
    """Give a task another agent, and that agent's task the old one: mostly the exchange that saves most."""
    tasks = len(table)
    mine = table[task, child]  # if the task had each other's agent
    theirs = np.zeros(len(child))
    theirs[:tasks] = table[:, child[task]] - table[np.arange(tasks), child[:tasks]]
    saving = mine - mine[task] + theirs
    saving[task] = np.inf
    if len(child) < 2:
        return
    other = int(saving.argmin()) if chance.random() < 0.7 else int(chance.integers(0, len(child)))
    child[task], child[other] = child[other], child[task]


def _whole(choice: Choice, agents: int) -> Choice:
    """A choice, and the idle agents after it."""
    idle = np.setdiff1d(np.arange(agents), choice)
    return np.concatenate([choice, idle])


def _greedy(table: Costs) -> Choice:
    """Every task in turn takes the cheapest agent left; idle agents follow."""
    free = np.ones(table.shape[1], bool)
    order: list[int] = []
    for row in table:
        best = int(np.where(free, row, np.inf).argmin())
        free[best] = False
        order.append(best)
    return np.array([*order, *np.flatnonzero(free).tolist()])


def _checked(costs: Costs) -> tuple[int, int]:
    if (
        costs.ndim != 2
        or costs.shape[0] > costs.shape[1]
        or np.isnan(costs).any()
        or (costs == -np.inf).any()
    ):
        raise Mistake(
            f"costs of shape {costs.shape}",
            place="costs",
            remedy="give one row per task and at least as many columns; numbers, or +inf for what may not be",
        )
    return int(costs.shape[0]), int(costs.shape[1])


def _impossible() -> Mistake:
    return Mistake(
        "no choice avoids the forbidden pairs", place="costs", remedy="allow more agents, or fewer tasks"
    )
