"""Calls of one agent that nobody logs: they wait here for a cell, and go to it together.

While a cell answers one batch the next one gathers, so that a call pays for company only where there is some:
the most that one waits for another is the time a batch takes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from swarm.errors import Mistake, NotHosted, QueueFull, SwarmError
from swarm.graph import Items, Signature
from swarm.ids import CapabilityName
from swarm.limits import CALLS_WAITING_MAX, STEP_TIMEOUT_MS_DEFAULT, STEP_TIMEOUT_MS_MAX
from swarm.ports import Reply
from swarm.scheduler.ledger import payload_bytes

BATCH_CALLS_MAX = 128
BATCH_BYTES_MAX = 4 << 20

Answered: TypeAlias = Callable[[Reply | SwarmError], None]
"""Hears what became of a call, once."""


class Call(NamedTuple):
    """One call and who waits for it."""

    capability: CapabilityName
    inputs: Mapping[str, Items]
    timeout_ms: int
    answered: Answered


class CallQueue:
    """Calls that wait, in the order they came."""

    def __init__(self, signatures: Sequence[Signature]) -> None:
        self._signatures = {signature.name: signature for signature in signatures}
        self._wanted = {
            one.name: [port.name for port in one.inputs if not port.optional] for one in signatures
        }
        self._waiting: deque[Call] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def offers(self, capability: CapabilityName) -> bool:
        return capability in self._signatures

    def add(self, call: Call) -> None:
        """Raises why a call cannot be made here."""
        signature = self._signatures.get(call.capability)
        if signature is None:
            raise NotHosted(f"nobody here offers {call.capability}", place=str(call.capability))
        if signature.effects == "once":
            raise Mistake(
                f"{call.capability} must not run twice, and of a call nothing is written down",
                place=str(call.capability),
                remedy="submit it as a run",
            )
        if missing := [port for port in self._wanted[call.capability] if port not in call.inputs]:
            raise Mistake(
                f"{call.capability} takes {', '.join(missing)}, which the call does not give",
                place=str(call.capability),
                remedy="`swarm agents --json` shows its ports",
            )
        if len(self._waiting) >= CALLS_WAITING_MAX:
            raise QueueFull(f"{CALLS_WAITING_MAX} calls wait for this agent", remedy="call it more slowly")
        timeout_ms = min(call.timeout_ms or STEP_TIMEOUT_MS_DEFAULT, STEP_TIMEOUT_MS_MAX)
        self._waiting.append(Call(call.capability, call.inputs, timeout_ms, call.answered))

    def take(self) -> list[Call]:
        """The next calls that can be one batch: of one capability, not too many, not too heavy."""
        batch: list[Call] = []
        weight = 0
        while self._waiting and len(batch) < BATCH_CALLS_MAX:
            call = self._waiting[0]
            weight += payload_bytes(call.inputs.values())
            if batch and (call.capability != batch[0].capability or weight > BATCH_BYTES_MAX):
                break
            batch.append(self._waiting.popleft())
        return batch
