"""Who calls, and for whom: from the certificate, and from what a node says when it passes a call on."""

from __future__ import annotations

from typing import Any

from swarm.adapters.tls import peer_identity
from swarm.errors import NotAllowed
from swarm.trust.identity import Kind


def from_node(context: Any) -> bool:
    """Whether another node asks: then the question was passed on already."""
    return peer_identity(context).kind is Kind.NODE


def principal(context: Any, on_behalf_of: str) -> str:
    """On whose behalf a call is made. Only a node may speak for somebody else."""
    caller = peer_identity(context)
    if on_behalf_of and caller.kind is not Kind.NODE:
        raise NotAllowed("only a node may pass a request on", place="on_behalf_of")
    return on_behalf_of or caller.name
