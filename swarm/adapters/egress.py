"""What agents may reach from this node: the operator's list; each connection is a line in the audit log."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from pathlib import Path

import sandbox
from sandbox.broker import OPENING, Connection
from swarm import limits
from swarm.adapters.audit import AuditLog
from swarm.errors import ConfigRefused
from swarm.ports import Clock
from swarm.trust.audit import Event


def make_broker(
    allow: Iterable[str],
    allow_private: Iterable[str],
    audit: AuditLog,
    clock: Clock,
    *,
    roots: Path | None = None,
    connection_mb_max: int,
    mbps_max: int,
) -> sandbox.Broker:
    """A broker for these places. `roots` takes the place of the certificates this machine trusts."""
    destinations = [_destination(place, private=False) for place in allow]
    destinations += [_destination(place, private=True) for place in allow_private]
    try:
        context = ssl.create_default_context(cafile=roots)
    except (OSError, ssl.SSLError) as error:
        raise ConfigRefused(
            f"no certificates can be read there: {error}",
            place=f"egress.roots: {roots}",
            remedy="name a file of PEM certificates, or leave it out to trust what this machine trusts",
        ) from error

    def record(connection: Connection) -> None:
        if connection.outcome == OPENING:
            audit.ready()  # what could not be recorded to its end is not begun
        audit.record(_event(connection, clock.wall_ms()))

    return sandbox.Broker(
        destinations,
        record,
        context=context,
        bytes_max=connection_mb_max * limits.MIB,
        mbps_max=mbps_max,
    )


def _destination(place: str, *, private: bool) -> sandbox.Destination:
    host, _, port = place.lower().rpartition(":")
    return sandbox.Destination(host.strip("[]"), int(port), private=private)


def _event(connection: Connection, at_ms: int) -> Event:
    opening = connection.outcome == OPENING
    context = {"address": connection.address}
    if not opening:
        context |= {"bytes_out": str(connection.bytes_out), "bytes_in": str(connection.bytes_in)}
    return Event(
        at_ms,
        f"agent {connection.agent}",
        "egress.opening" if opening else "egress.ended",
        connection.destination,
        result="ok" if opening else connection.outcome,
        context=context,
    )
