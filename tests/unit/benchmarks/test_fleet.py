"""The simulated fleet, small: it does all the work, and its leader's time adds up."""

from swarm.testing.graphs import wide_graph
from tests.benchmarks.costs import Costs
from tests.benchmarks.fleet import Fleet
from tests.benchmarks.scale import cluster, fan_graph, fold, pending_bytes

PRICES = Costs(message_us=70.0, order_us=1.5, outcome_us=1.8, record_us=3.0, sync_ms=2.0)


def test_a_fleet_does_every_step_and_never_faster_than_it_could():
    fleet = Fleet(20, 4, 100.0, PRICES)
    makespan_ms = fleet.run([fan_graph(50)] * 20)
    assert fleet.done == 1_000
    assert makespan_ms >= 1_000 * 100 / (20 * 4)
    assert sum(fleet.spent_ms.values()) <= makespan_ms  # one processor


def test_a_leader_whose_messages_are_dear_is_what_a_fleet_waits_for():
    dear = Costs(message_us=20_000.0, order_us=1.5, outcome_us=1.8, record_us=3.0, sync_ms=2.0)
    cheap, costly = (cluster(prices, 0.001, 100.0, nodes=20, steps=1_000_000) for prices in (PRICES, dear))
    assert costly["makespan_s"] > 2 * cheap["makespan_s"]
    assert costly["leader_busy_pct"] > cheap["leader_busy_pct"]


def test_the_scheduler_alone_ends_every_step_and_a_pending_one_is_small():
    assert fold([wide_graph(300)] * 3)["steps"] == 900
    assert pending_bytes(2_000)["pending_bytes"] <= 600
