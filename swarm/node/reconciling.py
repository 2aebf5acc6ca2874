"""Effects that their agent can look up: what it is told of an attempt, and what it says became of one.

A capability with `effects: once` may name another one of its agent under `reconcile`. Each attempt at it then
gets one more port, `intent`: the run, the step, the term and the number of the attempt, by which the agent
can mark what it does. When nobody knows what became of an attempt, the other capability is asked, with the
same inputs and the intent in question, and gives the port `outcome`:

    done       it took effect; the other ports are what the first capability would have given
    not_done   it did not take effect and never will: what may still be under way somewhere comes to nothing
    unknown    a person has to look
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Final

from af import effects
from swarm.errors import AgentFailed, NeedsDecision, NotDone, SwarmError
from swarm.graph import Items, Payload, PortName, Signature
from swarm.ids import CapabilityName
from swarm.ports import Reply
from swarm.wire.messages import Assignment

INTENT: Final = PortName(effects.INTENT)
OUTCOME: Final = PortName(effects.OUTCOME)
SAID_CHARS_MAX: Final = 40


class Reconciling:
    """Which capabilities of an agent can be asked about, and how."""

    def __init__(self, signatures: Iterable[Signature]) -> None:
        self._asks = {each.name: CapabilityName(each.reconcile) for each in signatures if each.reconcile}

    def capability(self, item: Assignment) -> CapabilityName:
        """What the agent is called with. Raises `AgentFailed` where it cannot be asked: it is not run."""
        if item.about is None:
            return item.capability
        if (asked := self._asks.get(item.capability)) is None:
            raise AgentFailed("it cannot tell what became of an attempt", place=str(item.capability))
        return asked

    def inputs(self, item: Assignment) -> Mapping[str, Items]:
        """What the agent is given."""
        if item.capability not in self._asks:
            return item.inputs
        run, step, *own = item.key
        term, attempt = item.about or own
        intent = {"run": run, "step": step, "term": term, "attempt": attempt}
        return {**item.inputs, INTENT: Payload("json", json.dumps(intent).encode())}


def answered(item: Assignment, reply: Reply) -> Reply | SwarmError:
    """What the agent said: the result of the step, or why there is none."""
    said = reply.get(OUTCOME)
    match _word(said):
        case "done":
            return {port: items for port, items in reply.items() if port != OUTCOME}
        case "not_done":
            return NotDone("it did not take effect", place=str(item.capability))
        case "unknown":
            return NeedsDecision("its agent cannot tell either", place=str(item.capability))
        case other:
            return AgentFailed(
                f"asked what became of an attempt, it said {other!r}",
                place=str(item.capability),
                remedy=f"give 'done', 'not_done' or 'unknown' on the port {OUTCOME}, as JSON",
            )


def _word(said: Items | None) -> object:
    if not isinstance(said, Payload) or said.kind != "json" or len(said.data) > SAID_CHARS_MAX:
        return None
    try:
        return json.loads(said.data)
    except ValueError:
        return None
