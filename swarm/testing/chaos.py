"""Bad luck for a `ModelCluster`, by dice: lost nodes, failures, timeouts, late outcomes, changes of leader.

`Chaos.turn` lets one thing happen. `Chaos.settle` stops the bad luck and lets the cluster finish, in a
number of turns that is bounded: a run that is still not over then has fallen silent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from swarm import limits
from swarm.ids import RunId
from swarm.testing.scheduling import ModelCluster

PAUSES_MS = (1, limits.TICK_MS, 200)
HANG_MS = 6_000


@dataclass(frozen=True, slots=True)
class Odds:
    """How often each thing happens, one against the other."""

    finish: int = 20
    commit: int = 15
    advance: int = 15
    fail: int = 5
    lose: int = 2
    kill: int = 2
    attach: int = 8
    elect: int = 1
    hang: int = 1
    cancel: int = 0


KIND = Odds(fail=0, lose=0, kill=0, elect=0, hang=0)
LOSSES = Odds(fail=0, hang=0)


class Chaos:
    """Decides what happens next to a cluster."""

    def __init__(self, cluster: ModelCluster, dice: Random, odds: Odds = KIND) -> None:
        self._cluster = cluster
        self._dice = dice
        acts: tuple[tuple[int, Callable[[], None]], ...] = (
            (odds.finish, self._finish),
            (odds.commit, self._commit),
            (odds.advance, self._advance),
            (odds.fail, self._fail),
            (odds.lose, self._lose),
            (odds.kill, self._kill),
            (odds.attach, self._attach),
            (odds.elect, self._elect),
            (odds.hang, self._hang),
            (odds.cancel, self._cancel),
        )
        self._weights = [weight for weight, _ in acts]
        self._acts = [act for _, act in acts]

    def turn(self, turns: int = 1) -> None:
        """Let something happen; nothing, if what the dice chose cannot."""
        for act in self._dice.choices(self._acts, self._weights, k=turns):
            act()

    def settle(self) -> None:
        """Good luck from now on, until every run is over."""
        cluster = self._cluster
        turns_max = 200 + 20 * sum(len(cluster.graphs[run].nodes) for run in self._unsettled())
        for _ in range(turns_max):
            cluster.commit()
            if not self._unsettled():
                return
            for node in cluster.nodes.values():
                if not node.attached:
                    cluster.attach(node)
            for node, key in cluster.running():
                if key in node.running:
                    cluster.finish(node, key)
            cluster.advance(limits.TAKEOVER_GRACE_MS)
        raise AssertionError(f"fell silent: {self._unsettled()}")

    def _unsettled(self) -> list[RunId]:
        runs = self._cluster.leader.scheduler.ledger.runs
        return [name for name, run in runs.items() if not run.settled]

    # -- acts ------------------------------------------------------------------------------

    def _finish(self) -> None:
        if running := self._cluster.running():
            self._cluster.finish(*self._dice.choice(running))

    def _fail(self) -> None:
        if running := self._cluster.running():
            self._cluster.fail(*self._dice.choice(running))

    def _commit(self) -> None:
        self._cluster.commit(self._dice.randint(1, 4))

    def _advance(self) -> None:
        self._cluster.advance(self._dice.choice(PAUSES_MS))

    def _hang(self) -> None:
        self._cluster.advance(HANG_MS)

    def _lose(self) -> None:
        if nodes := [node for node in self._cluster.nodes.values() if node.attached]:
            self._cluster.lose(self._dice.choice(nodes))

    def _kill(self) -> None:
        self._cluster.lose(self._dice.choice(list(self._cluster.nodes.values())), killed=True)

    def _attach(self) -> None:
        # A node may open a new link before anybody noticed that the old one is gone.
        self._cluster.attach(self._dice.choice(list(self._cluster.nodes.values())))

    def _elect(self) -> None:
        keep_proposed = self._dice.random() < 0.5
        self._cluster.elect(self._dice.choice(self._cluster.replicas), keep_proposed=keep_proposed)

    def _cancel(self) -> None:
        if runs := self._unsettled():
            self._cluster.cancel(self._dice.choice(runs))
