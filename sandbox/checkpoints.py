"""The state of a wasm agent as bytes: a head of 80 bytes, then the weights, then what learning keeps.

    offset  bytes
    0       4      "AFCK"
    4       2      version, 1 (all numbers little endian)
    6       2      zero
    8       4      bytes of weights
    12      4      bytes of learning state
    16      32     SHA-256 of the agent's module: a checkpoint belongs to one agent
    48      32     SHA-256 of everything behind the head

A digest is no signature: it finds what was cut or mixed up, not what somebody made on purpose.
"""

from __future__ import annotations

import hashlib
import struct
from typing import Final

from sandbox.errors import AgentFailed

VERSION: Final = 1
_MAGIC: Final = b"AFCK"
_HEAD: Final = struct.Struct("<4sHHII32s32s")
_REMEDY: Final = "restore a checkpoint of this very agent, unchanged"


def pack(code: bytes, weights: bytes, state: bytes) -> bytes:
    body = weights + state
    sizes = len(weights), len(state)
    return _HEAD.pack(_MAGIC, VERSION, 0, *sizes, _digest(code), _digest(body)) + body


def unpack(name: str, code: bytes, data: bytes, weights_bytes: int, state_bytes: int) -> memoryview:
    """Weights and learning state; raises `AgentFailed` unless they are this agent's, whole and unchanged."""
    if len(data) < _HEAD.size:
        raise _refused(name, f"a checkpoint has at least {_HEAD.size} bytes, got {len(data)}")
    magic, version, zero, weights, state, agent, body = _HEAD.unpack_from(data)
    if magic != _MAGIC:
        raise _refused(name, f"it does not begin with {_MAGIC!r}, so it is no checkpoint of a wasm agent")
    if version != VERSION or zero:
        raise _refused(name, f"its version is {version}, this host reads {VERSION}")
    if (weights, state) != (weights_bytes, state_bytes):
        own, given = f"{weights_bytes} + {state_bytes}", f"{weights} + {state}"
        raise _refused(name, f"this agent has {own} bytes of weights and learning state, it holds {given}")
    if agent != _digest(code):
        raise _refused(name, f"it is of another agent, {agent.hex()[:12]}")
    if len(data) != _HEAD.size + weights + state:
        raise _refused(name, f"it announces {_HEAD.size + weights + state} bytes and has {len(data)}")
    rest = memoryview(data)[_HEAD.size :]
    if body != _digest(rest):
        raise _refused(name, "its digest does not fit: it was changed")
    return rest


def content(data: bytes) -> bytes:
    """Weights and learning state of any agent's checkpoint, unchecked; bytes of another kind as they are."""
    return data[_HEAD.size :] if data.startswith(_MAGIC) else data


def _digest(data: bytes | memoryview) -> bytes:
    return hashlib.sha256(data).digest()


def _refused(name: str, reason: str) -> AgentFailed:
    return AgentFailed(f"the checkpoint is refused: {reason}", place=name, remedy=_REMEDY)
