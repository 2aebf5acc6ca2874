"""A fleet of modelled nodes around the real scheduler, in virtual time.

The leader is one processor: whatever it does (measured, for the scheduler's own work; at measured prices, for
messages and entries of the log) makes everything else wait. Nodes run steps for as long as they take and
report what ended within `GATHER_MS` in one message. Entries are committed one after the other, each as large
as what has gathered. Heartbeats are answered.
"""

import heapq
import time
from collections import defaultdict
from dataclasses import dataclass, field

from swarm import limits
from swarm.graph import Payload, Priority
from swarm.ids import NodeId, RunId
from swarm.scheduler.actions import Dispatch, Recorded
from swarm.scheduler.events import (
    AgentDeployed,
    Elected,
    NodeChanged,
    NodeJoined,
    OutcomesArrived,
    RunSubmitted,
    StepRecord,
    StepsRecorded,
    Tick,
)
from swarm.scheduler.machine import Scheduler
from swarm.testing.graphs import CAPABILITIES, OUT, PARTS, model_agent

NETWORK_MS = 0.25  # one way
GATHER_MS = 10.0  # a node's outcomes wait for each other so long
FOLLOWERS = 2  # each entry is sent to and answered by so many
MEMORY_MB = 65_536
ANSWER = {OUT: Payload("json", b"12345"), PARTS: ()}


@dataclass
class Fleet:
    """Runs graphs on `nodes` nodes of `cores` processors each; every step takes `step_ms`."""

    nodes: int
    cores: int
    step_ms: float
    costs: object
    slots: int = 0  # default: twice the processors, so that a node has something in hand
    now_ms: float = 1_000.0
    spent_ms: dict = field(default_factory=lambda: defaultdict(float))  # the leader's processor, by what for
    messages: int = 0
    done: int = 0

    def __post_init__(self):
        self.slots = self.slots or 2 * self.cores
        self._events, self._order = [], 0
        self._leader_free_ms = 0.0
        self._inbox, self._records, self._committing = [], [], False
        self._running = [0] * self.nodes
        self._waiting = [[] for _ in range(self.nodes)]
        self._ended = [[] for _ in range(self.nodes)]
        self._names = [NodeId(f"n{number}") for number in range(self.nodes)]
        self._index = {name: number for number, name in enumerate(self._names)}
        self._scheduler = Scheduler()
        agent = model_agent(*CAPABILITIES)
        self._scheduler.apply(AgentDeployed(0, agent, "bench"))
        self._scheduler.apply(Elected(0, 1))
        self._scheduler.apply(Tick(limits.TAKEOVER_GRACE_MS))
        for name in self._names:
            joined = NodeJoined(
                1_000, name, self.slots, frozenset([agent.digest]), frozenset(), (), MEMORY_MB, self.cores
            )
            self._scheduler.apply(joined)

    # -- the world ---------------------------------------------------------------------------------

    def run(self, graphs):
        """Submit all of them at once and wait for every step; the makespan in virtual milliseconds."""
        began, total = self.now_ms, sum(len(graph.nodes) for graph in graphs)
        for number, graph in enumerate(graphs):
            submitted = RunSubmitted(0, RunId(f"run-{number:06}"), graph, {}, Priority.MEDIUM, "bench", "")
            self._charge("log", len(graph.nodes) * self.costs.record_us)
            self._act(self._apply(submitted))
        for number in range(self.nodes):
            self._at(self.now_ms + limits.HEARTBEAT_MS * number / self.nodes, self._beat, number)
        while self.done < total:
            self.now_ms, _, what, given = heapq.heappop(self._events)
            what(given)
        return self.now_ms - began

    def _at(self, when_ms, what, given):
        self._order += 1
        heapq.heappush(self._events, (when_ms, self._order, what, given))

    def _orders_arrive(self, given):
        node, keys = given
        self._waiting[node] += keys
        self._go_on(node)

    def _go_on(self, node):
        while self._waiting[node] and self._running[node] < self.cores:
            self._running[node] += 1
            self._at(self.now_ms + self.step_ms, self._step_ends, (node, self._waiting[node].pop(0)))

    def _step_ends(self, given):
        node, key = given
        self._running[node] -= 1
        if not self._ended[node]:
            self._at(self.now_ms + GATHER_MS, self._report, node)
        self._ended[node].append(key)
        self._go_on(node)

    def _report(self, node):
        keys, self._ended[node] = self._ended[node], []
        self._at(self.now_ms + NETWORK_MS, self._to_leader, (self._hear, (node, keys)))

    def _beat(self, node):
        self._at(self.now_ms + NETWORK_MS, self._to_leader, (self._hear_beat, node))
        self._at(self.now_ms + limits.HEARTBEAT_MS, self._beat, node)

    # -- the leader --------------------------------------------------------------------------------

    def _to_leader(self, work):
        self._inbox.append(work)
        if len(self._inbox) == 1:
            self._at(max(self.now_ms, self._leader_free_ms), self._turn, None)

    def _turn(self, _):
        """One turn of the leader's loop: all that has arrived, then what it amounts to."""
        inbox, self._inbox = self._inbox, []
        self._leader_free_ms = self.now_ms
        actions = []
        for what, given in inbox:
            actions += what(given)
        self._act(actions)
        self._propose()

    def _hear(self, given):
        node, keys = given
        self._messages("outcomes", 1)
        self._charge("outcomes", len(keys) * self.costs.outcome_us)
        name = self._names[node]
        self._records += [StepRecord(*key, name, True, ANSWER, None, 0, self.step_ms) for key in keys]
        return self._apply(OutcomesArrived(int(self.now_ms), name, tuple(keys)))

    def _hear_beat(self, node):
        self._messages("heartbeats", 2)
        return self._apply(NodeChanged(int(self.now_ms), self._names[node], load=0.5, draining=False))

    def _propose(self):
        if self._committing or not self._records:
            return
        records = tuple(self._records[: limits.RECORDS_BATCH_MAX])
        del self._records[: len(records)]
        self._committing = True
        self._charge("log", len(records) * self.costs.record_us)
        self._messages("log", 2 * FOLLOWERS)
        commit_ms = self._leader_free_ms + 2 * NETWORK_MS + self.costs.sync_ms
        self._at(commit_ms, self._to_leader, (self._committed, records))

    def _committed(self, records):
        self._committing = False
        self.done += len(records)
        return self._apply(StepsRecorded(int(self.now_ms), records))

    def _apply(self, event):
        began = time.process_time()
        actions = self._scheduler.apply(event)
        self._charge("scheduler", (time.process_time() - began) * 1e6)
        return actions

    def _act(self, actions):
        orders, receipts = defaultdict(list), defaultdict(int)
        for action in actions:
            if isinstance(action, Dispatch):
                orders[action.node].append(action.key)
            elif isinstance(action, Recorded):
                receipts[action.node] += 1
        self._messages("receipts", len(receipts))
        for node, keys in orders.items():
            self._messages("orders", 1)
            self._charge("orders", len(keys) * self.costs.order_us)
            arrive_ms = max(self._leader_free_ms, self.now_ms) + NETWORK_MS
            self._at(arrive_ms, self._orders_arrive, (self._index[node], keys))

    def _messages(self, what, count):
        self.messages += count
        self._charge(what, count * self.costs.message_us)

    def _charge(self, what, microseconds):
        self.spent_ms[what] += microseconds / 1000
        self._leader_free_ms = max(self._leader_free_ms, self.now_ms) + microseconds / 1000
