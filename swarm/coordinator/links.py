"""The leader's side of its nodes: who is attached, what they host, and what to tell them next.

Everything one event causes is sent to a node as one message of each kind: batching is what makes
dispatch cheap, so it is done here, at the only place where actions turn into messages.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter

from swarm import limits
from swarm.errors import SwarmError
from swarm.ids import Digest, StepKey
from swarm.ports import Downlink
from swarm.scheduler.actions import Dispatch
from swarm.scheduler.ledger import payload_bytes
from swarm.wire.messages import AgentSet, Assignment, Assignments, Hello, Receipts, ToNode, Usage, Withdrawals


@dataclass(slots=True)
class NodeStatus:
    """What a node says of itself."""

    hello: Hello
    agents: frozenset[Digest]
    refused: dict[Digest, SwarmError] = field(default_factory=dict)
    load: float = 0.0
    cells: int = 0
    draining: bool = False
    usage: tuple[Usage, ...] = ()


class NodeLink:
    """One attached node: its open link, when it was last heard, and what waits to be sent.

    A link for which something is collected is among the `outgoing`, in the order in which it came there.
    """

    def __init__(
        self, status: NodeStatus, downlink: Downlink, now_ms: int, outgoing: dict[NodeLink, None]
    ) -> None:
        self.status = status
        self.heard_ms = now_ms
        self._downlink = downlink
        self._outgoing = outgoing
        self._assignments: list[Assignment] = []
        self._withdrawals: list[StepKey] = []
        self._receipts: list[StepKey] = []

    def send(self, message: ToNode) -> None:
        """Send at once, ahead of what is collected."""
        self._downlink.send(message)

    def assign(self, action: Dispatch) -> None:
        self._outgoing[self] = None
        self._assignments.append(
            Assignment(
                action.key,
                action.agent,
                action.capability,
                action.inputs,
                action.timeout_ms,
                action.scatter,
                action.context,
                action.priority,
                action.sign,
                action.followers,
                about=action.about,
            )
        )

    def withdraw(self, key: StepKey) -> None:
        self._outgoing[self] = None
        self._withdrawals.append(key)

    def receipt(self, key: StepKey) -> None:
        self._outgoing[self] = None
        self._receipts.append(key)

    def receipts(self, keys: Sequence[StepKey]) -> None:
        self._outgoing[self] = None
        self._receipts += keys

    def flush(self) -> None:
        """Send what was collected: withdrawals first, so that their slots are free for the work."""
        if self._withdrawals:
            self._downlink.send(Withdrawals(tuple(self._withdrawals)))
            self._withdrawals.clear()
        if self._receipts:
            self._downlink.send(Receipts(tuple(self._receipts)))
            self._receipts.clear()
        if not self._assignments:
            return
        self._assignments.sort(key=_PRIORITY)  # stable; what is urgent must not wait for what is not
        for _, alike in groupby(self._assignments, _PRIORITY):
            for batch in _by_weight(alike):
                self._downlink.send(Assignments(tuple(batch)))
        self._assignments.clear()

    def host(self, digests: tuple[Digest, ...]) -> None:
        self._downlink.send(AgentSet(digests))

    def cut(self, reason: str) -> None:
        self._downlink.cut(reason)


_PRIORITY = attrgetter("priority")


def _weight(item: Assignment) -> int:
    return payload_bytes(item.inputs.values())


def _by_weight(items: Iterable[Assignment]) -> Iterator[list[Assignment]]:
    """Batches that fit a message."""
    batch: list[Assignment] = []
    weight = 0
    for item in items:
        size = _weight(item)
        if batch and weight + size > limits.RECORDS_BATCH_BYTES_MAX:
            yield batch
            batch, weight = [], 0
        batch.append(item)
        weight += size
    if batch:
        yield batch
