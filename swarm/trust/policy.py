"""What the roles leave open: who may do what, in whose name, how much of it, and with which data.

A role, which is in the certificate, is the most somebody may do; a policy says what of it they do. It names
*tenants*, who neither see nor starve each other, the *principals* (people and programs) of each with their
capabilities and their clearance, what *agents* may do, and which contexts *nodes* are trusted with.

Where no policy was ever applied, everybody may what their role allows, and there is one nameless tenant. From
the first one on, who is not named in it may nothing, but for the operators: administrators whom it does not
name, lest a policy shut out everybody who could replace it, and the coordinators themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from swarm.graph.contexts import UNBOUNDED, Clearance, Transition
from swarm.trust.identity import Identity, Kind, Role

EVERYBODY_ELSE: Final = "*"


class Capability(StrEnum):
    """What may be granted: the first seven to people, the others to agents."""

    SUBMIT = "SUBMIT"
    CANCEL = "CANCEL"
    READ_RESULTS = "READ_RESULTS"
    READ_CLUSTER = "READ_CLUSTER"  # which agents and nodes there are
    DEPLOY = "DEPLOY"
    ADMIT = "ADMIT"  # join tokens and certificates
    ADMINISTER = "ADMINISTER"  # policies; and every tenant's runs and agents

    NEURAL_COMPUTE = "NEURAL_COMPUTE"  # run at all
    MEMORY_ACCESS = "MEMORY_ACCESS"  # keep something from one call to the next: what is not wasm may
    NETWORK = "NETWORK"
    CONTEXT_SWITCH = "CONTEXT_SWITCH"  # give data to a context that does not dominate its own


OF_AGENTS: Final = frozenset(
    {Capability.NEURAL_COMPUTE, Capability.MEMORY_ACCESS, Capability.NETWORK, Capability.CONTEXT_SWITCH}
)
OF_PEOPLE: Final = frozenset(Capability) - OF_AGENTS


@dataclass(frozen=True, slots=True)
class Tenant:
    """How much of the cluster somebody may have; None where only their share bounds them."""

    share: int = 1
    runs_active_max: int | None = None
    steps_in_flight_max: int | None = None
    bytes_max: int | None = None
    submissions_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """What one caller may do, for which tenant, with which data."""

    tenant: str
    may: frozenset[Capability]
    clearance: Clearance = UNBOUNDED

    def sees(self, tenant: str) -> bool:
        """Whether they are told of what belongs to a tenant."""
        return tenant == self.tenant or Capability.ADMINISTER in self.may

    def sees_agent(self, tenant: str) -> bool:
        """The same of an agent: one without a tenant is everybody's."""
        return not tenant or self.sees(tenant)


@dataclass(frozen=True, slots=True)
class Caller:
    """On whose behalf something is done, and what they may do."""

    name: str
    grant: Grant


@dataclass(frozen=True, slots=True)
class AgentGrant:
    """What an agent may do."""

    may: frozenset[Capability]
    switches: tuple[Transition, ...] = ()


OPERATOR: Final = Grant("", OF_PEOPLE)
_WORKER: Final = Grant("", frozenset({Capability.READ_CLUSTER}))
_NOBODY: Final = Grant("", frozenset())
_ANY_AGENT: Final = AgentGrant(OF_AGENTS)
_NO_AGENT: Final = AgentGrant(frozenset())


@dataclass(frozen=True, slots=True)
class Policy:
    """See the head of this module. `in_force` is False where none was applied yet."""

    in_force: bool = False
    tenants: Mapping[str, Tenant] = field(default_factory=dict)
    principals: Mapping[str, Grant] = field(default_factory=dict)
    agents: Mapping[str, AgentGrant] = field(default_factory=dict)
    nodes: Mapping[str, Clearance] = field(default_factory=dict)

    def grant(self, caller: Identity) -> Grant:
        """What this caller may do, as far as their role lets them."""
        if not self.in_force:
            return OPERATOR
        if caller.kind is Kind.NODE:
            return OPERATOR if caller.role is Role.COORDINATOR else _WORKER
        found = self.principals.get(caller.name)
        if found is not None:
            return found
        if caller.role is Role.ADMINISTRATOR:
            return OPERATOR
        return self.principals.get(EVERYBODY_ELSE, _NOBODY)

    def agent(self, name: str) -> AgentGrant:
        """What an agent of this name may do."""
        if not self.in_force:
            return _ANY_AGENT
        return self.agents.get(name) or self.agents.get(EVERYBODY_ELSE, _NO_AGENT)

    def node(self, name: str) -> Clearance:
        """The contexts this node is trusted with, as far as it accepts them itself."""
        return self.nodes.get(name) or self.nodes.get(EVERYBODY_ELSE, UNBOUNDED)

    def tenant(self, name: str) -> Tenant:
        return self.tenants.get(name, _USUAL)

    def part(self, name: str, whole: int) -> int:
        """A tenant's share of something there is `whole` of; all of it where nobody shares it."""
        if not self.tenants:
            return whole
        total = sum(tenant.share for tenant in self.tenants.values()) + ("" not in self.tenants)
        return max(1, whole * self.tenant(name).share // total)

    def missing(self, agent: str, needs: Iterable[str]) -> list[str]:
        """Capabilities an agent needs and may not use; any agent needs `NEURAL_COMPUTE`."""
        return sorted({Capability.NEURAL_COMPUTE.value, *needs} - self.agent(agent).may)


_USUAL: Final = Tenant()
OPEN: Final = Policy()
"""What holds where no policy was applied."""
