"""The coordinator: one per voter. It folds the log through the scheduler and, while it leads, acts.

    log --committed--> replica --> scheduler --actions--> roster --> nodes
                         ^                                  |
    clock --tick---------+---------outcomes, failures-------+
                         |                                  v
                         +--<--committed--- log <--propose-- records

Everything runs on one event loop and no state of the scheduler's is held across an await; so the fold
needs no lock. What leaves the cluster (an acknowledgement, a result) leaves it after the commit, because
it is read from the ledger, which takes committed events only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from swarm import limits
from swarm.coordinator.ahead import Submissions
from swarm.coordinator.records import Records
from swarm.coordinator.replica import Replica
from swarm.coordinator.roster import Roster
from swarm.coordinator.tenancy import Tenancy, context_problems
from swarm.errors import AgentRefused, Conflict, GraphRefused, Mistake, NotFound, Problem
from swarm.graph import Catalogue, Payload, Priority, decode, input_problems, problems, unsupported
from swarm.ids import AgentName, NodeId, RunId
from swarm.ports import Clock, Log
from swarm.scheduler.events import (
    AgentDeployed,
    AgentRecord,
    AgentRemoved,
    PolicyApplied,
    RunCancelled,
    RunSubmitted,
    Tick,
)
from swarm.scheduler.ledger import payload_bytes
from swarm.scheduler.machine import DEFAULTS
from swarm.scheduler.run import Run, Status
from swarm.scheduler.together import Options
from swarm.tasks import Tasks
from swarm.trust.policy import OPERATOR, Caller, Capability, Grant
from swarm.trust.policyfile import read_policy
from swarm.trust.revocation import Revoked
from swarm.wire.entries import encode_event

INLINE_BYTES_MAX = 32 * limits.KIB  # larger graphs are examined in a thread, lest the loop stand still
TICK_LATE_MS_MAX = 500  # a tick later than this says nothing about the nodes: we ourselves were asleep


class Coordinator:
    """One coordinator; see the head of this module."""

    def __init__(
        self, node: NodeId, log: Log, clock: Clock, new_id: Callable[[], str], options: Options = DEFAULTS
    ) -> None:
        self.node = node
        self._clock = clock
        self._new_id = new_id
        self._tasks = Tasks()
        self.replica = Replica(node, log, clock, self._tasks, options)
        self._records = Records(self.replica, clock, self._priority)
        self._tenancy = Tenancy(lambda: self.replica.scheduler.ledger, clock)
        self.roster = Roster(self.replica, self._records, clock, self._tasks)
        self._submissions = Submissions(
            self.replica, self.roster.ahead, clock, self.roster.flush, self.roster.take_late
        )
        self.replica.act = self.roster.act
        self.replica.settled = self.roster.flush
        self.replica.deposed = self._deposed
        self.replica.agents_changed = self.roster.host
        self.replica.revoked = self._revoke
        self.revoked: Callable[[Sequence[Revoked]], None] = lambda _: None

    async def start(self) -> None:
        """Recover from the log, join the others, and go to work."""
        self._tasks.start(self._tick_forever())
        self._tasks.start(self._records.flush_forever())
        await self.replica.start()

    async def stop(self) -> None:
        await self._tasks.stop()
        self.roster.cut_all("the coordinator stops")
        await self.replica.stop()

    @property
    def failure(self) -> asyncio.Future[None]:
        """Raises what a task of this coordinator died of: a bug, after which it must not go on."""
        return self._tasks.failure

    def _revoke(self) -> None:
        """Somebody was revoked: tell the nodes, and this process."""
        self.roster.revoke()
        self.revoked(self.replica.revocations())

    def _deposed(self, leader: NodeId | None) -> None:
        self._records.clear()
        self.roster.cut_all(f"the leader is {leader}" if leader else "there is no leader")

    async def _tick_forever(self) -> None:
        last_ms = self._clock.monotonic_ms()
        while True:
            if not self.replica.leads:
                await self.replica.elected.wait()
                last_ms = self._clock.monotonic_ms()
            await self._clock.sleep_ms(limits.TICK_MS)
            now_ms = self._clock.monotonic_ms()
            if self.replica.leads:
                self.replica.absorb(Tick(now_ms))
                if now_ms - last_ms < TICK_LATE_MS_MAX:
                    self.roster.cut_silent()
                self.roster.flush()
            last_ms = now_ms

    def _priority(self, run: RunId) -> Priority:
        found = self.replica.scheduler.ledger.runs.get(run)
        return found.submitted.priority if found is not None else Priority.LOW

    # -- what clients ask ---------------------------------------------------------------------------

    async def submit(
        self,
        graph: bytes,
        inputs: Mapping[str, Payload],
        priority: Priority,
        caller: Caller,
        key: str,
        *,
        sign: bool = False,
        waits: bool = False,
    ) -> tuple[RunId, int, bool]:
        """Accept a run of an encoded graph. Returns its id, the log index, and whether the key was known.

        When this returns, a durable majority holds the run. Whoever `waits` for its end is told a moment
        later and, where it is short, hears both at once. Raises `GraphRefused` with every problem.
        """
        self.replica.must_lead()
        ledger = self.replica.scheduler.ledger
        if (known := ledger.run_of_key(caller.name, key)) is not None:
            return known, self.replica.applied_index(), True
        with self._tenancy.room(caller.grant.tenant, len(graph) + payload_bytes(inputs.values())):
            run = RunId(f"run-{self._new_id()}")
            submission = _Submission(run, inputs, priority, caller, key, self._clock.wall_ms(), sign)
            catalogue = ledger.catalogue(caller.grant.tenant)
            if len(graph) <= INLINE_BYTES_MAX:
                index = await self._submissions.enter(submission.examine(graph, catalogue), waits=waits)
            else:
                event, data = await asyncio.to_thread(submission.examine_and_encode, graph, catalogue)
                index = await self.replica.propose_encoded(event, data)
        winner = self.replica.scheduler.ledger.run_of_key(caller.name, key) or run
        return winner, index, winner != run

    async def cancel(self, run: RunId, reason: str, caller: Caller) -> Run:
        """End a run. One that has ended already stays as it ended."""
        self.replica.must_lead()
        if self.run(run, caller.grant).status is Status.RUNNING:
            await self.replica.propose(RunCancelled(self._clock.wall_ms(), run, reason, caller.name))
        return self.run(run, caller.grant)

    def may_deploy(self, agent: AgentRecord, caller: Caller) -> None:
        """Raises `AgentRefused` where the policy does not let it run, `Conflict` where its name is taken."""
        ledger = self.replica.scheduler.ledger
        if missing := ledger.policy.missing(agent.name, agent.needs):
            problems = [
                Problem(
                    "agent_not_allowed", f"agent {agent.name}", f"it needs {one}, which nobody granted it"
                )
                for one in missing
            ]
            raise AgentRefused(
                "the policy does not let this agent run",
                place="agent file",
                remedy=f"an operator may add it under `agents: {{{agent.name}:` and apply the policy",
                problems=problems,
            )
        there = ledger.agents.get(agent.name)
        if there is not None and there.tenant != caller.grant.tenant:
            raise Conflict(
                f"an agent called {agent.name} is somebody else's", place="agent file", remedy="rename yours"
            )

    async def deploy(self, agent: AgentRecord, caller: Caller) -> int:
        """Offer an agent whose file enough nodes hold. Returns the log index."""
        self.replica.must_lead()
        self.may_deploy(agent, caller)
        event = AgentDeployed(self._clock.wall_ms(), agent, caller.name, caller.grant.tenant)
        return await self.replica.propose(event)

    async def remove_agent(self, name: AgentName, caller: Caller) -> AgentRecord:
        """Offer an agent no longer."""
        self.replica.must_lead()
        deployed = self.replica.scheduler.ledger.agents.get(name)
        if deployed is None or not caller.grant.sees(deployed.tenant):
            raise NotFound(f"no agent {name!r}", remedy="swarm agents lists them")
        await self.replica.propose(AgentRemoved(self._clock.wall_ms(), name, caller.name))
        return deployed.agent

    async def apply_policy(self, document: str, caller: Caller) -> int:
        """Let a policy hold from now on. Raises `ConfigRefused` with every problem."""
        self.replica.must_lead()
        found = read_policy(document)
        if caller.name in found.principals and Capability.ADMINISTER not in found.principals[caller.name].may:
            raise Mistake(
                f"by this policy {caller.name} could never apply another one",
                place=f"principals.{caller.name}.may",
                remedy="grant it ADMINISTER, or apply the policy as somebody it does not name",
            )
        event = PolicyApplied(self._clock.wall_ms(), found.document(), caller.name)
        return await self.replica.propose(event)

    async def look_up(self, run: RunId, grant: Grant = OPERATOR) -> Run:
        """A run by its id, for somebody who may have heard of it elsewhere.

        Raises `NotFound` only by the word of a leader that is one at this moment: any other replica may be
        behind, one that has just started by everything, and says `NotLeader`.
        """
        if run not in self.replica.scheduler.ledger.runs:
            self.replica.must_lead()
            await self.replica.read_barrier()
        return self.run(run, grant)

    def run(self, run: RunId, grant: Grant = OPERATOR) -> Run:
        """A run by its id. Raises `NotFound`, also where it is another tenant's: that it exists is theirs."""
        found = self.replica.scheduler.ledger.runs.get(run)
        if found is None or not grant.sees(found.submitted.tenant):
            raise NotFound(f"no run {run!r}", remedy="swarm runs list shows those that are remembered")
        return found


@dataclass(frozen=True, slots=True)
class _Submission:
    """What comes with a graph."""

    run: RunId
    inputs: Mapping[str, Payload]
    priority: Priority
    caller: Caller
    key: str
    at_ms: int
    sign: bool

    def examine_and_encode(self, encoded: bytes, catalogue: Catalogue) -> tuple[RunSubmitted, bytes]:
        """The event and its bytes."""
        event = self.examine(encoded, catalogue)
        return event, encode_event(event)

    def examine(self, encoded: bytes, catalogue: Catalogue) -> RunSubmitted:
        """Read and check the graph. Pure, so that it may run in a thread."""
        graph = decode(encoded)
        found = problems(graph, catalogue) or [
            *unsupported(graph),
            *context_problems(graph, self.caller.grant),
            *input_problems(graph, catalogue, self.inputs),
        ]
        if found:
            raise GraphRefused(f"graph {graph.name!r} cannot run", problems=found)
        return RunSubmitted(
            self.at_ms,
            self.run,
            graph,
            self.inputs,
            self.priority,
            self.caller.name,
            self.key,
            self.caller.grant.tenant,
            self.sign,
        )
