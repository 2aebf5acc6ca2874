"""The audit log on disk: written by the daemon, read and verified by anybody who has its files."""

from __future__ import annotations

from swarm.adapters.audit.files import read_public_key
from swarm.adapters.audit.reader import AuditReader, Verdict
from swarm.adapters.audit.writer import AuditLog, Bodies, Retention, rotate_key

__all__ = ["AuditLog", "AuditReader", "Bodies", "Retention", "Verdict", "read_public_key", "rotate_key"]
