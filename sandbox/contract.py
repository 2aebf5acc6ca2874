"""The five calls every agent answers, made inside the cell, one at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from sandbox.errors import CellError
from sandbox.payload import Items, Ports


class Agent(Protocol):
    """One loaded agent. Any call may raise `AgentFailed`; the cell goes on."""

    def process_input(self, capability: str, inputs: Ports) -> dict[str, Items]:
        """Answer one input: port name to payload, or to a list of payloads on a `many` port."""

    def update_weights(self, feedback: Items) -> None:
        """Learn from feedback, or refuse clearly."""

    def get_metadata(self) -> dict[str, Any]:
        """JSON-able facts about the agent."""

    def checkpoint(self) -> bytes:
        """The learned state; `restore` of the same bytes brings back the same answers."""

    def restore(self, data: bytes) -> None:
        """Put back a state that `checkpoint` gave."""


@runtime_checkable
class BatchAgent(Protocol):
    """An agent that gains by seeing many inputs at once; one answer or one error per input, in order."""

    def process_batch(self, capability: str, batch: Sequence[Ports]) -> list[dict[str, Items] | CellError]:
        """Answer every input of the batch; one bad input costs only its own place."""
