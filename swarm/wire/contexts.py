"""Contexts and clearances as protobuf and back."""

from __future__ import annotations

from swarm import limits
from swarm.errors import ProtocolBroken
from swarm.graph import PLAIN, UNBOUNDED, Clearance, Context, Transition
from swarm.wire.gen import common_pb2 as pb


def context_to_pb(context: Context) -> pb.Context:
    """The labels of a step's data."""
    return pb.Context(
        level=context.level,
        domain=context.domain,
        tenant=context.tenant,
        permissions=sorted(context.permissions),
    )


def context_from_pb(context: pb.Context) -> Context:
    """The reverse of `context_to_pb`."""
    found = Context(context.level, context.domain, context.tenant, frozenset(context.permissions))
    if found.level > limits.CONTEXT_LEVEL_MAX or len(found.permissions) > limits.CONTEXT_PERMISSIONS_MAX:
        raise ProtocolBroken(f"a context of level {found.level} with {len(found.permissions)} permissions")
    return PLAIN if found == PLAIN else found


def transition_to_pb(transition: Transition) -> pb.Transition:
    """A way out of a context."""
    return pb.Transition(source=context_to_pb(transition.source), target=context_to_pb(transition.target))


def transition_from_pb(transition: pb.Transition) -> Transition:
    """The reverse of `transition_to_pb`."""
    return Transition(context_from_pb(transition.source), context_from_pb(transition.target))


def clearance_to_pb(clearance: Clearance) -> pb.Clearance:
    """What a node accepts."""
    return pb.Clearance(
        level=clearance.level,
        any_domain=clearance.domains is None,
        domains=sorted(clearance.domains or ()),
        any_tenant=clearance.tenants is None,
        tenants=sorted(clearance.tenants or ()),
        any_permission=clearance.permissions is None,
        permissions=sorted(clearance.permissions or ()),
    )


def clearance_from_pb(clearance: pb.Clearance) -> Clearance:
    """The reverse of `clearance_to_pb`."""
    found = Clearance(
        min(clearance.level, limits.CONTEXT_LEVEL_MAX),
        None if clearance.any_domain else frozenset(clearance.domains),
        None if clearance.any_tenant else frozenset(clearance.tenants),
        None if clearance.any_permission else frozenset(clearance.permissions),
    )
    return UNBOUNDED if found == UNBOUNDED else found
