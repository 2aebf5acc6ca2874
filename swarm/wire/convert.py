"""Domain records to protobuf and back: what every service shares.

Nothing here trusts the other side: an unknown enum value, a port without items or an error code
nobody knows becomes a `ProtocolBroken` or the closest typed error, never an exception of protobuf's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from swarm import limits
from swarm.errors import Bug, NotLeader, PeerFault, Problem, ProtocolBroken, SwarmError, by_code
from swarm.graph import KINDS, REF, Items, Payload, Port, PortName, Signature, read_ref
from swarm.ids import AgentName, CapabilityName, Digest
from swarm.scheduler.events import AgentRecord
from swarm.wire.contexts import transition_from_pb, transition_to_pb
from swarm.wire.gen import common_pb2 as pb
from swarm.wire.messages import Lack, Usage

_ERRORS = by_code()
PLACE_CHARS_MAX = 100  # of a stranger's name in an error
_PAYLOAD_KINDS = frozenset({*KINDS, REF}) - {"any"}


def items_to_pb(values: Mapping[str, Items]) -> list[pb.PortItems]:
    """What ports carry, by port name."""
    found = []
    for port, items in values.items():
        if isinstance(items, Payload):
            found.append(pb.PortItems(port=port, items=(pb.Payload(kind=items.kind, data=items.data),)))
        else:
            payloads = [pb.Payload(kind=item.kind, data=item.data) for item in items]
            found.append(pb.PortItems(port=port, many=True, items=payloads))
    return found


def items_from_pb(values: Iterable[pb.PortItems]) -> dict[str, Items]:
    """The reverse of `items_to_pb`."""
    found: dict[str, Items] = {}
    for value in values:
        if value.port in found:
            raise ProtocolBroken("a port is given twice", place=value.port[:PLACE_CHARS_MAX])
        for item in value.items:
            if item.kind not in _PAYLOAD_KINDS:
                raise ProtocolBroken(
                    f"payload of kind {item.kind[:40]!r}", place=value.port[:PLACE_CHARS_MAX]
                )
            if item.kind == REF:
                read_ref(item.data)  # refuses what is none
        if value.many:
            found[value.port] = tuple(Payload(item.kind, item.data) for item in value.items)
        elif len(value.items) == 1:
            found[value.port] = Payload(value.items[0].kind, value.items[0].data)
        else:
            raise ProtocolBroken(
                f"{len(value.items)} payloads on a port that takes one", place=value.port[:PLACE_CHARS_MAX]
            )
    return found


def inputs_from_pb(values: Iterable[pb.PortItems]) -> dict[str, Payload]:
    """Feeds: one payload each."""
    found: dict[str, Payload] = {}
    for name, items in items_from_pb(values).items():
        if not isinstance(items, Payload):
            raise ProtocolBroken("a feed carries exactly one payload", place=name[:PLACE_CHARS_MAX])
        found[name] = items
    return found


def error_to_pb(error: SwarmError) -> pb.Error:
    """An error as data; long texts and long lists are cut at the bounds of `swarm.limits`."""
    return pb.Error(
        code=error.code,
        message=_text(error.message),
        place=_text(error.place),
        remedy=_text(error.remedy),
        problems=[
            pb.Problem(
                code=_text(p.code), place=_text(p.place), message=_text(p.message), remedy=_text(p.remedy)
            )
            for p in error.problems[: limits.ERROR_PROBLEMS_MAX]
        ],
        hint=_text(error.hint or "") if isinstance(error, NotLeader) else "",
    )


def error_from_pb(error: pb.Error) -> SwarmError:
    """The same error, of the same class where we know its code; bounded, whatever the other side sent.

    A bug of the other side is no bug of ours: it comes out as a `PeerFault`, or a peer could stop us.
    """
    if error.code == NotLeader.code:
        return NotLeader(_text(error.hint) or None)
    kind = PeerFault if error.code == Bug.code else _ERRORS.get(error.code, SwarmError)
    problems = [
        Problem(_text(p.code), _text(p.place), _text(p.message), _text(p.remedy))
        for p in error.problems[: limits.ERROR_PROBLEMS_MAX]
    ]
    return kind(_text(error.message), place=_text(error.place), remedy=_text(error.remedy), problems=problems)


def _text(text: str) -> str:
    """What may be said in an error: not too much, and Unicode, which not everything an agent raises is."""
    return text[: limits.ERROR_CHARS_MAX].encode(errors="replace").decode()


def agent_to_pb(agent: AgentRecord) -> pb.Agent:
    """A deployed agent."""
    return pb.Agent(
        name=agent.name,
        version=agent.version,
        digest=agent.digest,
        kind=agent.kind,
        size_bytes=agent.size_bytes,
        capabilities=[_signature_to_pb(signature) for signature in agent.capabilities],
        memory_mb=agent.memory_mb,
        cpu_cores=agent.cpu_cores,
        layers=sorted(agent.layers),
        needs=sorted(agent.needs),
    )


def agent_from_pb(agent: pb.Agent) -> AgentRecord:
    """The reverse of `agent_to_pb`."""
    return AgentRecord(
        name=AgentName(agent.name),
        version=agent.version,
        digest=Digest(agent.digest),
        kind=agent.kind,
        size_bytes=agent.size_bytes,
        capabilities=tuple(_signature_from_pb(capability) for capability in agent.capabilities),
        memory_mb=agent.memory_mb,
        cpu_cores=agent.cpu_cores,
        layers=frozenset(agent.layers),
        needs=frozenset(agent.needs),
    )


def _signature_to_pb(signature: Signature) -> pb.Capability:
    return pb.Capability(
        name=signature.name,
        inputs=[_port_to_pb(port) for port in signature.inputs],
        outputs=[_port_to_pb(port) for port in signature.outputs],
        deterministic=signature.deterministic,
        effects=signature.effects,
        description=signature.description,
        switches_context=signature.switches_context,
        switches=map(transition_to_pb, signature.switches),
        reconcile=signature.reconcile,
        rows=sorted(signature.rows),
    )


def _signature_from_pb(capability: pb.Capability) -> Signature:
    return Signature(
        name=CapabilityName(capability.name),
        inputs=tuple(_port_from_pb(port) for port in capability.inputs),
        outputs=tuple(_port_from_pb(port) for port in capability.outputs),
        deterministic=capability.deterministic,
        effects=capability.effects,
        description=capability.description,
        switches_context=capability.switches_context,
        switches=tuple(map(transition_from_pb, capability.switches)),
        reconcile=capability.reconcile,
        rows=frozenset(map(PortName, capability.rows)),
    )


def _port_to_pb(port: Port) -> pb.Port:
    return pb.Port(
        name=port.name,
        kind=port.kind,
        dtype=port.dtype or "",
        has_shape=port.shape is not None,
        shape=[-1 if size is None else size for size in port.shape or ()],
        many=port.many,
        optional=port.optional,
    )


def _port_from_pb(port: pb.Port) -> Port:
    return Port(
        name=PortName(port.name),
        kind=port.kind,
        dtype=port.dtype or None,
        shape=tuple(None if size < 0 else size for size in port.shape) if port.has_shape else None,
        many=port.many,
        optional=port.optional,
    )


def usage_to_pb(usage: Usage, agent: str) -> pb.Usage:
    """What an agent has taken; it is called `agent`."""
    return pb.Usage(
        agent=agent,
        cells=usage.cells,
        cpu_ms=usage.cpu_ms,
        memory_peak_bytes=usage.memory_peak_bytes,
        bytes_in=usage.bytes_in,
        bytes_out=usage.bytes_out,
    )


def usage_from_pb(usage: pb.Usage) -> Usage:
    """The reverse of `usage_to_pb`; a time that is no number is none."""
    cpu_ms = usage.cpu_ms if usage.HasField("cpu_ms") and 0.0 <= usage.cpu_ms < math.inf else None
    return Usage(
        Digest(usage.agent),
        usage.cells,
        cpu_ms,
        usage.memory_peak_bytes,
        usage.bytes_in,
        usage.bytes_out,
    )


def lack_to_pb(lack: Lack) -> pb.Lack:
    """What a machine does not give."""
    return pb.Lack(layer=lack.layer, reason=lack.reason, remedy=lack.remedy)


def lack_from_pb(lack: pb.Lack) -> Lack:
    """The reverse of `lack_to_pb`."""
    return Lack(lack.layer, lack.reason, lack.remedy)
