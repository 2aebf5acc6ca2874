"""Where data may flow: contexts, what is above what, and who is cleared for which of them.

A context says four things of the data in it: a level of secrecy, the domain and the tenant it belongs to, and
the permissions whoever handles it must hold. Data flows from one context to another only if the other one
*dominates* it: is at least as secret, of the same domain and tenant (what belongs to none may go to any), and
asks for at least the same permissions. That is a partial order; `join` is the least context above two others,
where there is one: nothing is above two tenants.

A *clearance* is what a node or a person is trusted with: the contexts it covers. Whoever is cleared for a
context is cleared for everything that flows to it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from swarm import limits


@dataclass(frozen=True, slots=True)
class Context:
    """Of a step and of the data it gives; see the head of this module."""

    level: int = 0
    domain: str = ""
    tenant: str = ""
    permissions: frozenset[str] = frozenset()

    def __str__(self) -> str:
        words = [f"level {self.level}"]
        words += [
            f"{what} {name}" for what, name in (("domain", self.domain), ("tenant", self.tenant)) if name
        ]
        words += [f"permission {name}" for name in sorted(self.permissions)]
        return ", ".join(words)


PLAIN = Context()
"""Below every other context: what it holds may go anywhere."""


def dominates(above: Context, below: Context) -> bool:
    """Whether data in `below` may flow to `above`."""
    return (
        above.level >= below.level
        and below.domain in ("", above.domain)
        and below.tenant in ("", above.tenant)
        and below.permissions <= above.permissions
    )


def join(one: Context, other: Context) -> Context | None:
    """The least context that dominates both; None where none does: two domains, or two tenants."""
    if (one.domain and other.domain and one.domain != other.domain) or (
        one.tenant and other.tenant and one.tenant != other.tenant
    ):
        return None
    return Context(
        max(one.level, other.level),
        one.domain or other.domain,
        one.tenant or other.tenant,
        one.permissions | other.permissions,
    )


def meet(one: Context, other: Context) -> Context:
    """The greatest context that both dominate."""
    return Context(
        min(one.level, other.level),
        one.domain if one.domain == other.domain else "",
        one.tenant if one.tenant == other.tenant else "",
        one.permissions & other.permissions,
    )


class Transition(NamedTuple):
    """A way out of the order: what is in `source` or below may be given to `target` or above.

    One that names no tenant never leads from one tenant to another.
    """

    source: Context
    target: Context

    def allows(self, source: Context, target: Context) -> bool:
        if not (self.source.tenant or self.target.tenant):
            if source.tenant not in ("", target.tenant):
                return False
            source, target = replace(source, tenant=""), replace(target, tenant="")
        return dominates(self.source, source) and dominates(target, self.target)


@dataclass(frozen=True, slots=True)
class Clearance:
    """The contexts somebody is trusted with; None means all there are."""

    level: int = limits.CONTEXT_LEVEL_MAX
    domains: frozenset[str] | None = None
    tenants: frozenset[str] | None = None
    permissions: frozenset[str] | None = None

    def covers(self, context: Context) -> bool:
        return (
            context.level <= self.level
            and (self.domains is None or not context.domain or context.domain in self.domains)
            and (self.tenants is None or not context.tenant or context.tenant in self.tenants)
            and (self.permissions is None or context.permissions <= self.permissions)
        )

    def narrowed(self, other: Clearance) -> Clearance:
        """What is left of it where both have to agree."""
        return Clearance(
            min(self.level, other.level),
            _common(self.domains, other.domains),
            _common(self.tenants, other.tenants),
            _common(self.permissions, other.permissions),
        )


def _common(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    return other if one is None else one if other is None else one & other


UNBOUNDED = Clearance()
