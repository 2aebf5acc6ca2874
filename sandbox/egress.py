r"""What an agent in a cell sees of the network: the connections it declared, and nothing else.

    from sandbox.egress import connection

    with connection("api.example.org:443") as stream:
        stream.sendall(b"GET / HTTP/1.1\r\n...")

The bytes are in the clear here; the daemon speaks TLS to the other side.
"""

from __future__ import annotations

import socket

_descriptors: dict[str, list[int]] = {}


def connection(destination: str) -> socket.socket:
    """The stream to a declared destination; each declared one can be taken once."""
    waiting = _descriptors.get(destination)
    if not waiting:
        raise ConnectionRefusedError(f"{destination} was not declared, or has been taken already")
    return socket.socket(fileno=waiting.pop(0))


def register(destination: str, descriptor: int) -> None:
    """Keep a connection the daemon handed in."""
    _descriptors.setdefault(destination, []).append(descriptor)
