"""Who somebody is, decided by a certificate and nothing else. Pure: no files, no sockets, no clock."""

from __future__ import annotations

from swarm.trust.identity import Identity, Kind, Role

__all__ = ["Identity", "Kind", "Role"]
