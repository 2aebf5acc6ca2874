"""Agent files, as the rest of the runtime wants them: a record to place by, an image to run."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

import af
from af.workflow import Step
from sandbox.spec import LAYERS
from swarm.errors import AgentRefused, Problem
from swarm.graph import Port, PortName, Signature
from swarm.ids import AgentName, CapabilityName, Digest
from swarm.ports import Image
from swarm.scheduler.events import AgentRecord
from swarm.trust.authors import AgentPolicy
from swarm.trust.policy import Capability


def inspect(data: bytes) -> AgentRecord:
    """What placement needs to know of an agent file. Raises `AgentRefused` with every reason."""
    executable = _executable(data)
    limits, requirements = executable.resources.limits, executable.resources.requirements
    if problems := _layer_problems(requirements.sandbox_layers):
        raise _refused(problems)
    return AgentRecord(
        name=AgentName(executable.name),
        version=executable.version,
        digest=Digest(executable.sha256),
        kind=executable.kind,
        size_bytes=len(data),
        capabilities=tuple(
            _signature(capability, executable.description) for capability in executable.capabilities
        ),
        memory_mb=limits.memory_mb,
        cpu_cores=limits.cpu_cores,
        layers=frozenset(requirements.sandbox_layers),
        needs=_needs(executable),
    )


def open_image(data: bytes) -> Image:
    """What a cell needs to run an agent. Raises `AgentRefused` with every reason."""
    executable = _executable(data)
    resources = executable.resources
    limits = resources.limits
    signatures = tuple(_signature(each, executable.description) for each in executable.capabilities)
    return Image(
        name=AgentName(executable.name),
        kind=executable.kind,
        code=executable.code,
        manifest=executable.manifest,
        memory_mb=limits.memory_mb,
        cpu_cores=limits.cpu_cores,
        disk_mb=limits.disk_mb,
        wall_ms=limits.wall_ms,
        output_mb=limits.output_mb,
        open_files=limits.open_files,
        threads=limits.threads,
        network_mbps=limits.network_bandwidth_mbps,
        deterministic=frozenset(
            CapabilityName(each.name)
            for each in executable.capabilities
            if each.deterministic and each.effects == "none"
        ),
        egress=resources.egress,
        layers=frozenset(resources.requirements.sandbox_layers),
        native_libraries=resources.native_libraries,
        memory_mb_min=resources.requirements.minimum_memory_mb,
        cpu_cores_min=resources.requirements.minimum_cpu_cores,
        first=_hooks(executable.workflow.initialization),
        last=_hooks(executable.workflow.shutdown),
        signatures=signatures,
    )


class TrustedAgents:
    """The same two questions, asked of files whose author a policy trusts; others are refused."""

    def __init__(self, policy: AgentPolicy) -> None:
        self._policy = policy

    def inspect(self, data: bytes) -> AgentRecord:
        """See `inspect`. Raises `AgentRefused` also where nobody trusted has signed."""
        self._check(data)
        return inspect(data)

    def open_image(self, data: bytes) -> Image:
        """See `open_image`. Raises `AgentRefused` also where nobody trusted has signed."""
        self._check(data)
        return open_image(data)

    def _check(self, data: bytes) -> None:
        if self._policy.anybody:
            return
        try:
            agent = af.parse(data)  # verifies the signature, if there is one
        except af.AfError as error:
            raise _refused(error.problems) from error
        signer = af.signer_of(agent)
        capabilities = [capability.name for capability in agent.header.capabilities]
        if problems := self._policy.problems(signer.key if signer else None, capabilities):
            raise AgentRefused(
                "no trusted author has signed this agent",
                place="agent file",
                remedy=problems[0].remedy,
                problems=problems,
            )


def _executable(data: bytes) -> af.Executable:
    try:
        return af.executable(af.parse(data))
    except af.AfError as error:
        raise _refused(error.problems) from error


def _hooks(steps: Iterable[Step]) -> tuple[CapabilityName, ...]:
    """What the agent itself does in a phase of its life; the rest of it is the node's."""
    return tuple(CapabilityName(step.capability) for step in steps if step.doer == "hook")


def _layer_problems(layers: Iterable[str]) -> list[af.Problem]:
    """Layers that no node could ever attest."""
    found = []
    for name in layers:
        if name not in LAYERS:
            near = difflib.get_close_matches(name, LAYERS, n=1)
            remedy = f"did you mean {near[0]!r}?" if near else f"use some of {', '.join(LAYERS)}."
            place = "header: resources.requirements.sandbox_layers"
            found.append(af.Problem(place, f"there is no layer {name}.", remedy))
    return found


def _refused(problems: Iterable[af.Problem]) -> AgentRefused:
    found = [Problem("agent_refused", p.place, p.message, p.remedy) for p in problems]
    return AgentRefused("the agent file is refused", place="agent file", problems=found)


def _needs(executable: af.Executable) -> frozenset[str]:
    """What a policy has to grant the agent, beyond that it may run at all."""
    found = {Capability.MEMORY_ACCESS} if executable.kind == "python" else set()
    if executable.resources.egress:
        found.add(Capability.NETWORK)
    if any(capability.switches_context for capability in executable.capabilities):
        found.add(Capability.CONTEXT_SWITCH)
    return frozenset(found)


def _signature(capability: af.Capability, of_agent: str) -> Signature:
    return Signature(
        name=CapabilityName(capability.name),
        inputs=tuple(_port(port) for port in capability.inputs),
        outputs=tuple(_port(port) for port in capability.outputs),
        deterministic=capability.deterministic,
        effects=capability.effects,
        switches_context=bool(capability.switches_context),
        description=capability.description or of_agent,
        reconcile=capability.reconcile or "",
        rows=frozenset(map(PortName, capability.rows or ())),
    )


def _port(port: af.PortSpec) -> Port:
    return Port(PortName(port.name), port.kind, port.dtype, port.shape, port.many, port.optional)
