"""Who calls, for whom, and may they: the certificate, what a node says when it passes a call on, the policy.

A call that a node passes on carries the identity of whoever made it. The node that was asked has let them in;
whoever decides asks the policy again, so that a node which has not heard of a new policy yet lets nobody in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from swarm.adapters.tls import peer_identity
from swarm.errors import NotAllowed
from swarm.trust.identity import Identity, Kind, Role
from swarm.trust.permissions import NEEDS, allowed
from swarm.trust.policy import OPEN, Caller, Policy


def from_node(context: Any) -> bool:
    """Whether another node asks: then the question was passed on already."""
    return peer_identity(context).kind is Kind.NODE


def behalf(context: Any, on_behalf_of: str) -> str:
    """What to say of the caller when the call is passed on. Only a node may speak for somebody else."""
    caller = peer_identity(context)
    if on_behalf_of and caller.kind is not Kind.NODE:
        raise NotAllowed("only a node may pass a request on", place="on_behalf_of")
    return on_behalf_of or caller.uri


class Access:
    """The one place that says who may do what. `policy` gives the one that holds at this moment.

    A node without a log knows of none: it asks for roles alone, and the coordinators it asks do the rest.
    """

    def __init__(self, cluster: str, policy: Callable[[], Policy] = lambda: OPEN) -> None:
        self.policy = policy
        self._cluster = cluster

    def caller(self, context: Any, on_behalf_of: str, method: str) -> Caller:
        """On whose behalf this method is called. Raises `NotAllowed` where they may not."""
        asks = peer_identity(context)
        if on_behalf_of in ("", asks.uri):
            return Caller(asks.name, self.policy().grant(asks))
        found = Identity.parse(behalf(context, on_behalf_of))
        policy = self.policy()
        if policy.in_force and asks.role is not Role.COORDINATOR:
            raise NotAllowed(
                f"since there is a policy, {asks.role.value} {asks.name} is not believed for whom it asks",
                place=method,
                remedy="ask a coordinator",
            )
        self.check(found, method)
        return Caller(found.name, policy.grant(found))

    def allows(self, context: Any, on_behalf_of: str, method: str) -> bool:
        """Whether whoever it is asked for may call this method too."""
        asks = peer_identity(context)
        try:
            itself = on_behalf_of in ("", asks.uri)
            self.check(asks if itself else Identity.parse(behalf(context, on_behalf_of)), method)
        except NotAllowed:
            return False
        return True

    def check(self, caller: Identity, method: str) -> None:
        """Raises `NotAllowed` unless this caller may call this method."""
        if caller.cluster != self._cluster:
            raise NotAllowed(
                f"{caller} belongs to another cluster",
                place=method,
                remedy=f"this is cluster {self._cluster}",
            )
        if not allowed(method, caller.role):
            raise NotAllowed(
                f"{caller.kind.value} {caller.name} is a {caller.role.value}, and that does not cover this",
                place=method,
                remedy="use a certificate with a role that does",
            )
        need = NEEDS.get(method)
        if need is None or caller.kind is not Kind.CLIENT:
            return
        policy = self.policy()
        if policy.in_force and need not in policy.grant(caller).may:
            raise NotAllowed(
                f"the policy does not grant {caller.name} {need}",
                place=method,
                remedy="ask an operator to add it under `principals` and to apply the policy",
            )
