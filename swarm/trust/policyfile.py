"""A policy as people write it, and as the log keeps it.

    policy: 1
    contexts:
      medical: {level: 2, domain: medical, permissions: [phi]}
      public: {level: 0}
    tenants:
      acme: {share: 2, runs_active_max: 100, steps_in_flight_max: 64, bytes_max: 268435456, submissions_per_s: 50}
      zeta: {}
    principals:
      ann: {tenant: acme, may: [SUBMIT, CANCEL, READ_RESULTS], clearance: {level: 2, domains: [medical], permissions: [phi]}}
      zoe: {tenant: zeta, may: [SUBMIT, READ_RESULTS]}
    agents:
      redact: {may: [NEURAL_COMPUTE, CONTEXT_SWITCH], switches: [{from: medical, to: public}]}
      "*": {may: [NEURAL_COMPUTE, MEMORY_ACCESS]}
    nodes:
      n4: {level: 0, tenants: [zeta]}

A name under `principals` is the one in a certificate. `"*"` stands for all who are not named. A clearance that
is left out covers level 0 and nothing else for people, everything for nodes.
"""  # noqa: E501 - the example is to be copied

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, ValidationError

from swarm import limits
from swarm.errors import ConfigRefused, Problem
from swarm.graph.contexts import Clearance, Context, Transition
from swarm.graph.names import NAME_RULE, is_name
from swarm.sections import Misfit, Section, wrong
from swarm.trust.policy import (
    EVERYBODY_ELSE,
    OF_AGENTS,
    OF_PEOPLE,
    AgentGrant,
    Capability,
    Grant,
    Policy,
    Tenant,
)

POLICY_BYTES_MAX: Final = 64 * limits.KIB
TENANTS_MAX: Final = 1_000
NAMES_MAX: Final = 1_000
SHARE_MAX: Final = 1_000


def _name(text: str) -> str:
    if not is_name(text):
        raise wrong(f"{text[:80]!r} is no name", f"use {NAME_RULE}")
    return text


Name = Annotated[str, AfterValidator(_name)]
NameOrNone = Annotated[str, AfterValidator(lambda text: text and _name(text))]
NameOrAll = Annotated[str, AfterValidator(lambda text: text if text == EVERYBODY_ELSE else _name(text))]
Names = Annotated[list[Name], Field(max_length=limits.CONTEXT_PERMISSIONS_MAX)]
NamesOrNone = Annotated[Names, Field(default_factory=list)]
Level = Annotated[int, Field(ge=0, le=limits.CONTEXT_LEVEL_MAX)]
Count = Annotated[int, Field(ge=1)]
Capabilities = list[Annotated[Capability, Field(strict=False)]]


class ContextSection(Section):
    """A context that switches name."""

    level: Level = 0
    domain: NameOrNone = ""
    tenant: NameOrNone = ""
    permissions: NamesOrNone

    def context(self) -> Context:
        return Context(self.level, self.domain, self.tenant, frozenset(self.permissions))


class TenantSection(Section):
    """How much a tenant may have."""

    share: Annotated[int, Field(ge=1, le=SHARE_MAX)] = 1
    runs_active_max: Count | None = None
    steps_in_flight_max: Count | None = None
    bytes_max: Count | None = None
    submissions_per_s: Annotated[float, Field(gt=0)] | None = None


class PersonClearance(Section):
    """What a person or program may see of their tenant's data."""

    level: Level = 0
    domains: NamesOrNone
    permissions: NamesOrNone


class NodeClearance(Section):
    """What a node is trusted with; what is left out is not bounded."""

    level: Level = limits.CONTEXT_LEVEL_MAX
    domains: Names | None = None
    tenants: Names | None = None
    permissions: Names | None = None

    def clearance(self) -> Clearance:
        return Clearance(self.level, _some(self.domains), _some(self.tenants), _some(self.permissions))


class PrincipalSection(Section):
    """A person or program."""

    tenant: NameOrNone = ""
    may: Capabilities
    clearance: Annotated[PersonClearance, Field(default_factory=PersonClearance)]

    def grant(self) -> Grant:
        cleared = self.clearance
        tenants = None if Capability.ADMINISTER in self.may else frozenset({self.tenant})
        clearance = Clearance(
            cleared.level, frozenset(cleared.domains), tenants, frozenset(cleared.permissions)
        )
        return Grant(self.tenant, frozenset(self.may), clearance)


class SwitchSection(Section):
    """From which context an agent may let data out to which."""

    source: Annotated[str, Field(alias="from")]
    to: str


class AgentSection(Section):
    """What an agent may do."""

    may: Capabilities
    switches: Annotated[list[SwitchSection], Field(default_factory=list)]


class PolicyFile(Section):
    """The whole file; see the head of this module."""

    policy: Literal[1]
    contexts: Annotated[dict[Name, ContextSection], Field(default_factory=dict, max_length=NAMES_MAX)]
    tenants: Annotated[dict[Name, TenantSection], Field(default_factory=dict, max_length=TENANTS_MAX)]
    principals: Annotated[
        dict[NameOrAll, PrincipalSection], Field(default_factory=dict, max_length=NAMES_MAX)
    ]
    agents: Annotated[dict[NameOrAll, AgentSection], Field(default_factory=dict, max_length=NAMES_MAX)]
    nodes: Annotated[dict[NameOrAll, NodeClearance], Field(default_factory=dict, max_length=NAMES_MAX)]

    def misfits(self) -> Iterator[Misfit]:
        named = [(("principals", name, "tenant"), one.tenant) for name, one in self.principals.items()]
        named += [(("contexts", name, "tenant"), one.tenant) for name, one in self.contexts.items()]
        named += [
            (("nodes", name, "tenants"), tenant)
            for name, node in self.nodes.items()
            for tenant in node.tenants or ()
        ]
        yield from (
            self._no_tenant(place, name) for place, name in named if name and name not in self.tenants
        )
        for name, principal in self.principals.items():
            yield from _misplaced(("principals", name, "may"), principal.may, OF_PEOPLE, "agents")
        for name, agent in self.agents.items():
            yield from _misplaced(("agents", name, "may"), agent.may, OF_AGENTS, "people")
            yield from self._bad_switches(("agents", name), agent)

    def _bad_switches(self, place: tuple[str, ...], agent: AgentSection) -> Iterator[Misfit]:
        if bool(agent.switches) != (Capability.CONTEXT_SWITCH in agent.may):
            message = "an agent with `switches` has CONTEXT_SWITCH, and the other way round"
            yield Misfit(place, message, "add the one, or remove the other")
        for at, switch in enumerate(agent.switches):
            for key, context in (("from", switch.source), ("to", switch.to)):
                if context not in self.contexts:
                    message = f"there is no context {context[:80]!r}"
                    yield Misfit((*place, "switches", at, key), message, "add it under `contexts`")

    def _no_tenant(self, place: tuple[str, ...], name: str) -> Misfit:
        known = ", ".join(sorted(self.tenants)[:12]) or "none"
        return Misfit(place, f"there is no tenant {name!r}", f"add it under `tenants`; there are: {known}")

    def policy_of(self) -> Policy:
        """What it says."""
        contexts = {name: section.context() for name, section in self.contexts.items()}
        return Policy(
            True,
            {name: Tenant(**section.model_dump()) for name, section in self.tenants.items()},
            {name: section.grant() for name, section in self.principals.items()},
            {
                name: AgentGrant(
                    frozenset(section.may),
                    tuple(Transition(contexts[one.source], contexts[one.to]) for one in section.switches),
                )
                for name, section in self.agents.items()
            },
            {name: section.clearance() for name, section in self.nodes.items()},
        )

    def document(self) -> str:
        """The file as the log keeps it: JSON that `read_policy` reads."""
        return self.model_dump_json(by_alias=True, exclude_defaults=True)


def read_policy(document: str) -> PolicyFile:
    """The reverse of `PolicyFile.document`. Raises `ConfigRefused` with every problem."""
    if len(document) > POLICY_BYTES_MAX:
        raise ConfigRefused(f"more than {POLICY_BYTES_MAX} bytes", place="policy", remedy="name fewer people")
    try:
        found = PolicyFile.model_validate_json(document)
    except ValidationError as error:
        problems = [
            Problem(one["type"], ".".join(map(str, one["loc"])), one["msg"])
            for one in error.errors(include_url=False, include_input=False)
        ]
    else:
        problems = [
            Problem("refused", ".".join(map(str, one.place)), one.message, one.remedy)
            for one in found.misfits()
        ]
        if not problems:
            return found
    raise ConfigRefused(
        "this is no policy", place="policy", remedy="`swarm policy check FILE` says more", problems=problems
    )


def _misplaced(
    place: tuple[str, ...], may: Capabilities, fitting: frozenset[Capability], other: str
) -> Iterator[Misfit]:
    for at, capability in enumerate(may):
        if capability not in fitting:
            remedy = "grant one of: " + ", ".join(sorted(fitting))
            yield Misfit((*place, at), f"{capability} is granted to {other}", remedy)


def _some(names: list[str] | None) -> frozenset[str] | None:
    return None if names is None else frozenset(names)
