r"""What an agent in a cell sees of the network: the places it declared, and nothing else.

    from sandbox.egress import connection

    with connection("api.example.org:443") as stream:
        stream.sendall(b"GET / HTTP/1.1\r\n...")

The bytes are in the clear here; the daemon speaks TLS to the other side, and counts. A connection that has
ended may be asked for again; a few may be open at a time.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

from sandbox.errors import Refused

_asked: list[tuple[Callable[[str], int], int]] = []


def connection(place: str) -> socket.socket:
    """A stream to a declared place, `host:port`; raises `ConnectionRefusedError` where there is none.

    To be asked in the thread of a call: the daemon answers on the channel the call came by.
    """
    ask, thread = _asked[-1] if _asked else (None, 0)
    if ask is None or thread != threading.get_ident():
        message = "connections are asked for in the thread of the call"
        raise ConnectionRefusedError(message)
    try:
        return socket.socket(fileno=ask(place))
    except Refused as error:
        raise ConnectionRefusedError(str(error)) from error


def serve(ask: Callable[[str], int]) -> None:
    """Have this thread's calls ask so."""
    _asked[:] = [(ask, threading.get_ident())]
