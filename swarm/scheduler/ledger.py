"""What is true: agents deployed, runs submitted, results recorded. A fold over durable events.

Every replica holds one and they are equal at equal log indexes. It is bounded: runs that are over
are remembered until there are too many of them, or they hold too much data, and then the oldest go.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import assert_never

from swarm import limits
from swarm.graph import Items, Payload, Signature
from swarm.ids import AgentName, CapabilityName, Digest, RunId
from swarm.scheduler.events import (
    AgentDeployed,
    AgentRecord,
    AgentRemoved,
    CertificateIssued,
    Durable,
    IdentityRevoked,
    KeyRegistered,
    PolicyApplied,
    RunCancelled,
    RunSubmitted,
    StepsIntended,
    StepsRecorded,
    TokenCreated,
    TokenRevoked,
    TokenUsed,
)
from swarm.scheduler.members import Members
from swarm.scheduler.needs import SUBMITTED, Needs
from swarm.scheduler.run import Run, Status
from swarm.trust.policy import OPEN, Policy
from swarm.trust.policyfile import read_policy


def payload_bytes(values: Iterable[Items]) -> int:
    """How many bytes of payload these values hold."""
    total = 0
    for items in values:
        if isinstance(items, Payload):
            total += len(items.data)
        else:
            for item in items:
                total += len(item.data)
    return total


@dataclass(frozen=True, slots=True)
class Offer:
    """The agent that serves a capability now, and what of its signature every dispatch needs."""

    agent: AgentRecord
    signature: Signature
    gathers: frozenset[str]  # input ports that take many
    scatters: frozenset[str]  # output ports that give many


class Ledger:
    """The replicated state; `apply` is the only way to change it."""

    def __init__(self) -> None:
        self.runs: dict[RunId, Run] = {}  # in order of submission
        self.agents: dict[AgentName, AgentDeployed] = {}  # the one deployed last at the end
        self.members = Members()
        self.policy: Policy = OPEN
        self.policy_applied: PolicyApplied | None = None
        self._serving: dict[str, dict[CapabilityName, Offer]] = {
            "": {}
        }  # by tenant; what is everybody's under ""
        self._catalogues: dict[str, Mapping[CapabilityName, Signature]] = {"": {}}
        self._keys: dict[tuple[str, str], RunId] = {}
        self._over: dict[RunId, None] = {}  # settled runs, the one that settled first in front
        self._over_bytes = 0
        self._over_of: Counter[str] = Counter()  # how many of them each tenant has
        self._over_bytes_of: Counter[str] = Counter()
        self._over_steps_of: Counter[str] = Counter()
        self._runs_of: Counter[str] = Counter()  # runs that are remembered, by tenant
        self._bytes_of: Counter[str] = Counter()  # payload of those
        self._weight: dict[RunId, int] = {}
        self.steps_left = 0  # of active runs: steps without a result
        self.needs = Needs()

    def apply(self, event: Durable) -> list[tuple[Run, list[int]]]:
        """Absorb one event; returns the runs it touched, each with its steps that may be looked at again."""
        match event:
            case RunSubmitted():
                return self._submit(event)
            case StepsRecorded():
                return self._record(event)
            case StepsIntended():
                for intent in event.intents:
                    if run := self.runs.get(intent.run):
                        run.intend(intent)
                return []
            case RunCancelled():
                return self._cancel(event)
            case AgentDeployed():
                self.agents.pop(event.agent.name, None)
                self.agents[event.agent.name] = event
                return self._reserve()
            case AgentRemoved():
                self.agents.pop(event.name, None)
                return self._reserve()
            case PolicyApplied():
                self.policy_applied = event
                self.policy = read_policy(event.document).policy_of()
                return self._reserve()
            case (
                TokenCreated()
                | TokenUsed()
                | TokenRevoked()
                | IdentityRevoked()
                | CertificateIssued()
                | KeyRegistered()
            ):
                self.members.apply(event)
                return []
            case _:
                assert_never(event)

    def _reserve(self) -> list[tuple[Run, list[int]]]:
        """Of two agents with one capability the one deployed last serves it, if the policy lets it."""
        self._serving = {"": {}}
        for event in self.agents.values():
            if self.policy.missing(event.agent.name, event.agent.needs):
                continue
            serving = self._serving.setdefault(event.tenant, {})
            for signature in self.as_allowed(event.agent).capabilities:
                serving[signature.name] = Offer(
                    event.agent,
                    signature,
                    frozenset(port.name for port in signature.inputs if port.many),
                    frozenset(port.name for port in signature.outputs if port.many),
                )
        common = {name: offer.signature for name, offer in self._serving[""].items()}
        self._catalogues = {
            tenant: {**common, **{name: offer.signature for name, offer in serving.items()}}
            for tenant, serving in self._serving.items()
        }
        return []

    def _submit(self, event: RunSubmitted) -> list[tuple[Run, list[int]]]:
        if event.run in self.runs or self.run_of_key(event.principal, event.key) is not None:
            return []
        run = self.runs[event.run] = Run(replace(event, records=()) if event.records else event)
        self._weight[event.run] = 0
        self.steps_left += run.left
        self._runs_of[event.tenant] += 1
        self._weigh(event.run, payload_bytes(event.inputs.values()))
        self.needs.add(run, SUBMITTED, event.inputs.values())
        if event.key:
            self._keys[(event.principal, event.key)] = event.run
        if event.records:
            self._record(StepsRecorded(event.at_ms, event.records))
        else:
            self._retire(run)
        return [(run, list(run.ready()))]

    def _record(self, event: StepsRecorded) -> list[tuple[Run, list[int]]]:
        touched: dict[RunId, tuple[Run, list[int]]] = {}
        weights: dict[RunId, int] = {}
        ended = 0
        for record in event.records:
            name = record.run
            run = self.runs.get(name)
            if run is None or record.step >= len(run.state):
                continue
            left = run.left
            ready = run.record(record, event.at_ms)
            if ready is None:
                continue
            ended += left - run.left
            values = record.outputs.values()
            self.needs.add(run, record.step, values)
            if name not in touched:
                touched[name], weights[name] = (run, ready), payload_bytes(values)
            else:
                weights[name] += payload_bytes(values)
                if ready:
                    touched[name][1].extend(ready)
        self.steps_left -= ended
        for name, weight in weights.items():
            self._weigh(name, weight)
            self._retire(touched[name][0])
        return list(touched.values())

    def _cancel(self, event: RunCancelled) -> list[tuple[Run, list[int]]]:
        run = self.runs.get(event.run)
        if run is None or run.status is not Status.RUNNING:
            return []
        self.steps_left -= run.left
        run.cancel(event.reason, event.at_ms)
        self._retire(run)
        return [(run, [])]

    def _retire(self, run: Run) -> None:
        if not run.settled:
            return
        self._over[run.submitted.run] = None
        self._over_of[run.submitted.tenant] += 1
        self._over_bytes += self._weight[run.submitted.run]
        self._over_bytes_of[run.submitted.tenant] += self._weight[run.submitted.run]
        self._over_steps_of[run.submitted.tenant] += len(run.state)
        while len(self._over) > 1 and (held := self._too_much()):
            self._forget(self._least_missed(held))

    def _weigh(self, run: RunId, more_bytes: int) -> None:
        self._weight[run] += more_bytes
        self._bytes_of[self.runs[run].submitted.tenant] += more_bytes

    def _too_much(self) -> Counter[str] | None:
        """What too much of is remembered, by tenant."""
        if len(self._over) > limits.RUNS_KEPT_MAX:
            return self._over_of
        if self._over_bytes > limits.RUNS_KEPT_BYTES_MAX:
            return self._over_bytes_of
        return self._over_steps_of if self._over_steps_of.total() > limits.STEPS_KEPT_MAX else None

    def _least_missed(self, held: Counter[str]) -> RunId:
        """The oldest run of whoever has the most of them: nobody can make the results of others forgotten."""
        most = max(held, key=lambda tenant: (held[tenant], tenant))
        return next(run for run in self._over if self.runs[run].submitted.tenant == most)

    def _forget(self, run: RunId) -> None:
        forgotten = self.runs.pop(run)
        gone = forgotten.submitted
        del self._over[run]
        weight = self._weight.pop(run)
        self._over_bytes -= weight
        self._over_of[gone.tenant] -= 1
        self._over_bytes_of[gone.tenant] -= weight
        self._over_steps_of[gone.tenant] -= len(forgotten.state)
        self._runs_of[gone.tenant] -= 1
        self._bytes_of[gone.tenant] -= weight
        self._keys.pop((gone.principal, gone.key), None)
        self.needs.forget(forgotten)

    # -- reading -------------------------------------------------------------------------

    def run_of_key(self, principal: str, key: str) -> RunId | None:
        """The run this caller submitted under this idempotency key, if it is remembered."""
        return self._keys.get((principal, key)) if key else None

    def active(self) -> int:
        return len(self.runs) - len(self._over)

    def active_of(self, tenant: str) -> int:
        """Runs of a tenant that go on."""
        return self._runs_of[tenant] - self._over_of[tenant]

    def bytes_of(self, tenant: str) -> int:
        """Payload of every run of a tenant that is remembered."""
        return self._bytes_of[tenant]

    def catalogue(self, tenant: str = "") -> Mapping[CapabilityName, Signature]:
        """What a tenant can ask for now; the same object until that changes."""
        return self._catalogues.get(tenant) or self._catalogues[""]

    def offer(self, capability: CapabilityName, tenant: str = "") -> Offer | None:
        """Who serves a capability now: an agent of the tenant's own before one that is everybody's."""
        own = self._serving.get(tenant)
        if own is not None and (found := own.get(capability)) is not None:
            return found
        return self._serving[""].get(capability) if tenant else None

    def as_allowed(self, agent: AgentRecord) -> AgentRecord:
        """An agent with the switches of context that both its author and the policy let it make."""
        switches = self.policy.agent(agent.name).switches
        if not switches:
            return agent
        signatures = tuple(
            replace(each, switches=switches) if each.switches_context else each for each in agent.capabilities
        )
        return replace(agent, capabilities=signatures)

    def digests(self) -> tuple[Digest, ...]:
        """Files of every agent deployed, sorted."""
        return tuple(sorted({event.agent.digest for event in self.agents.values()}))

    # -- snapshots ---------------------------------------------------------------------------

    def history(self) -> list[Durable]:
        """Events that rebuild this state when applied to an empty ledger, in order."""
        events: list[Durable] = [*self.members.history()]
        events += [self.policy_applied] if self.policy_applied is not None else []
        events += self.agents.values()
        events += [run.submitted for run in self.runs.values()]
        settled = [self.runs[name] for name in self._over]
        for run in [*settled, *(run for run in self.runs.values() if not run.settled)]:
            if records := tuple(run.records[step] for step in run.order):
                events.append(StepsRecorded(run.ended_ms or run.submitted.at_ms, records))
            if intents := tuple(run.intents[step] for step in sorted(run.intents)):
                events.append(StepsIntended(run.submitted.at_ms, intents))
            if run.status is Status.CANCELLED:
                events.append(RunCancelled(run.ended_ms, run.submitted.run, run.reason, ""))
        return events
