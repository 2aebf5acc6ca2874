"""What is true: agents deployed, runs submitted, results recorded. A fold over durable events.

Every replica holds one and they are equal at equal log indexes. It is bounded: runs that are over
are remembered until there are too many of them, or they hold too much data, and then the oldest go.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
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
    RunCancelled,
    RunSubmitted,
    StepsIntended,
    StepsRecorded,
    TokenCreated,
    TokenRevoked,
    TokenUsed,
)
from swarm.scheduler.members import Members
from swarm.scheduler.run import Run, Status


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
        self._serving: dict[CapabilityName, Offer] = {}
        self._catalogue: Mapping[CapabilityName, Signature] = {}
        self._keys: dict[tuple[str, str], RunId] = {}
        self._over: deque[RunId] = deque()  # settled runs, the one that settled first at the left
        self._over_bytes = 0
        self._weight: dict[RunId, int] = {}

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
            case TokenCreated() | TokenUsed() | TokenRevoked() | IdentityRevoked() | CertificateIssued():
                self.members.apply(event)
                return []
            case _:
                assert_never(event)

    def _reserve(self) -> list[tuple[Run, list[int]]]:
        """Of two agents with one capability the one deployed last serves it."""
        self._serving = {
            signature.name: Offer(
                event.agent,
                signature,
                frozenset(port.name for port in signature.inputs if port.many),
                frozenset(port.name for port in signature.outputs if port.many),
            )
            for event in self.agents.values()
            for signature in event.agent.capabilities
        }
        self._catalogue = {name: offer.signature for name, offer in self._serving.items()}
        return []

    def _submit(self, event: RunSubmitted) -> list[tuple[Run, list[int]]]:
        if event.run in self.runs or self.run_of_key(event.principal, event.key) is not None:
            return []
        run = self.runs[event.run] = Run(event)
        self._weight[event.run] = payload_bytes(event.inputs.values())
        if event.key:
            self._keys[(event.principal, event.key)] = event.run
        self._retire(run)
        return [(run, list(run.ready()))]

    def _record(self, event: StepsRecorded) -> list[tuple[Run, list[int]]]:
        touched: dict[RunId, tuple[Run, list[int]]] = {}
        for record in event.records:
            run = self.runs.get(record.run)
            if run is None or record.step >= len(run.state):
                continue
            before = len(run.order)
            ready = run.record(record, event.at_ms)
            if len(run.order) > before:
                self._weight[record.run] += payload_bytes(record.outputs.values())
                touched.setdefault(record.run, (run, []))[1].extend(ready)
        for run, _ in touched.values():
            self._retire(run)
        return list(touched.values())

    def _cancel(self, event: RunCancelled) -> list[tuple[Run, list[int]]]:
        run = self.runs.get(event.run)
        if run is None or run.status is not Status.RUNNING:
            return []
        run.cancel(event.reason, event.at_ms)
        self._retire(run)
        return [(run, [])]

    def _retire(self, run: Run) -> None:
        if not run.settled:
            return
        self._over.append(run.submitted.run)
        self._over_bytes += self._weight[run.submitted.run]
        while len(self._over) > limits.RUNS_KEPT_MAX or (
            self._over_bytes > limits.RUNS_KEPT_BYTES_MAX and len(self._over) > 1
        ):
            self._forget(self._over.popleft())

    def _forget(self, run: RunId) -> None:
        gone = self.runs.pop(run).submitted
        self._over_bytes -= self._weight.pop(run)
        self._keys.pop((gone.principal, gone.key), None)

    # -- reading -------------------------------------------------------------------------

    def run_of_key(self, principal: str, key: str) -> RunId | None:
        """The run this caller submitted under this idempotency key, if it is remembered."""
        return self._keys.get((principal, key)) if key else None

    def active(self) -> int:
        return len(self.runs) - len(self._over)

    def catalogue(self) -> Mapping[CapabilityName, Signature]:
        """What can be asked for now; the same object until that changes."""
        return self._catalogue

    def offer(self, capability: CapabilityName) -> Offer | None:
        """Who serves a capability now."""
        return self._serving.get(capability)

    def digests(self) -> tuple[Digest, ...]:
        """Files of every agent deployed, sorted."""
        return tuple(sorted({event.agent.digest for event in self.agents.values()}))

    # -- snapshots ---------------------------------------------------------------------------

    def history(self) -> list[Durable]:
        """Events that rebuild this state when applied to an empty ledger, in order."""
        events: list[Durable] = [*self.members.history(), *self.agents.values()]
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
