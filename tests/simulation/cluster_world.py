"""Whole clusters in bad weather, from a seed: the real drivers on virtual time, and what must always hold.

A storm kills coordinators and nodes, starts them again, cuts links, parts and silences them, and folds the
log into snapshots, while clients submit graphs and follow them from replica to replica. Every process has a
calendar of its own, up to an hour off. Then everybody comes back, and the books are checked:

    every acknowledged run has ended, and as it must          `_check_ends`
    every step has one result, and all replicas say the same  `_check_books`
    a step with `effects: once` was begun once at most        `_check_once`
    one whose agent can look took effect once, whatever broke `Bank.check`
    a key that was used names the same run for ever           `_check_keys`
    a history only grows, whichever replica shows it          `Follower`
    nothing is left on a desk or in an outbox                 `_check_leftovers`
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from random import Random

import structlog

from swarm.errors import AgentFailed, NeedsDecision, NotLeader, OutcomeUnknown, SwarmError
from swarm.graph import Graph, Items, Node, NodeName, Payload, Priority, encode
from swarm.ids import CapabilityName, NodeId, RunId
from swarm.scheduler.run import Run, Status, Step
from swarm.testing.cells import Fate
from swarm.testing.clock import run_virtually
from swarm.testing.cluster import ANN, MemoryCluster
from swarm.testing.graphs import ALL, CAPABILITIES, OUT, chain_graph, model_agent, random_graph
from tests.simulation.raft_replicas import Violation

ONCE = CapabilityName("model:once")
PAY, LOOK = CapabilityName("bank:pay"), CapabilityName("bank:look")
LUCK = {Fate.WELL: 6, Fate.DIE: 1, Fate.DIE_AFTER: 2}  # how calls at the bank go, by weight
RETRY_S = 0.05
SKEW_MS = 3_600_000
CALL_MS = 40  # long enough for trouble to strike in the middle of it
SETTLE_S = 0.3  # for followers to hear of the last commit
LEFTOVER_LOOKS_MAX = 40  # at desks and outboxes, before what lies there is called forgotten
NODES = (NodeId("n1"), NodeId("n2"), NodeId("n3"))


@dataclass(frozen=True)
class Weather:
    """How bad it gets, and how much work there is meanwhile."""

    turns: int = 40
    runs: int = 6
    steps_max: int = 25
    pause_s: tuple[float, float] = (0.005, 0.6)


STORM = Weather()
SHOWER = Weather(turns=8, runs=2, steps_max=6, pause_s=(0.005, 0.3))


@dataclass
class Books:
    """What clients were told."""

    acknowledged: dict[str, RunId] = field(default_factory=dict)  # by key
    graphs: dict[RunId, Graph] = field(default_factory=dict)


def said(inputs: Mapping[str, Items]) -> dict[str, Items]:
    """What the simulated agents answer: a hash of everything they were given."""
    given = inputs.get(ALL, ())
    parts = [given] if isinstance(given, Payload) else list(given)
    digest = hashlib.sha256(b"|".join(part.data for part in parts)).hexdigest()[:12]
    return {OUT: Payload("json", json.dumps(digest).encode())}


def require(condition: bool, what: str) -> None:
    if not condition:
        raise Violation(what)


class Bank:
    """Effects outside of the cluster, by intent, and the agent that makes them and can look them up.

    What it says was not done will not be done: the intent is called off.
    """

    def __init__(self, dice: Random) -> None:
        self._dice = dice
        self.paid: Counter[tuple[str, int]] = Counter()  # by run and step
        self._intents: dict[bytes, bool] = {}  # whether it was paid or called off

    async def open(self, cluster: MemoryCluster) -> None:
        """Offer the agent."""
        pay, look = model_agent(PAY, LOOK).capabilities
        pay = replace(pay, effects="once", reconcile=LOOK)
        await cluster.deploy(cluster.agents.add("bank", {pay: self._pay, look: self._look}))

    def fate(self, capability: CapabilityName) -> Fate:
        """How a call goes."""
        if capability not in (PAY, LOOK):
            return Fate.WELL
        return self._dice.choices(list(LUCK), list(LUCK.values()))[0]

    def _pay(self, inputs: Mapping[str, Items]) -> dict[str, Items]:
        intent = _intent(inputs)
        if not self._intents.setdefault(intent, True):
            raise ValueError("called off")
        told = json.loads(intent)
        self.paid[told["run"], told["step"]] += 1
        return said(inputs)

    def _look(self, inputs: Mapping[str, Items]) -> dict[str, Items]:
        mood = self._dice.random()
        if mood < 0.1:
            raise ValueError("the bank is closed")
        if mood < 0.15:
            return {"outcome": Payload("json", b'"unknown"')}
        if self._intents.setdefault(_intent(inputs), False):
            return {**said(inputs), "outcome": Payload("json", b'"done"')}
        return {"outcome": Payload("json", b'"not_done"')}

    def check(self, run: Run) -> None:
        """Nothing was paid twice, and what succeeded was paid."""
        name = run.submitted.run
        for step, node in enumerate(run.graph.nodes):
            if node.capability == PAY:
                paid = self.paid[name, step]
                require(paid <= 1, f"{name}: {node.name} was paid {paid} times")
                require(paid == 1 or run.state[step] is not Step.OK, f"{name}: {node.name} was not paid")


def _intent(inputs: Mapping[str, Items]) -> bytes:
    intent = inputs["intent"]
    assert isinstance(intent, Payload)
    return intent.data


# -- the world ------------------------------------------------------------------------------------


async def with_agents(cluster: MemoryCluster) -> None:
    """Agents for every capability; one of them must not run twice."""
    first, second, third = CAPABILITIES
    for name, capabilities, kind in (("one", (first, second), "python"), ("two", (third,), "wasm")):
        signatures = model_agent(*capabilities).capabilities
        await cluster.deploy(cluster.agents.add(name, dict.fromkeys(signatures, said), kind=kind))
    signatures = tuple(replace(one, effects="once") for one in model_agent(ONCE).capabilities)
    await cluster.deploy(cluster.agents.add("payer", dict.fromkeys(signatures, said)))


def simulate(act: Callable[[MemoryCluster], Awaitable[None]], seed: int = 0, **options: int) -> str:
    """Run a scenario; everything that happened, as one hash."""

    async def main() -> str:
        async with MemoryCluster(seed=seed, **options) as cluster:
            await with_agents(cluster)
            await act(cluster)
            cluster.look_for_bugs()
            leader = await cluster.leader()
            ledger = leader.replica.scheduler.ledger
            happened = [
                [
                    (name, run.status, run.order, list(run.records.values()))
                    for name, run in ledger.runs.items()
                ],
                [(name, journal.lines) for name, journal in cluster.journals.items()],
                cluster.clock.monotonic_ms(),
            ]
            return hashlib.sha256(repr(happened).encode()).hexdigest()

    printer = structlog.PrintLogger()  # one for all: what is filtered out costs the making of its logger
    quiet = structlog.make_filtering_bound_logger("critical")
    structlog.configure(wrapper_class=quiet, logger_factory=lambda *_: printer)
    try:
        return run_virtually(main())
    finally:
        structlog.reset_defaults()


def weather(kind: Weather) -> Callable[[MemoryCluster], Awaitable[None]]:
    """A scenario of that weather."""

    async def act(cluster: MemoryCluster) -> None:
        dice = Random(cluster.dice.random())
        bank = Bank(Random(cluster.dice.random()))
        await bank.open(cluster)
        storm = asyncio.create_task(trouble(cluster, kind, bank))
        books, followers = Books(), []
        for number in range(kind.runs):
            await asyncio.sleep(dice.uniform(0, kind.turns * sum(kind.pause_s) / 2 / kind.runs))
            graph = _graph(dice, kind.steps_max)
            key = f"key-{number}"
            run = books.acknowledged[key] = await submitted(cluster, graph, key)
            books.graphs[run] = graph
            followers.append(Follower(cluster, run, Random(dice.random())))
        await storm
        for follower in followers:
            await follower.done()
        await check(cluster, books, bank)

    return act


def _graph(dice: Random, steps_max: int) -> Graph:
    """Anything; now and then a chain with a step in its middle that must not run twice."""
    if dice.random() < 0.3:
        chain = chain_graph(3)
        middle = Node(NodeName("s1"), dice.choice((ONCE, PAY)))
        return Graph("paying", (chain.nodes[0], middle, chain.nodes[2]), chain.edges)
    return single_outputs(random_graph(dice, steps_max, timeouts_ms=(60_000,)))


def single_outputs(graph: Graph) -> Graph:
    """Every edge from the port that gives one value to all."""
    edges = {(e.source.node, e.target): e for e in graph.edges}
    return Graph(
        graph.name, graph.nodes, tuple(
            type(e)(e.source._replace(port=OUT), e.target, e.bond, e.items_max) for e in edges.values()
        ), outlets=graph.outlets, on_failure=graph.on_failure,
    )  # fmt: skip


async def submitted(cluster: MemoryCluster, graph: Graph, key: str) -> RunId:
    """What a careful client does: the same key, again and again, until it is acknowledged."""
    while True:
        leader = await cluster.leader()
        try:
            waits = cluster.dice.random() < 0.5
            run, _, _ = await leader.submit(encode(graph), {}, Priority.MEDIUM, ANN, key, waits=waits)
        except (NotLeader, OutcomeUnknown):
            await asyncio.sleep(RETRY_S)
        else:
            return run


async def trouble(cluster: MemoryCluster, kind: Weather, bank: Bank) -> None:
    """Bad luck for a while; afterwards everybody is back and every link can be opened."""
    dice = cluster.dice
    for _ in range(kind.turns):
        for cells in cluster.cells.values():
            cells.fate = bank.fate
        await asyncio.sleep(dice.uniform(*kind.pause_s))
        match dice.randrange(7):
            case 0 if len(cluster.coordinators) == 3 and cluster.log.current.leader:
                await cluster.kill(cluster.log.current.leader)
            case 1 if len(cluster.coordinators) < 3:
                gone = next(name for name in cluster.log.voters if name not in cluster.coordinators)
                await cluster.start_coordinator(gone)
            case 2 if len(cluster.workers) > 1:
                await cluster.kill_node(dice.choice(sorted(cluster.workers)))
            case 3 if len(cluster.workers) < 3:
                await cluster.start_node(next(name for name in NODES if name not in cluster.workers))
            case 4:
                cluster.links.cut(dice.choice(sorted(cluster.workers)))
            case 5:
                break_ = dice.choice([cluster.links.part, cluster.links.mute])
                break_(dice.choice(sorted(cluster.workers)), dice.choice(cluster.log.voters))
            case _:
                cluster.links.heal()
                cluster.log.compact(dice.choice(sorted(cluster.coordinators)))
    await _sunshine(cluster)


async def _sunshine(cluster: MemoryCluster) -> None:
    cluster.links.heal()
    for name in cluster.log.voters:
        if name not in cluster.coordinators:
            await cluster.start_coordinator(name)
    for name in NODES:
        if name not in cluster.workers:
            await cluster.start_node(name)


class Follower:
    """A client that follows a run by offset, from whichever replica answers."""

    def __init__(self, cluster: MemoryCluster, run: RunId, dice: Random) -> None:
        self._cluster, self._run, self._dice = cluster, run, dice
        self._seen: list[tuple[int, int, NodeId]] = []
        self._task = asyncio.create_task(self._follow())

    async def done(self) -> None:
        await self._task

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(self._dice.uniform(0.01, 0.4))
            if not self._cluster.coordinators:
                continue
            replica = self._cluster.coordinators[self._dice.choice(sorted(self._cluster.coordinators))]
            try:
                run = await replica.look_up(self._run)
            except (NotLeader, OutcomeUnknown):
                continue
            history = [_event(run, step) for step in run.order]
            shorter = min(len(history), len(self._seen))
            require(
                history[:shorter] == self._seen[:shorter],
                f"{self._run}: {replica.node} tells another history than was told before",
            )
            self._seen += history[len(self._seen) :]
            if run.settled:
                return


def _event(run: Run, step: int) -> tuple[int, int, NodeId]:
    record = run.records[step]
    return step, record.attempt, record.node


# -- the books -------------------------------------------------------------------------------------


async def check(cluster: MemoryCluster, books: Books, bank: Bank) -> None:
    """Everything that must hold once the storm is over; raises `Violation`."""
    runs = {name: await cluster.ended(name) for name in books.acknowledged.values()}
    for run in runs.values():
        _check_ends(run)
        _check_once(cluster, run)
        bank.check(run)
    await asyncio.sleep(SETTLE_S)
    _check_books(cluster, list(runs))
    await _check_keys(cluster, books)
    await _check_leftovers(cluster)


def _check_ends(run: Run) -> None:
    name = run.submitted.run
    require(sorted(set(run.order)) == sorted(run.order), f"{name}: a step is recorded twice")
    paying = any(node.capability in (ONCE, PAY) for node in run.graph.nodes)
    if run.status is Status.SUCCEEDED:
        require(set(run.state) == {Step.OK}, f"{name} succeeded with steps {run.state}")
        require(sorted(run.order) == list(range(len(run.state))), f"{name}: a step has no result")
    else:
        errors = [record.error for record in run.records.values() if record.error is not None]
        asked = bool(errors) and all(isinstance(error, NeedsDecision) or _off(error) for error in errors)
        require(paying and asked, f"{name} ended as {run.status}: {run.reason}")
    if paying and run.status is Status.SUCCEEDED:
        value = said({})[OUT]
        for step in range(len(run.state)):
            require(run.records[step].outputs == {OUT: value}, f"{name}: step {step} gave another value")
            value = said({ALL: (value,)})[OUT]


def _off(error: SwarmError) -> bool:
    """Whether an attempt came to nothing because its agent had said before that it would."""
    return isinstance(error, AgentFailed) and "called off" in error.message


def executions(cluster: MemoryCluster, run: Run) -> Counter[int]:
    """How often each step was begun, by the nodes' journals."""
    lines = [line for journal in cluster.journals.values() for line in journal.lines]
    return Counter(step for line in lines if line["run"] == run.submitted.run for step in line["steps"])


def _check_once(cluster: MemoryCluster, run: Run) -> None:
    begun = executions(cluster, run)
    for step, node in enumerate(run.graph.nodes):
        if node.capability == ONCE:
            require(begun[step] <= 1, f"{run.submitted.run}: {node.name} was begun {begun[step]} times")


def _check_books(cluster: MemoryCluster, names: list[RunId]) -> None:
    books = [driver.replica.scheduler.ledger.runs for driver in cluster.coordinators.values()]
    require(len(books) == len(cluster.log.voters), "a coordinator did not come back")
    for name in names:
        facts = [
            (b[name].status, b[name].order, b[name].state, b[name].outputs()) for b in books if name in b
        ]
        require(len(facts) == len(books), f"{name} is unknown to a replica")
        require(all(fact == facts[0] for fact in facts), f"{name}: the replicas differ")


async def _check_keys(cluster: MemoryCluster, books: Books) -> None:
    for key, name in books.acknowledged.items():
        again = await submitted(cluster, books.graphs[name], key)
        require(again == name, f"{key} names {again}, and was acknowledged as {name}")


async def _check_leftovers(cluster: MemoryCluster) -> None:
    for _ in range(LEFTOVER_LOOKS_MAX):
        if not (found := _leftovers(cluster)):
            return
        await asyncio.sleep(SETTLE_S)
    raise Violation("; ".join(found))


def _leftovers(cluster: MemoryCluster) -> list[str]:
    """What is still there although every run has ended."""
    schedulers = [one.replica.scheduler for one in cluster.coordinators.values() if one.replica.leads]
    waiting = sum(scheduler.waiting() for scheduler in schedulers)
    busy = sum(len(view.busy) for scheduler in schedulers for view in scheduler.nodes())
    kept = sum(len(outcomes.open) for outcomes in cluster.outcomes.values())
    found = {"steps that wait": waiting, "slots taken": busy, "outcomes without a receipt": kept}
    return [f"{count} {what}" for what, count in found.items() if count]


def run_seed(seed: int, kind: Weather) -> str:
    """One seed; raises `Violation`, or whatever a driver died of."""
    try:
        return simulate(weather(kind), seed, skew_ms=SKEW_MS, call_ms=CALL_MS)
    except SwarmError as error:
        raise Violation(f"{type(error).__name__}: {error}") from error
