"""The service people and programs call. Writes go to the leader; reads are answered here, with their age."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, cast

from swarm import limits
from swarm.adapters.rpc import views
from swarm.adapters.rpc.blobs import Assembly
from swarm.adapters.rpc.callers import Access, behalf, from_node
from swarm.adapters.rpc.certificates import CertificateCalls
from swarm.adapters.rpc.data import DataCalls
from swarm.adapters.rpc.exports import ExportCalls
from swarm.adapters.rpc.forward import CALL_S, Forwarder
from swarm.adapters.rpc.notes import concerns
from swarm.adapters.rpc.policies import PolicyCalls
from swarm.adapters.rpc.submissions import SubmissionStreams
from swarm.adapters.rpc.tokens import TokenCalls
from swarm.adapters.rpc.voters import VoterCalls
from swarm.coordinator import Admissions, Coordinator, Deployments, Identities
from swarm.coordinator.tenancy import unreadable
from swarm.errors import NotAllowed, ProtocolBroken
from swarm.graph import Priority, refs
from swarm.ids import AgentName, NodeId, RunId
from swarm.ports import Clock
from swarm.scheduler.run import Run, Status
from swarm.trust.policy import Caller, Grant
from swarm.wire.convert import agent_to_pb, inputs_from_pb
from swarm.wire.gen import client_pb2 as pb
from swarm.wire.gen import client_pb2_grpc as rpc

SERVICE = "/swarm.v1.Swarm/"
LEADERS_ANSWER_S = 1.0  # for what only the leader knows; then a follower answers what it knows itself


@dataclass(frozen=True, slots=True)
class About:
    """What the daemon says of itself."""

    cluster: str
    node: NodeId
    voters: Mapping[NodeId, str]  # they may change
    pid: int
    started_ms: int
    relaxed: bool = False  # whether its log is synced after the acknowledgement


class ClientServicer(VoterCalls, TokenCalls, CertificateCalls, PolicyCalls, ExportCalls, rpc.SwarmServicer):
    """See the head of this module. On a voter; a node without a log has `ProxyServicer`."""

    def __init__(
        self,
        about: About,
        coordinator: Coordinator,
        deployments: Deployments,
        forwarder: Forwarder,
        clock: Clock,
        access: Access,
        data: DataCalls,
        submissions: SubmissionStreams,
    ) -> None:
        TokenCalls.__init__(self, Admissions(coordinator.replica, clock, about.voters), forwarder, access)
        PolicyCalls.__init__(self, coordinator, access, forwarder)
        ExportCalls.__init__(self, coordinator, access)
        identities = Identities(coordinator.replica, coordinator.roster, clock, about.voters)
        CertificateCalls.__init__(self, identities, forwarder, access)
        self._about = about
        self._coordinator = coordinator
        self._deployments = deployments
        self._forwarder = forwarder
        self._clock = clock
        self._data = data
        self._submissions = submissions
        self.draining = False

    # -- writes -----------------------------------------------------------------------------

    async def Submit(self, request: pb.SubmitRequest, context: Any) -> pb.SubmitReply:  # noqa: N802
        request.on_behalf_of = behalf(context, request.on_behalf_of)

        async def local() -> pb.SubmitReply:
            caller = self._caller(context, request, "Submit")
            run, index, existed = await self._coordinator.submit(
                request.graph,
                inputs_from_pb(request.inputs),
                _priority(request.priority),
                caller,
                request.key[: limits.NAME_CHARS_MAX],
                sign=request.sign,
                waits=request.linger_ms > 0,
            )
            reply = pb.SubmitReply(run=run, index=index, existed=existed, leader=self._about.node)
            if request.linger_ms and self._access.allows(context, request.on_behalf_of, SERVICE + "ShowRun"):
                await self._linger(reply, min(request.linger_ms, limits.LINGER_MS_MAX), caller.grant)
            return reply

        # whoever writes through this node reads what it wrote here
        reply: pb.SubmitReply = await self._forwarder.decide(
            local, lambda stub: stub.Submit(request, timeout=CALL_S), twice=bool(request.key)
        )
        await self._coordinator.replica.arrivals.reach(reply.index, limits.FORWARD_MS_MAX)
        if (run := self._coordinator.replica.scheduler.ledger.runs.get(RunId(reply.run))) is not None:
            concerns(run)
        return reply

    async def SubmitMany(self, request_iterator: Any, context: Any) -> None:  # type: ignore[override]  # noqa: ARG002, N802
        """Reads and writes through the context, which gRPC allows beside the generator its stubs describe."""
        await self._submissions.serve(context, self.Submit)

    async def _linger(self, reply: pb.SubmitReply, duration_ms: int, grant: Grant) -> None:
        """Keep an acknowledgement for a moment: if its run ends meanwhile they travel together."""
        replica, name = self._coordinator.replica, RunId(reply.run)
        until_ms = self._clock.monotonic_ms() + duration_ms
        while (run := replica.scheduler.ledger.runs.get(name)) is not None:
            if run.status is not Status.RUNNING:
                reply.end.CopyFrom(views.end(run, grant, self._freshness(), outputs=True))
                reply.index = replica.applied_index()
                return
            left_ms = until_ms - self._clock.monotonic_ms()
            if left_ms <= 0 or not replica.leads:
                return
            await asyncio.wait({replica.watchers.wait(name)}, timeout=left_ms / 1000)

    async def CancelRun(self, request: pb.CancelRunRequest, context: Any) -> pb.CancelRunReply:  # noqa: N802
        request.on_behalf_of = behalf(context, request.on_behalf_of)

        async def local() -> pb.CancelRunReply:
            caller = self._caller(context, request, "CancelRun")
            reason = request.reason[: limits.ERROR_CHARS_MAX]
            run = await self._coordinator.cancel(RunId(request.run), reason, caller)
            concerns(run)
            return pb.CancelRunReply(run=views.summary(run, caller.grant))

        return await self._forwarder.decide(
            local, lambda stub: stub.CancelRun(request, timeout=CALL_S), twice=True
        )

    async def Deploy(self, request_iterator: Any, context: Any) -> pb.DeployReply:  # noqa: N802
        start, data = await receive_file(request_iterator)
        start.on_behalf_of = behalf(context, start.on_behalf_of)

        async def local() -> pb.DeployReply:
            caller = self._caller(context, start, "Deploy")
            agent, index, nodes = await self._deployments.deploy(data, caller)
            return pb.DeployReply(agent=agent_to_pb(agent), nodes=nodes, index=index)

        reply: pb.DeployReply = await self._forwarder.decide(
            local, lambda stub: stub.Deploy(send_file(start, data), timeout=2 * CALL_S), twice=True
        )
        await self._coordinator.replica.arrivals.reach(reply.index, limits.FORWARD_MS_MAX)
        return reply

    async def RemoveAgent(self, request: pb.RemoveAgentRequest, context: Any) -> pb.RemoveAgentReply:  # noqa: N802
        request.on_behalf_of = behalf(context, request.on_behalf_of)

        async def local() -> pb.RemoveAgentReply:
            caller = self._caller(context, request, "RemoveAgent")
            agent = await self._coordinator.remove_agent(AgentName(request.name), caller)
            return pb.RemoveAgentReply(agent=agent_to_pb(agent))

        return await self._forwarder.decide(
            local, lambda stub: stub.RemoveAgent(request, timeout=CALL_S), twice=False
        )

    # -- reads ------------------------------------------------------------------------------

    async def Watch(self, request: pb.WatchRequest, context: Any) -> AsyncIterator[pb.WatchReply]:  # noqa: N802
        offset, greeted = request.offset, False
        while True:
            # Asked again at every turn: what is taken from them while they watch is theirs no more.
            grant = self._caller(context, request, "Watch").grant
            run = await self._coordinator.look_up(RunId(request.run), grant)
            if not greeted:
                concerns(run)
            change = self._coordinator.replica.watchers.wait(run.submitted.run)
            events = list(views.events(run, offset, grant))
            offset += len(events)
            ended = run.status is not Status.RUNNING and offset >= len(run.order)
            if ended:
                reply = views.end(run, grant, self._freshness(), outputs=request.outputs)
                reply.events.extend(events)
                yield reply
                return
            if events or not greeted:  # who waits for the end alone is not told of every step
                yield pb.WatchReply(events=events, run=views.summary(run, grant), freshness=self._freshness())
                greeted = True
            if not request.follow:
                return
            if offset >= len(run.order):
                await asyncio.shield(change)

    async def Upload(self, request_iterator: Any, context: Any) -> None:  # type: ignore[override]  # noqa: N802
        """Answers through the context, which gRPC allows beside the generator its stubs describe."""
        await self._data.upload(request_iterator, context)

    async def Download(self, request: pb.DownloadRequest, context: Any) -> AsyncIterator[pb.BlobChunk]:  # noqa: N802
        grant = self._caller(context, request, "Download").grant
        run = await self._readable(request.run, grant)
        async for chunk in self._data.download(request, refs(run.outputs().values())):
            yield chunk

    async def _readable(self, name: str, grant: Grant) -> Run:
        """A run whose results they may have. Raises `NotFound` or `NotAllowed`."""
        run = await self._coordinator.look_up(RunId(name), grant)
        concerns(run)
        if outlet := unreadable(run, grant):
            raise NotAllowed(
                f"its result {outlet} is in a context you are not cleared for",
                place=name[: limits.NAME_CHARS_MAX],
                remedy="ask for the clearance in the policy",
            )
        return run

    async def ListRuns(self, request: pb.ListRunsRequest, context: Any) -> pb.ListRunsReply:  # noqa: N802
        grant = self._caller(context, request, "ListRuns").grant
        limit = min(request.limit or 100, limits.LIST_ITEMS_MAX)
        found = []
        for run in reversed(self._coordinator.replica.scheduler.ledger.runs.values()):
            if request.status in ("", run.status.value) and grant.sees(run.submitted.tenant):
                found.append(views.summary(run, grant))
                if len(found) == limit:
                    break
        return pb.ListRunsReply(runs=found, freshness=self._freshness())

    async def ShowRun(self, request: pb.ShowRunRequest, context: Any) -> pb.ShowRunReply:  # noqa: N802
        grant = self._caller(context, request, "ShowRun").grant
        if request.outputs:
            run = await self._readable(request.run, grant)
        else:
            run = await self._coordinator.look_up(RunId(request.run), grant)
            concerns(run)
        if run.status is Status.RUNNING and (reply := await self._leaders("ShowRun", request, context)):
            return cast("pb.ShowRunReply", reply)  # only the leader knows what runs where
        reply = views.show(run, self._coordinator, grant, outputs=request.outputs)
        reply.freshness.CopyFrom(self._freshness())
        return reply

    async def ExplainStep(self, request: pb.ExplainStepRequest, context: Any) -> pb.ExplainStepReply:  # noqa: N802
        grant = self._caller(context, request, "ExplainStep").grant
        run = await self._coordinator.look_up(RunId(request.run), grant)
        step = views.number_of(run, request.step)
        concerns(run, step)
        if leaders := await self._leaders("ExplainStep", request, context):
            return cast("pb.ExplainStepReply", leaders)
        self._coordinator.replica.must_lead()  # nobody else knows what was seen when it was placed
        reply = views.explanation(run, step, self._coordinator, grant)
        reply.freshness.CopyFrom(self._freshness())
        return reply

    async def ListAgents(self, request: pb.ListAgentsRequest, context: Any) -> pb.ListAgentsReply:  # noqa: N802
        grant = self._caller(context, request, "ListAgents").grant
        if reply := await self._leaders("ListAgents", request, context):
            return cast("pb.ListAgentsReply", reply)
        return pb.ListAgentsReply(agents=views.agents(self._coordinator, grant), freshness=self._freshness())

    async def ListNodes(self, request: pb.ListNodesRequest, context: Any) -> pb.ListNodesReply:  # noqa: N802
        grant = self._caller(context, request, "ListNodes").grant
        if reply := await self._leaders("ListNodes", request, context):
            return cast("pb.ListNodesReply", reply)
        nodes = views.nodes(self._coordinator, self._about.voters, grant)
        return pb.ListNodesReply(nodes=nodes, freshness=self._freshness())

    async def Status(self, request: pb.StatusRequest, context: Any) -> pb.StatusReply:  # noqa: N802
        grant = self._caller(context, request, "Status").grant
        replica, roster = self._coordinator.replica, self._coordinator.roster
        leadership, scheduler = replica.leadership(), replica.scheduler
        copies = scheduler.copies()
        elected = replica.leads or leadership.leader != self._about.node
        reply = pb.StatusReply(
            cluster=self._about.cluster,
            node=self._about.node,
            leader=(leadership.leader or "") if elected else "",
            term=leadership.term,
            applied_index=replica.applied_index(),
            nodes_attached=len(roster.links),
            agents=sum(grant.sees_agent(each.tenant) for each in scheduler.ledger.agents.values()),
            runs_active=scheduler.ledger.active(),
            steps_ready=scheduler.waiting(),
            steps_in_flight=sum(len(view.busy) for view in scheduler.nodes()),
            version=version("neural-swarm"),
            uptime_ms=self._clock.monotonic_ms() - self._about.started_ms,
            draining=self.draining,
            voters=sorted(self._about.voters),
            pid=self._about.pid,
            relaxed=self._about.relaxed,
            payloads_short=copies.short,
            payloads_lost=copies.lost,
            copies_in_flight=copies.under_way,
        )
        if leaders := await self._leaders("Status", request, context):
            reply.nodes_attached = leaders.nodes_attached
            reply.steps_ready, reply.steps_in_flight = leaders.steps_ready, leaders.steps_in_flight
            reply.payloads_short, reply.payloads_lost = leaders.payloads_short, leaders.payloads_lost
            reply.copies_in_flight = leaders.copies_in_flight
        return reply

    async def _leaders(self, method: str, request: Any, context: Any) -> Any:
        """What the leader answers; None where this is the leader, a node asks, or the leader is not there."""
        if from_node(context):  # the question was passed on already
            return None
        request.on_behalf_of = behalf(context, request.on_behalf_of)
        return await self._forwarder.try_leader(
            lambda stub: getattr(stub, method)(request, timeout=LEADERS_ANSWER_S)
        )

    def _caller(self, context: Any, request: Any, method: str) -> Caller:
        return self._access.caller(context, request.on_behalf_of, SERVICE + method)

    def _freshness(self) -> pb.Freshness:
        leadership = self._coordinator.replica.leadership()
        return pb.Freshness(
            applied_index=self._coordinator.replica.applied_index(),
            term=leadership.term,
            leader=leadership.leader or "",
            answered_by=self._about.node,
        )


def _priority(value: int) -> Priority:
    try:
        return Priority(value)
    except ValueError as error:
        raise ProtocolBroken(f"priority {value}", place="priority", remedy="0 to 3") from error


async def receive_file(stream: AsyncIterator[pb.DeployRequest]) -> tuple[pb.DeployStart, bytes]:
    """An agent file as a client streams it."""
    start: pb.DeployStart | None = None
    assembly: Assembly | None = None
    try:
        async for request in stream:
            if assembly is None:
                if request.WhichOneof("part") != "start":
                    raise ProtocolBroken("a deploy begins with its size and digest", place="agent file")
                start = request.start
                assembly = Assembly(start.size_bytes, start.sha256, "agent file")
            else:
                assembly.add(request.chunk)
        if assembly is None or start is None:
            raise ProtocolBroken("a deploy without a file", place="agent file")
        return start, assembly.done()
    finally:
        if assembly is not None:
            assembly.drop()


async def send_file(start: pb.DeployStart, data: bytes) -> AsyncIterator[pb.DeployRequest]:
    """The reverse of `receive_file`."""
    yield pb.DeployRequest(start=start)
    for position in range(0, len(data), limits.CHUNK_BYTES):
        yield pb.DeployRequest(chunk=data[position : position + limits.CHUNK_BYTES])
