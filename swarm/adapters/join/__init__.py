"""How a machine or person without a certificate gets one, by a token."""

from __future__ import annotations

from swarm.adapters.join.client import Membership, join
from swarm.adapters.join.server import Founded, JoinServer
from swarm.adapters.join.signer import Signer

__all__ = ["Founded", "JoinServer", "Membership", "Signer", "join"]
