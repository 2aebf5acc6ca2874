"""Tenants share slots: nobody starves another, what nobody wants anybody may have, quotas hold."""

import json
from collections import Counter

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from swarm.graph import Payload, Priority
from swarm.scheduler.actions import Dispatch
from swarm.scheduler.events import (
    AgentDeployed,
    Elected,
    NodeJoined,
    OutcomesArrived,
    PolicyApplied,
    RunSubmitted,
    StepRecord,
    StepsRecorded,
    Tick,
)
from swarm.scheduler.machine import Scheduler
from swarm.testing.graphs import CAPABILITIES, OUT, model_agent, wide_graph

TENANTS = ("acme", "zeta", "omega")
AGENT = model_agent(*CAPABILITIES)


class Cluster:
    """A leader with one node of some slots; steps end when told to."""

    def __init__(self, slots, policy):
        self.scheduler, self.flying, self.now_ms, self.runs = Scheduler(), [], 1_000, Counter()
        self.tenant_of = {}
        self.scheduler.apply(AgentDeployed(0, AGENT, "op"))
        self.scheduler.apply(PolicyApplied(0, policy, "op"))
        self.scheduler.apply(Elected(0, 1))
        joined = NodeJoined(self.now_ms, "n1", slots, frozenset({AGENT.digest}), frozenset(), ())
        self.take(self.scheduler.apply(joined))

    def take(self, actions):
        self.flying += [action.key for action in actions if isinstance(action, Dispatch)]

    def submit(self, tenant, steps, priority=Priority.MEDIUM, capability=CAPABILITIES[0]):
        self.runs[tenant] += 1
        run = f"run-{tenant}-{self.runs[tenant]}"
        self.tenant_of[run] = tenant
        event = RunSubmitted(0, run, wide_graph(steps, capability), {}, priority, tenant, "", tenant)
        self.take(self.scheduler.apply(event))
        self.take(self.scheduler.apply(Tick(self.now_ms)))
        return run

    def end(self, count=1):
        """The steps that were begun first end; others take their slots."""
        for _ in range(min(count, len(self.flying))):
            key = self.flying.pop(0)
            self.now_ms += 1
            self.take(self.scheduler.apply(OutcomesArrived(self.now_ms, "n1", (key,))))
            record = StepRecord(*key, "n1", True, {OUT: Payload("bytes", b"")}, None, 0, 1.0)
            self.take(self.scheduler.apply(StepsRecorded(0, (record,))))

    def waiting_tenants(self):
        """One name for each step that is ready and has no slot."""
        flying = set(self.flying)
        for name, run in self.scheduler.ledger.runs.items():
            for step in run.ready():
                if not any((key.run, key.step) == (name, step) for key in flying):
                    yield self.tenant_of[name]

    def flies(self):
        return Counter(self.tenant_of[key.run] for key in self.flying)


def policy(**tenants):
    return json.dumps({"policy": 1, "tenants": tenants, "agents": {"*": {"may": ["NEURAL_COMPUTE"]}}})


def test_slots_go_by_share_where_there_are_too_few():
    cluster = Cluster(12, policy(acme={"share": 2}, zeta={}))
    cluster.submit("acme", 100)
    assert cluster.flies() == {"acme": 12}
    cluster.submit("zeta", 100)
    cluster.end(12)
    assert cluster.flies() == {"acme": 8, "zeta": 4}
    cluster.end(30)
    assert cluster.flies() == {"acme": 8, "zeta": 4}


def test_what_one_tenant_calls_critical_does_not_cost_another_its_share():
    cluster = Cluster(8, policy(acme={}, zeta={}))
    for _ in range(5):
        cluster.submit("acme", 50, Priority.CRITICAL)
    cluster.submit("zeta", 20, Priority.LOW)
    cluster.end(8)
    assert cluster.flies() == {"acme": 4, "zeta": 4}


def test_a_tenant_gains_nothing_by_many_queues():
    cluster = Cluster(8, policy(acme={}, zeta={}))
    for capability in CAPABILITIES:
        cluster.submit("acme", 50, capability=capability)
    cluster.submit("zeta", 50)
    cluster.end(16)
    assert cluster.flies() == {"acme": 4, "zeta": 4}


def test_a_quota_of_steps_in_flight_holds_though_there_is_room():
    cluster = Cluster(8, policy(acme={"steps_in_flight_max": 3}, zeta={}))
    cluster.submit("acme", 20)
    assert cluster.flies() == {"acme": 3}
    cluster.submit("zeta", 20)
    assert cluster.flies() == {"acme": 3, "zeta": 5}
    cluster.end(7)
    assert cluster.flies()["acme"] == 3


def test_within_one_tenant_priority_decides():
    cluster = Cluster(4, policy(acme={}, zeta={}))
    cluster.submit("acme", 10_000, Priority.LOW)
    urgent = cluster.submit("acme", 1, Priority.CRITICAL)
    cluster.end()
    assert cluster.flying[-1].run == urgent


works = st.lists(
    st.tuples(
        st.sampled_from(TENANTS),
        st.integers(1, 40),
        st.sampled_from(Priority),
        st.sampled_from(CAPABILITIES),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(st.integers(5, 16), works, works, st.dictionaries(st.sampled_from(TENANTS), st.integers(1, 3)))
def test_whoever_waits_has_their_share_once_every_slot_came_free(slots, first, then, shares):
    """Whatever flood is there: as soon as every slot came free once, a tenant that waits has its share."""
    chosen = {tenant: {"share": shares.get(tenant, 1)} for tenant in TENANTS}
    total = sum(chosen[tenant]["share"] for tenant in {tenant for tenant, *_ in [*first, *then]})
    assume(slots >= total)  # whose share is less than a slot gets one all the same
    cluster = Cluster(slots, policy(**chosen))
    for work in [*first, *then]:
        cluster.submit(*work)
    cluster.end(slots)
    flies, waiting = cluster.flies(), Counter(cluster.waiting_tenants())
    assert sum(flies.values()) == slots or not waiting
    for tenant in waiting:
        assert flies[tenant] >= int(slots * chosen[tenant]["share"] / total)


def test_tenants_take_turns_where_there_are_fewer_slots_than_tenants():
    cluster = Cluster(1, policy(acme={}, zeta={}))
    cluster.submit("acme", 50, Priority.CRITICAL)
    cluster.submit("zeta", 50, Priority.LOW)
    seen = []
    for _ in range(10):
        seen += [cluster.tenant_of[key.run] for key in cluster.flying]
        cluster.end()
    assert Counter(seen) == {"acme": 5, "zeta": 5}
