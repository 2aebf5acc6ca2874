"""How a machine or person without a certificate gets one, by a token."""

from __future__ import annotations

from swarm.adapters.join.client import Membership, join
from swarm.adapters.join.server import Founded, JoinServer

__all__ = ["Founded", "JoinServer", "Membership", "join"]
