"""Compiled seccomp programs, one per profile and architecture, and the policy they come from.

`policy` is the source, commented data. `python -m sandbox.filters` compiles it with libseccomp and
writes the `.bpf` files beside this one; nothing but the kernel is needed to load them. A test compiles
again and compares.
"""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).parent


def program(name: str, machine: str) -> bytes:
    """The compiled program for a profile on a machine; `FileNotFoundError` where none is shipped."""
    return path(name, machine).read_bytes()


def path(name: str, machine: str) -> Path:
    """Where that program is kept."""
    return _HERE / f"{name}-{machine}.bpf"
