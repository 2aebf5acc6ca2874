"""The nodes of a leader: they attach, say what they host, bring outcomes, fall silent, and go."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import assert_never

import structlog

from swarm import limits
from swarm.coordinator.ahead import Ahead, result_record
from swarm.coordinator.given import Given
from swarm.coordinator.links import NodeLink, NodeStatus
from swarm.coordinator.records import Records
from swarm.coordinator.replica import Replica
from swarm.coordinator.watchers import Watchers
from swarm.errors import NotLeader, OutcomeUnknown, ProtocolBroken, RunFailed, SwarmError
from swarm.graph import refs
from swarm.idle import when_idle
from swarm.ids import Digest, NodeId, RunId, StepKey
from swarm.ports import Clock, Downlink
from swarm.scheduler.actions import Action, Changed, Copy, Dispatch, Intend, Record, Recorded, Withdraw
from swarm.scheduler.events import (
    AttemptFailed,
    BlobsHeld,
    CopyEnded,
    KeyRegistered,
    MadeAgain,
    NodeChanged,
    NodeJoined,
    NodeLost,
    OutcomesArrived,
)
from swarm.scheduler.ledger import payload_bytes
from swarm.scheduler.machine import Place
from swarm.tasks import Tasks
from swarm.wire.messages import (
    BlobCopied,
    CopyBlob,
    FromNode,
    Heartbeat,
    HeldBlobs,
    Hello,
    Hosting,
    IdleBlobs,
    Outcome,
    Outcomes,
    Peer,
    Peers,
    Pulse,
    Renew,
    RevokedSet,
    UnneededBlobs,
    Welcome,
)

_log = structlog.get_logger("swarm.coordinator")

HOSTING = "hosting"
SWEEP_MS = 1_000  # how often what was given away in runs that are over is forgotten


class Roster:
    """Links to nodes. Empty on a replica that does not lead."""

    def __init__(self, replica: Replica, records: Records, clock: Clock, tasks: Tasks) -> None:
        self.links: dict[NodeId, NodeLink] = {}
        self.hosting: Watchers[str] = Watchers()  # its one key: HOSTING
        self._replica = replica
        self._records = records
        self._clock = clock
        self._flushing = False
        self._outgoing: dict[NodeLink, None] = {}  # links for which something is collected
        self._given = Given()
        self.ahead = Ahead()
        self._sweep_ms = 0
        self._tasks = tasks
        self._nodes_changed = False
        self._peers = Peers(())

    # -- links ------------------------------------------------------------------------------------

    def attach(self, hello: Hello, downlink: Downlink) -> NodeLink:
        """A node opened a link. Raises `NotLeader` where this replica does not lead."""
        term = self._replica.must_lead()
        if not 1 <= hello.slots <= limits.NODE_SLOTS_MAX:
            raise ProtocolBroken(f"{hello.slots} slots", place=f"node {hello.node}")
        now_ms = self._clock.monotonic_ms()
        if (old := self.links.pop(hello.node, None)) is not None:
            old.cut("the node opened a new link")
        agents = frozenset(hello.agents)
        self._nodes_changed = True
        link = self.links[hello.node] = NodeLink(NodeStatus(hello, agents), downlink, now_ms, self._outgoing)
        link.send(Welcome(term))
        link.send(RevokedSet(self._replica.revocations()))
        link.host(self._replica.scheduler.ledger.digests())
        joined = NodeJoined(
            now_ms,
            hello.node,
            hello.slots,
            agents,
            frozenset(hello.layers),
            hello.running,
            hello.memory_mb,
            hello.cpu_cores,
            hello.clearance,
        )
        if hello.result_key and not self._replica.scheduler.ledger.members.knows(
            hello.node, hello.result_key
        ):
            self._records.register(KeyRegistered(self._clock.wall_ms(), hello.node, hello.result_key))
        self._replica.absorb(joined)
        self.flush()
        _log.info("node attached", node=hello.node, running=len(hello.running))
        return link

    def detach(self, link: NodeLink) -> None:
        """The link ended; what the node was running must run elsewhere."""
        node = link.status.hello.node
        if self.links.get(node) is link:
            del self.links[node]
            self._nodes_changed = True
            self._replica.absorb(NodeLost(self._clock.monotonic_ms(), node))
            self.flush()
            _log.info("node lost", node=node)

    def cut_all(self, reason: str) -> None:
        """Send every node away."""
        for link in list(self.links.values()):
            link.cut(reason)
        self.links.clear()
        self._given.clear()

    def _nodes_there(self) -> Peers:
        """Who may fetch large payloads of whom, and keep a copy of which."""
        policy = self._replica.scheduler.ledger.policy
        return Peers(
            tuple(
                Peer(node, hello.address, hello.clearance.narrowed(policy.node(node)))
                for node, hello in sorted((name, link.status.hello) for name, link in self.links.items())
            )
        )

    def cut_silent(self) -> None:
        """A node nothing was heard of for too long is gone."""
        now_ms = self._clock.monotonic_ms()
        if now_ms >= self._sweep_ms:
            self._sweep_ms = now_ms + SWEEP_MS
            self._given.sweep(self._alive)
            self._nodes_changed |= self._nodes_there() != self._peers  # a policy may have changed
        for link in list(self.links.values()):
            if now_ms - link.heard_ms > limits.NODE_SILENCE_MS_MAX:
                link.cut(f"nothing heard for {now_ms - link.heard_ms} ms")
                self.detach(link)

    def _alive(self, name: RunId) -> bool:
        if name in self.ahead:
            return True
        run = self._replica.scheduler.ledger.runs.get(name)
        return run is not None and not run.settled

    def hosts(self, digest: Digest) -> list[NodeId]:
        """Attached nodes that can run this agent now."""
        return sorted(node for node, link in self.links.items() if digest in link.status.agents)

    def host(self) -> None:
        """Tell every node which agents there are."""
        for link in self.links.values():
            link.host(self._replica.scheduler.ledger.digests())

    def revoke(self) -> None:
        """Tell every node who is let in no more."""
        revoked = RevokedSet(self._replica.revocations())
        for link in self.links.values():
            link.send(revoked)

    def renew(self, nodes: Collection[NodeId]) -> list[NodeId]:
        """Let these nodes, or all where none is named, ask for another certificate; returns who was told."""
        told = [node for node in self.links if not nodes or node in nodes]
        for node in told:
            self.links[node].send(Renew())
        return sorted(told)

    # -- what nodes say ----------------------------------------------------------------------------

    def receive(self, link: NodeLink, message: FromNode) -> None:
        """A node said something."""
        node = link.status.hello.node
        if self.links.get(node) is not link:
            return
        link.heard_ms = now_ms = self._clock.monotonic_ms()
        match message:
            case Outcomes():
                self._take_outcomes(link, message.items, now_ms)
            case Heartbeat():
                link.send(Pulse())
                link.status.load, link.status.cells = message.load, message.cells
                link.status.draining = message.draining
                link.status.usage = message.usage or link.status.usage
                changed = NodeChanged(now_ms, node, load=message.load, draining=message.draining)
                self._replica.absorb(changed)
            case Hosting():
                link.status.agents = frozenset(message.agents)
                link.status.refused = dict(message.refused)
                self._replica.absorb(NodeChanged(now_ms, node, agents=link.status.agents))
                self.hosting.changed(HOSTING)
            case IdleBlobs():
                self._tasks.start(self._answer_idle(link, message))
            case HeldBlobs():
                held = BlobsHeld(now_ms, node, message.kept, message.passing, message.gone)
                self._replica.absorb(held)
            case BlobCopied():
                _log_copy(node, message)
                ended = CopyEnded(now_ms, node, message.digest, message.target, message.error)
                self._replica.absorb(ended)
            case _:
                assert_never(message)
        self.flush()

    async def _answer_idle(self, link: NodeLink, idle: IdleBlobs) -> None:
        """Say which blobs may go; only a leader that is one at this moment knows what nobody speaks of."""
        try:
            await self._replica.read_barrier()
        except (NotLeader, OutcomeUnknown):
            return  # the node asks again
        ledger = self._replica.scheduler.ledger
        agents = ledger.digests()
        unneeded = tuple(d for d in idle.digests if d not in ledger.needs and d not in agents)
        if unneeded and self._replica.leads:
            link.send(UnneededBlobs(unneeded))

    def _take_outcomes(self, link: NodeLink, outcomes: Sequence[Outcome], now_ms: int) -> None:
        node, scheduler = link.status.hello.node, self._replica.scheduler
        arrived: list[StepKey] = []
        for outcome in outcomes:
            key = outcome.key
            if not self._given.belongs(key, node, self._replica.leading_term):
                _log.warning("a report about somebody else's step", node=node, run=key.run, step=key.step)
                link.receipt(key)
                continue
            if self.ahead.take(link, outcome):
                continue
            if scheduler.makes_again(key):
                self._replica.absorb(_made_again(now_ms, node, outcome))
                link.receipt(key)
                continue
            if outcome.after is not None and arrived:  # the step before it may have come just now
                self._replica.absorb(OutcomesArrived(now_ms, node, tuple(arrived)))
                arrived.clear()
            if not scheduler.accepts(key, outcome.after):
                link.receipt(key)
            elif error := self._fault(outcome):
                failed = AttemptFailed(
                    now_ms, node, key, error, outcome.retryable, outcome.started_ms, outcome.wall_ms
                )
                self._replica.absorb(failed)
            elif (place := scheduler.place(key.run, key.step)) is None or place[0] is not Place.RECORDING:
                # a record, unless the same result is on its way to the log already
                self._records.add(result_record(outcome, node))
                arrived.append(key)
        if arrived:
            self._replica.absorb(OutcomesArrived(now_ms, node, tuple(arrived)))

    def take_late(self, link: NodeLink, outcome: Outcome) -> None:
        """Take an outcome that had to wait for its run. If its link is gone, its node says it again."""
        if self.links.get(link.status.hello.node) is link:
            self._take_outcomes(link, (outcome,), self._clock.monotonic_ms())

    def _fault(self, outcome: Outcome) -> SwarmError | None:
        """Why an outcome is no result."""
        if not outcome.ok:
            return outcome.error or RunFailed("the node gave no reason")
        run = self._replica.scheduler.ledger.runs[outcome.key.run]
        weight = payload_bytes(outcome.outputs.values())
        if weight > limits.STEP_BYTES_MAX:
            return RunFailed(f"the step gave {weight} bytes, at most {limits.STEP_BYTES_MAX} travel inline")
        problem = run.output_problem(outcome.key.step, outcome.outputs)
        return RunFailed(problem.message, place=problem.place) if problem else None

    # -- what the scheduler asks for -----------------------------------------------------------------

    def act(self, action: Action) -> None:
        """Collect what is to be told; `flush` tells it."""
        match action:
            case Dispatch():
                if link := self.links.get(action.node):
                    self._given.note(action.key, action.node)
                    self.ahead.sent(action.key)
                    for follower in action.followers:
                        self._given.note(follower.key, action.node)
                    link.assign(action)
            case Recorded() | Withdraw() | Copy():
                if link := self.links.get(action.node):
                    _tell(link, action)
            case Record():
                self._records.add(action.record)
            case Intend():
                self._records.intend(action.intent)
            case Changed():
                pass  # watchers are the replica's business
            case _:
                assert_never(action)

    def flush(self) -> None:
        """Tell the nodes soon: what one turn of the loop collects travels together."""
        if not self._flushing and (self._outgoing or self._nodes_changed):
            self._flushing = True
            when_idle(self._flush_now)

    def _flush_now(self) -> None:
        self._flushing = False
        if self._nodes_changed:
            self._nodes_changed = False
            self._peers = peers = self._nodes_there()
            for link in list(self.links.values()):
                link.send(peers)
        outgoing = [*self._outgoing]
        self._outgoing.clear()
        for link in outgoing:
            if self.links.get(link.status.hello.node) is link:  # it may be gone
                link.flush()


def _tell(link: NodeLink, action: Recorded | Withdraw | Copy) -> None:
    match action:
        case Recorded():
            link.receipts(action.keys)
        case Withdraw():
            link.withdraw(action.key)
        case Copy():
            link.send(CopyBlob(action.digest, action.target))
        case _:
            assert_never(action)


def _made_again(now_ms: int, node: NodeId, outcome: Outcome) -> MadeAgain:
    """An attempt at a step that has its result: what it gave counts by digest alone, and is not recorded."""
    digests = frozenset(ref.digest for ref in refs(outcome.outputs.values()))
    error = None if outcome.ok else outcome.error or RunFailed("the node gave no reason")
    _log.info("a step was run again for what it gave", run=outcome.key.run, step=outcome.key.step, node=node)
    return MadeAgain(now_ms, node, outcome.key, digests, error, outcome.retryable)


def _log_copy(node: NodeId, copied: BlobCopied) -> None:
    what = {"digest": copied.digest[:12], "source": node, "target": copied.target}
    if copied.error is None:
        _log.info("a large payload has a second copy again", **what)
    else:
        _log.warning("a large payload could not be copied", **what, error=str(copied.error))
