"""One NewType per identifier, so that the type checker knows a node from a run."""

from __future__ import annotations

from typing import NamedTuple, NewType

NodeId = NewType("NodeId", str)
"""A daemon: the name in its certificate, e.g. `n1`."""

RunId = NewType("RunId", str)
"""One submission of one graph, e.g. `run-01j9...`; sorts by time of submission."""

AgentName = NewType("AgentName", str)
"""The `name` in an agent file's header."""

CapabilityName = NewType("CapabilityName", str)
"""`group:element`, e.g. `vision:digit`."""

Digest = NewType("Digest", str)
"""sha256 in lower-case hexadecimal; the name of a graph, an agent file or a blob."""


class StepKey(NamedTuple):
    """One attempt at one step. `term` is that of the leader who ordered it."""

    run: RunId
    step: int
    term: int
    attempt: int
