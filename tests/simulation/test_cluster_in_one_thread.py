"""Whole clusters on virtual time, with the real drivers: leaders die, links break, nodes and cells fail."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from random import Random

import pytest

from swarm.errors import NeedsDecision, NotFound, NotLeader
from swarm.graph import Feed, Graph, Node, NodeName, Payload, Retry
from swarm.ids import CapabilityName, NodeId, RunId
from swarm.scheduler.run import Run, Status, Step
from swarm.testing.cells import Fate
from swarm.testing.cluster import ANN
from swarm.testing.graphs import ALL, OUT, chain_graph, small_graph, wide_graph
from tests.simulation.cluster_world import (
    NODES,
    ONCE,
    PAY,
    STORM,
    Bank,
    executions,
    run_seed,
    said,
    simulate,
    submitted,
)
from tests.simulation.raft_replicas import Violation

SEEDS = range(12)


def assert_succeeded(run: Run) -> None:
    assert (run.status, run.reason) == (Status.SUCCEEDED, "")
    assert set(run.state) == {Step.OK}
    assert sorted(run.order) == list(range(len(run.graph.nodes)))


# -- one thing at a time --------------------------------------------------------------------------


def test_a_graph_runs_on_a_quiet_cluster_and_every_step_runs_once():
    async def act(cluster):
        run = await cluster.ended(await cluster.submit(wide_graph(40)))
        assert_succeeded(run)
        assert set(executions(cluster, run).values()) == {1}
        assert {record.node for record in run.records.values()} == {"n1", "n2", "n3"}

    simulate(act)


def test_values_flow_from_feeds_through_edges_to_outlets():
    async def act(cluster):
        graph = small_graph("a b", ("a", "b"), outlets="b")
        feed = Feed("given", graph.edges[0].target._replace(node="a"))
        graph = Graph("fed", graph.nodes, graph.edges, (feed,), graph.outlets)
        run = await cluster.ended(await cluster.submit(graph, {"given": Payload("json", b"7")}))
        first = said({ALL: (Payload("json", b"7"),)})[OUT]
        assert run.outputs() == {"b": said({ALL: (first,)})[OUT]}

    simulate(act)


def test_the_death_of_the_leader_in_the_middle_of_a_run_costs_no_result():
    async def act(cluster):
        run = await cluster.submit(chain_graph(100))
        known = (await cluster.leader()).run(run)
        await cluster.until(lambda: len(known.order) >= 10)
        dead = await cluster.kill_leader()
        ended = await cluster.ended(run)
        assert_succeeded(ended)
        assert (await cluster.leader()).node != dead
        assert {record.term for record in ended.records.values()} == {1, 3}  # in term 2 nobody led

    simulate(act)


class Forgetful(Bank):
    """Says of what it has done that it was not."""

    def _look(self, inputs):
        return {"outcome": Payload("json", b'"not_done"')}


def paid_when_its_cell_dies(bank):
    """Somebody pays, and the cell dies before it says so."""

    async def act(cluster):
        await bank.open(cluster)
        for cells in cluster.cells.values():
            cells.fate = lambda capability: Fate.DIE_AFTER if capability == PAY else Fate.WELL
        run = await cluster.submit(small_graph([Node(NodeName("pay"), PAY)], outlets="pay"))
        known = (await cluster.leader()).run(run)
        await cluster.until(lambda: bool(bank.paid))
        for cells in cluster.cells.values():
            cells.fate = lambda _: Fate.WELL
        assert_succeeded(await cluster.ended(run))
        bank.check(known)

    simulate(act)


def test_an_agent_that_is_asked_pays_once_and_one_that_forgot_it_is_caught():
    paid_when_its_cell_dies(Bank(Random(0)))
    with pytest.raises(Violation, match="pay was paid 2 times"):
        paid_when_its_cell_dies(Forgetful(Random(0)))


def test_a_leader_that_lost_its_links_runs_again_what_nobody_finished():
    async def act(cluster):
        for name in ("n1", "n2", "n3"):
            cluster.cells[NodeId(name)].fate = lambda _: Fate.HANG
        run = await cluster.submit(wide_graph(6))
        await asyncio.sleep(0.2)
        for name in ("n1", "n2", "n3"):
            await cluster.kill_node(NodeId(name))
            await cluster.start_node(NodeId(name))
        ended = await cluster.ended(run)
        assert_succeeded(ended)
        assert set(executions(cluster, ended).values()) == {2}

    simulate(act)


def test_a_muted_link_is_noticed_by_its_silence_and_the_work_goes_elsewhere():
    async def act(cluster):
        leader = await cluster.leader()
        cluster.links.mute(NodeId("n1"), leader.node)
        run = await cluster.ended(await cluster.submit(wide_graph(20)))
        assert_succeeded(run)
        assert {record.node for record in run.records.values()} == {"n2", "n3"}

    simulate(act)


def test_nodes_leave_a_leader_that_fell_silent_for_one_that_speaks():
    async def act(cluster):
        old = await cluster.leader()
        for name in NODES:
            cluster.links.mute(name, old.node)
        new = next(name for name in cluster.log.voters if name != old.node)
        cluster.log.elect(new)
        run = await submitted(cluster, wide_graph(6), "key")
        assert_succeeded(await cluster.ended(run))
        assert cluster.clock.monotonic_ms() < 10_000

    simulate(act)


def test_a_node_that_is_cut_off_for_a_moment_keeps_what_it_finished():
    async def act(cluster):
        run = await cluster.submit(wide_graph(200))
        for _ in range(20):
            await asyncio.sleep(0.01)
            cluster.links.cut(cluster.dice.choice(list(cluster.workers)))
        assert_succeeded(await cluster.ended(run))

    simulate(act)


def test_cells_that_raise_hang_or_die_cost_retries_and_never_the_run():
    async def act(cluster):
        fates = Counter()

        def fate(_: CapabilityName) -> Fate:
            chosen = Fate.WELL if fates.total() > 12 else cluster.dice.choice(list(Fate))
            fates[chosen] += 1
            return chosen

        for cells in cluster.cells.values():
            cells.fate = fate
        graph = wide_graph(10)
        patient = tuple(
            type(n)(n.name, n.capability, retry=type(n.retry)(20, 10), timeout_ms=500) for n in graph.nodes
        )
        run = await cluster.ended(await cluster.submit(Graph("patient", patient)))
        assert_succeeded(run)
        assert set(fates) == set(Fate)
        assert executions(cluster, run).total() > 10

    simulate(act)


def test_a_step_that_always_fails_ends_its_run_with_the_agents_own_words():
    async def act(cluster):
        for cells in cluster.cells.values():
            cells.fate = lambda _: Fate.FAIL
        run = await cluster.ended(await cluster.submit(chain_graph(3)))
        assert (run.status, run.reason) == (Status.FAILED, "step s0: it raised, as it was told")
        assert executions(cluster, run) == {0: 3}

    simulate(act)


def test_cancelling_stops_what_runs_on_the_nodes():
    async def act(cluster):
        for cells in cluster.cells.values():
            cells.fate = lambda _: Fate.HANG
        run = await cluster.submit(wide_graph(30))
        await asyncio.sleep(0.2)
        leader = await cluster.leader()
        await leader.cancel(run, "enough", ANN)
        assert (await cluster.ended(run)).status is Status.CANCELLED
        for cells in cluster.cells.values():
            cells.fate = lambda _: Fate.WELL
        assert_succeeded(await cluster.ended(await cluster.submit(wide_graph(30))))
        assert cluster.clock.monotonic_ms() < 5_000

    simulate(act)


def test_cancelling_a_run_harms_no_step_of_another_in_the_same_cell():
    async def act(cluster):
        once = tuple(replace(node, retry=Retry(attempts_max=1)) for node in wide_graph(8).nodes)
        doomed = await cluster.submit(wide_graph(8))
        spared = await cluster.submit(Graph("spared", once))

        def share_a_cell() -> bool:
            seats = {}
            for host in cluster.workers[NODES[0]]._hosts.values():
                for key, seat in host._pending.items():
                    if seat is not None:
                        seats.setdefault(id(seat), set()).add(key.run)
            return {doomed, spared} in seats.values()

        await cluster.until(share_a_cell)
        await (await cluster.leader()).cancel(doomed, "enough", ANN)
        assert_succeeded(await cluster.ended(spared))

    simulate(act, nodes=1, slots=16, call_ms=50)


def test_a_coordinator_that_comes_back_knows_what_was_decided_without_it():
    async def act(cluster):
        dead = await cluster.kill_leader()
        run = await cluster.ended(await cluster.submit(wide_graph(20)))
        cluster.log.compact((await cluster.leader()).node)
        later = await cluster.ended(await cluster.submit(wide_graph(5)))
        await cluster.start_coordinator(dead)
        await asyncio.sleep(0.1)
        ledger = cluster.coordinators[dead].replica.scheduler.ledger
        for known in (run, later):
            again = ledger.runs[known.submitted.run]
            assert (again.status, again.state, again.order) == (known.status, known.state, known.order)

    simulate(act)


def test_only_a_leader_says_that_a_run_does_not_exist():
    async def act(cluster):
        leader = await cluster.leader()
        with pytest.raises(NotFound):
            await leader.look_up(RunId("run-unknown"))
        for follower in cluster.coordinators.values():
            if follower is not leader:
                with pytest.raises(NotLeader):
                    await follower.look_up(RunId("run-unknown"))

    simulate(act)


def test_two_deaths_of_three_stop_the_cluster_and_a_return_wakes_it():
    async def act(cluster):
        run = await cluster.submit(chain_graph(20))
        first = await cluster.kill_leader()
        second = await cluster.kill_leader()
        await asyncio.sleep(5)
        assert cluster.log.current.leader is None
        await cluster.start_coordinator(first)
        assert_succeeded(await cluster.ended(run))
        await cluster.start_coordinator(second)

    simulate(act)


# -- everything at once -----------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_breaks_every_run_ends_with_every_step_recorded_once(seed):
    run_seed(seed, STORM)


def test_one_seed_takes_one_course():
    assert run_seed(3, STORM) == run_seed(3, STORM)
    assert run_seed(3, STORM) != run_seed(4, STORM)


def test_a_key_names_one_run_whoever_leads():
    async def act(cluster):
        first = await submitted(cluster, wide_graph(3), "key")
        await cluster.kill_leader()
        assert await submitted(cluster, wide_graph(3), "key") == first
        assert await submitted(cluster, wide_graph(3), "other") != first

    simulate(act)


def test_results_finished_while_nobody_led_are_not_made_again_when_the_node_is_restarted():
    async def act(cluster):
        run = await cluster.submit(wide_graph(6))
        known = (await cluster.leader()).run(run)
        await cluster.until(lambda: sum(executions(cluster, known).values()) == 6)
        for name in NODES:
            cluster.links.cut(name)
        for name in cluster.log.voters:
            await cluster.kill(name)
        await cluster.until(lambda: sum(len(kept.open) for kept in cluster.outcomes.values()) == 6)
        for name in NODES:
            await cluster.kill_node(name)
        for name in cluster.log.voters:
            await cluster.start_coordinator(name)
        for name in NODES:
            await cluster.start_node(name)
        ended = await cluster.ended(run)
        assert_succeeded(ended)
        assert set(executions(cluster, ended).values()) == {1}

    simulate(act)


def test_a_step_that_must_not_run_twice_asks_when_its_node_does_not_come_back():
    async def act(cluster):
        for cells in cluster.cells.values():
            cells.fate = lambda _: Fate.HANG
        graph = wide_graph(1, ONCE)
        run = await submitted(cluster, graph, "pay")
        known = (await cluster.leader()).run(run)
        await cluster.until(lambda: executions(cluster, known).total() == 1)
        await cluster.kill_node(known.intents[0].node)
        ended = await cluster.ended(run)
        assert isinstance(ended.records[0].error, NeedsDecision)
        assert "new key" in ended.records[0].error.remedy
        assert executions(cluster, ended) == {0: 1}

    simulate(act)
