"""What a cluster says of itself, as plain frozen records, and how they come off the wire."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from swarm.errors import SwarmError
from swarm.graph import Signature
from swarm.ids import AgentName, CapabilityName, Digest, NodeId, RunId
from swarm.wire.convert import agent_from_pb, error_from_pb, lack_from_pb, usage_from_pb
from swarm.wire.gen import client_pb2, common_pb2
from swarm.wire.messages import Lack

RUNNING = "running"
SUCCEEDED = "succeeded"
CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class RunInfo:
    """How one run stands. `status` is running, succeeded, failed or cancelled."""

    id: RunId
    graph: str
    graph_digest: Digest
    status: str
    reason: str
    steps_total: int
    steps_ok: int
    steps_failed: int
    steps_skipped: int
    submitted_ms: int
    ended_ms: int
    principal: str
    priority: int
    settled: bool
    tenant: str = ""

    @property
    def over(self) -> bool:
        return self.status != RUNNING

    @property
    def steps_ended(self) -> int:
        return self.steps_ok + self.steps_failed + self.steps_skipped

    @classmethod
    def from_pb(cls, run: client_pb2.RunSummary) -> RunInfo:
        return cls(
            id=RunId(run.run),
            graph=run.graph,
            graph_digest=Digest(run.graph_digest),
            status=run.status,
            reason=run.reason,
            steps_total=run.steps_total,
            steps_ok=run.steps_ok,
            steps_failed=run.steps_failed,
            steps_skipped=run.steps_skipped,
            submitted_ms=run.submitted_ms,
            ended_ms=run.ended_ms,
            principal=run.principal,
            priority=run.priority,
            settled=run.settled,
            tenant=run.tenant,
        )


@dataclass(frozen=True, slots=True)
class StepInfo:
    """How one step of a run stands now."""

    step: str
    capability: CapabilityName
    status: str
    node: NodeId | None
    attempt: int
    error: SwarmError | None
    wall_ms: float
    cached: bool = False  # nothing ran: these inputs had been answered before

    @classmethod
    def from_pb(cls, step: client_pb2.StepState) -> StepInfo:
        return cls(
            step=step.step,
            capability=CapabilityName(step.capability),
            status=step.status,
            node=NodeId(step.node) if step.node else None,
            attempt=step.attempt,
            error=_error(step.error),
            wall_ms=step.wall_ms,
            cached=step.cached,
        )


@dataclass(frozen=True, slots=True)
class PlaceInfo:
    """One node as a place for a step: the weighted terms of its score, or why it could not be."""

    node: NodeId
    why_not: str
    score: float
    terms: dict[str, float]


@dataclass(frozen=True, slots=True)
class PlacingInfo:
    """Why a step is where it is; where `placed` is false, where it would be placed now."""

    step: str
    capability: CapabilityName
    status: str
    placed: bool
    node: NodeId | None
    runner_up: NodeId | None
    how: str
    note: str
    candidates: tuple[PlaceInfo, ...]

    @classmethod
    def from_pb(cls, reply: client_pb2.ExplainStepReply) -> PlacingInfo:
        candidates = (
            PlaceInfo(
                NodeId(each.node), each.why_not, each.score, {term.name: term.value for term in each.terms}
            )
            for each in reply.candidates
        )
        return cls(
            step=reply.step,
            capability=CapabilityName(reply.capability),
            status=reply.status,
            placed=reply.placed,
            node=NodeId(reply.node) if reply.node else None,
            runner_up=NodeId(reply.runner_up) if reply.runner_up else None,
            how=reply.how,
            note=reply.note,
            candidates=tuple(candidates),
        )


@dataclass(frozen=True, slots=True)
class ProgressInfo:
    """How far a run is. `left_ms` is an estimate, None before there is one; the path is what it hangs on."""

    done: int
    running: int
    ready: int
    waiting: int
    left_ms: float | None
    critical_path: tuple[str, ...]

    @classmethod
    def from_pb(cls, progress: client_pb2.Progress) -> ProgressInfo:
        return cls(
            done=progress.done,
            running=progress.running,
            ready=progress.ready,
            waiting=progress.waiting,
            left_ms=progress.left_ms if progress.HasField("left_ms") else None,
            critical_path=tuple(progress.critical_path),
        )


@dataclass(frozen=True, slots=True)
class RunDetails:
    """A run with the state of each of its steps."""

    run: RunInfo
    steps: tuple[StepInfo, ...]
    progress: ProgressInfo


@dataclass(frozen=True, slots=True)
class StepDone:
    """One step ended and its result is recorded. `run` is the run's count as of that batch of news."""

    offset: int
    step: str
    capability: CapabilityName
    node: NodeId
    attempt: int
    ok: bool
    error: SwarmError | None
    started_ms: int
    wall_ms: float
    run: RunInfo
    cached: bool = False  # nothing ran: these inputs had been answered before

    @classmethod
    def from_pb(cls, event: client_pb2.StepEvent, run: RunInfo) -> StepDone:
        return cls(
            offset=event.offset,
            step=event.step,
            capability=CapabilityName(event.capability),
            node=NodeId(event.node),
            attempt=event.attempt,
            ok=event.status == "ok",
            error=_error(event.error),
            started_ms=event.started_ms,
            wall_ms=event.wall_ms,
            run=run,
            cached=event.cached,
        )


@dataclass(frozen=True, slots=True)
class RunEnded:
    """The run is over; the last event of `Run.progress`."""

    run: RunInfo


Event: TypeAlias = StepDone | RunEnded
"""What `Run.progress` yields."""


@dataclass(frozen=True, slots=True)
class AgentInfo:
    """A deployed agent, the nodes that host it, and why others refused to."""

    name: AgentName
    version: str
    digest: Digest
    kind: str
    size_bytes: int
    capabilities: tuple[Signature, ...]
    memory_mb: int
    cpu_cores: float
    layers: tuple[str, ...]
    nodes: tuple[NodeId, ...]
    refused: tuple[tuple[NodeId, SwarmError], ...] = ()

    @classmethod
    def from_pb(cls, state: client_pb2.AgentState | client_pb2.DeployReply) -> AgentInfo:
        agent = agent_from_pb(state.agent)
        refused = state.refused if isinstance(state, client_pb2.AgentState) else ()
        return cls(
            name=agent.name,
            version=agent.version,
            digest=agent.digest,
            kind=agent.kind,
            size_bytes=agent.size_bytes,
            capabilities=agent.capabilities,
            memory_mb=agent.memory_mb,
            cpu_cores=agent.cpu_cores,
            layers=tuple(sorted(agent.layers)),
            nodes=tuple(NodeId(node) for node in state.nodes),
            refused=tuple((NodeId(refusal.node), error_from_pb(refusal.error)) for refusal in refused),
        )


@dataclass(frozen=True, slots=True)
class PolicyInfo:
    """The policy that holds, and who applied it."""

    document: str
    applied_ms: int
    principal: str


@dataclass(frozen=True, slots=True)
class AgentUsage:
    """What the cells of one agent have taken on a node since it started; those that ended are in it.

    `cpu_ms` is None where the node cannot tell it from its own.
    """

    agent: AgentName
    cells: int  # now
    cpu_ms: float | None
    memory_peak_bytes: int  # of the largest cell
    bytes_in: int  # what the agent said
    bytes_out: int  # what it was told

    @classmethod
    def from_pb(cls, usage: common_pb2.Usage) -> AgentUsage:
        found = usage_from_pb(usage)
        return cls(
            AgentName(usage.agent),
            found.cells,
            found.cpu_ms,
            found.memory_peak_bytes,
            found.bytes_in,
            found.bytes_out,
        )


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """One daemon as the leader sees it. `role` is leader, follower or worker."""

    node: NodeId
    address: str
    role: str
    state: str
    slots: int
    in_flight: int
    layers: tuple[str, ...]
    tier: str
    agents: tuple[AgentName, ...]
    load: float
    steps_done: int
    lacks: tuple[Lack, ...]
    usage: tuple[AgentUsage, ...]

    @classmethod
    def from_pb(cls, node: client_pb2.NodeState) -> NodeInfo:
        return cls(
            node=NodeId(node.node),
            address=node.address,
            role=node.role,
            state=node.state,
            slots=node.slots,
            in_flight=node.in_flight,
            layers=tuple(node.layers),
            tier=node.tier,
            agents=tuple(AgentName(name) for name in node.agents),
            load=node.load,
            steps_done=node.steps_done,
            lacks=tuple(lack_from_pb(lack) for lack in node.lacks),
            usage=tuple(AgentUsage.from_pb(usage) for usage in node.usage),
        )


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    """What one daemon says of itself and of the cluster. `leader` is empty while there is none."""

    cluster: str
    node: NodeId
    leader: str
    term: int
    applied_index: int
    nodes_attached: int
    agents: int
    runs_active: int
    steps_ready: int
    steps_in_flight: int
    version: str
    uptime_ms: int
    draining: bool
    voters: tuple[NodeId, ...]
    pid: int
    relaxed: bool
    payloads_short: int
    payloads_lost: int
    copies_in_flight: int

    @classmethod
    def from_pb(cls, status: client_pb2.StatusReply) -> ClusterStatus:
        return cls(
            cluster=status.cluster,
            node=NodeId(status.node),
            leader=status.leader,
            term=status.term,
            applied_index=status.applied_index,
            nodes_attached=status.nodes_attached,
            agents=status.agents,
            runs_active=status.runs_active,
            steps_ready=status.steps_ready,
            steps_in_flight=status.steps_in_flight,
            version=status.version,
            uptime_ms=status.uptime_ms,
            draining=status.draining,
            voters=tuple(NodeId(voter) for voter in status.voters),
            pid=status.pid,
            relaxed=status.relaxed,
            payloads_short=status.payloads_short,
            payloads_lost=status.payloads_lost,
            copies_in_flight=status.copies_in_flight,
        )


def _error(error: common_pb2.Error) -> SwarmError | None:
    return error_from_pb(error) if error.code else None
