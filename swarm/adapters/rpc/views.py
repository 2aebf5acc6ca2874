"""What the ledger and the leader's desk look like to a client."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from swarm import limits
from swarm.coordinator import Coordinator, NodeLink
from swarm.coordinator.tenancy import unreadable
from swarm.errors import NotFound, SwarmError
from swarm.graph import UNBOUNDED
from swarm.ids import AgentName, Digest, NodeId
from swarm.scheduler.machine import Place
from swarm.scheduler.progress import ProgressTracker
from swarm.scheduler.run import Run, Step, context_of
from swarm.trust.policy import Grant
from swarm.wire.convert import agent_to_pb, error_to_pb, items_to_pb, lack_to_pb, usage_to_pb
from swarm.wire.gen import client_pb2 as pb
from swarm.wire.gen import common_pb2

_STEP_STATUS = {
    Step.WAITING: "waiting",
    Step.READY: "ready",
    Step.OK: "ok",
    Step.FAILED: "failed",
    Step.SKIPPED: "skipped",
    Step.CANCELLED: "cancelled",
}


WITHHELD = "what it says is in a context you are not cleared for"


def summary(run: Run, grant: Grant) -> pb.RunSummary:
    """One line about a run, as far as they are cleared for it."""
    submitted = run.submitted
    return pb.RunSummary(
        run=submitted.run,
        graph=submitted.graph.name,
        graph_digest=run.digest,
        status=run.status.value,
        reason=_reason(run, grant),
        steps_total=len(run.state),
        steps_ok=run.count(Step.OK),
        steps_failed=run.count(Step.FAILED),
        steps_skipped=run.count(Step.SKIPPED, Step.CANCELLED),
        submitted_ms=submitted.at_ms,
        ended_ms=run.ended_ms,
        principal=submitted.principal,
        priority=int(submitted.priority),
        settled=run.settled,
        tenant=submitted.tenant,
    )


def _reason(run: Run, grant: Grant) -> str:
    """Why a run failed; of a step they are not cleared for, its name and code alone."""
    if not run.reason or grant.clearance == UNBOUNDED:
        return run.reason
    for step, record in run.records.items():
        begin = f"step {run.graph.nodes[step].name}: "
        if run.reason.startswith(begin) and not grant.clearance.covers(context_of(run, step)):
            return f"{begin}{record.error.code if record.error else 'failed'}: {WITHHELD}"
    return run.reason


def _error(run: Run, step: int, error: SwarmError, grant: Grant) -> common_pb2.Error:
    """How a step failed. An agent may say what it was given: that is as confidential as the data."""
    if grant.clearance.covers(context_of(run, step)):
        return error_to_pb(error)
    return common_pb2.Error(code=error.code, message=WITHHELD, remedy="ask for the clearance in the policy")


def events(run: Run, offset: int, grant: Grant) -> Iterator[pb.StepEvent]:
    """The run's history from `offset` on, at most a batch of it."""
    for position in range(offset, min(len(run.order), offset + limits.WATCH_BATCH_ITEMS)):
        step = run.order[position]
        record, node = run.records[step], run.graph.nodes[step]
        yield pb.StepEvent(
            offset=position,
            step=node.name,
            capability=node.capability,
            node=record.node,
            attempt=record.attempt,
            status="ok" if record.ok else "failed",
            error=_error(run, step, record.error, grant) if record.error is not None else None,
            started_ms=record.started_ms,
            wall_ms=record.wall_ms,
            cached=record.cached,
        )


def end(run: Run, grant: Grant, freshness: pb.Freshness, *, outputs: bool) -> pb.WatchReply:
    """The last word about a run that is over; with its results, where they are wanted and theirs to read."""
    reply = pb.WatchReply(run=summary(run, grant), freshness=freshness)
    if outputs and not unreadable(run, grant):
        reply.outputs.items.extend(items_to_pb(run.outputs()))
        reply.outputs.SetInParent()
    return reply


def show(run: Run, coordinator: Coordinator, grant: Grant, *, outputs: bool) -> pb.ShowRunReply:
    """Everything about a run."""
    return pb.ShowRunReply(
        run=summary(run, grant),
        progress=_progress(run, coordinator),
        outputs=items_to_pb(run.outputs()) if outputs else (),
        steps=[_step(run, step, coordinator, grant) for step in range(len(run.state))],
    )


def _progress(run: Run, coordinator: Coordinator) -> pb.Progress:
    scheduler, name = coordinator.replica.scheduler, run.submitted.run
    running = [
        step
        for step in run.ready()
        if (place := scheduler.place(name, step)) is not None and place[0] is Place.FLYING
    ]
    found = ProgressTracker(run).progress(running)
    return pb.Progress(
        done=found.done,
        running=found.running,
        ready=found.ready,
        waiting=found.waiting,
        left_ms=found.left_ms,
        critical_path=found.critical_path,
    )


def _step(run: Run, step: int, coordinator: Coordinator, grant: Grant) -> pb.StepState:
    node = run.graph.nodes[step]
    state = pb.StepState(step=node.name, capability=node.capability, status=_STEP_STATUS[run.state[step]])
    if (record := run.records.get(step)) is not None:
        state.node, state.attempt, state.wall_ms = record.node, record.attempt, record.wall_ms
        state.cached = record.cached
        if record.error is not None:
            state.error.CopyFrom(_error(run, step, record.error, grant))
    elif (place := coordinator.replica.scheduler.place(run.submitted.run, step)) and place[0] is Place.FLYING:
        state.status, state.node = "running", place[1] or ""
    return state


def number_of(run: Run, name: str) -> int:
    """Which step of a run is called so; raises `NotFound`."""
    for step, node in enumerate(run.graph.nodes):
        if node.name == name:
            return step
    raise NotFound(
        f"no step {name[: limits.NAME_CHARS_MAX]!r}",
        place=run.submitted.run,
        remedy=f"`swarm runs show {run.submitted.run}` has them",
    )


def explanation(run: Run, step: int, coordinator: Coordinator, grant: Grant) -> pb.ExplainStepReply:
    """Why a step is where it is, as the leader has it."""
    found = coordinator.replica.scheduler.explain(run.submitted.run, step)
    assert found is not None, "whoever asks has made sure that this replica leads"
    state = _step(run, step, coordinator, grant)
    return pb.ExplainStepReply(
        step=state.step,
        capability=state.capability,
        status=state.status,
        placed=found.placed,
        node=found.node or "",
        runner_up=found.runner_up or "",
        how=found.how,
        note=found.note,
        candidates=[
            pb.PlaceCandidate(
                node=each.node,
                why_not=each.why_not,
                score=each.score,
                terms=[pb.ScoreTerm(name=name, value=value) for name, value in each.terms.items()],
            )
            for each in found.candidates
        ],
    )


def agents(coordinator: Coordinator, grant: Grant) -> list[pb.AgentState]:
    """Agents deployed that they may know of, and who hosts them; hosting is known to the leader alone."""
    ledger = coordinator.replica.scheduler.ledger
    return [
        pb.AgentState(
            agent=agent_to_pb(ledger.as_allowed(event.agent)),
            tenant=event.tenant,
            nodes=coordinator.roster.hosts(event.agent.digest),
            refused=[
                pb.AgentRefusal(node=node, error=error_to_pb(link.status.refused[event.agent.digest]))
                for node, link in sorted(coordinator.roster.links.items())
                if event.agent.digest in link.status.refused
            ],
        )
        for event in ledger.agents.values()
        if grant.sees_agent(event.tenant)
    ]


def nodes(coordinator: Coordinator, voters: Mapping[NodeId, str], grant: Grant) -> list[pb.NodeState]:
    """Voters and attached nodes; who is attached is known to the leader alone."""
    leader = coordinator.replica.leadership().leader
    scheduler = coordinator.replica.scheduler
    names = {
        event.agent.digest: event.agent.name
        for event in scheduler.ledger.agents.values()
        if grant.sees_agent(event.tenant)
    }
    views = {view.node: view for view in scheduler.nodes()}
    found = []
    for node in sorted({*voters, *coordinator.roster.links}):
        state = pb.NodeState(node=node, address=voters.get(node, ""), state="absent")
        state.role = "leader" if node == leader else "follower" if node in voters else "worker"
        if (link := coordinator.roster.links.get(node)) is not None:
            _fill_attached(state, link, names)
        if (view := views.get(node)) is not None:
            state.in_flight, state.steps_done = len(view.busy), view.done
        found.append(state)
    return found


def _fill_attached(state: pb.NodeState, link: NodeLink, names: Mapping[Digest, AgentName]) -> None:
    status = link.status
    state.state = "draining" if status.draining else "attached"
    state.address = status.hello.address
    state.slots = status.hello.slots
    state.layers.extend(status.hello.layers)
    state.tier = status.hello.tier
    state.usage.extend(usage_to_pb(each, names[each.agent]) for each in status.usage if each.agent in names)
    state.lacks.extend(lack_to_pb(lack) for lack in status.hello.lacks)
    state.agents.extend(sorted(names[digest] for digest in status.agents if digest in names))
    state.load = status.load
