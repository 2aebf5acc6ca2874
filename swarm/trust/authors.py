"""Whose agents may run here: authors by their public keys, and what each of them may sign.

A signature says that whoever holds a key made the file. A policy says whose keys count, and for what: an
author of vision agents whose key is stolen cannot offer anything for `llm:chat`. The leader asks when a file
is deployed, and every node asks again, by its own policy, before it hosts it. Two keys of one author, the old
and the new, are two entries: that is how keys are exchanged without a day on which nothing may run.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from swarm.errors import Problem

PATTERN = re.compile(r"[a-z0-9_*?-]+:[a-z0-9_*?-]+|\*", re.ASCII)
KEY = re.compile(r"[0-9a-f]{64}", re.ASCII)

_CODE = "agent_not_trusted"
_PLACE = "agent file: signature"


@dataclass(frozen=True, slots=True)
class Author:
    """Somebody whose signature counts, for capabilities that fit one of the patterns in `may`."""

    name: str
    key: str  # Ed25519, hexadecimal
    may: tuple[str, ...]

    def covers(self, capability: str) -> bool:
        return any(fnmatchcase(capability, pattern) for pattern in self.may)


@dataclass(frozen=True, slots=True)
class AgentPolicy:
    """Which agents may run. Without any entry none may."""

    authors: tuple[Author, ...] = ()
    anybody: bool = False  # development: unsigned files run too, and whoever signed the others

    def problems(self, signed_by: str | None, capabilities: Sequence[str]) -> list[Problem]:
        """Why an agent may not run; `signed_by` is the key of a signature that was verified."""
        if self.anybody:
            return []
        if signed_by is None:
            remedy = (
                "compile it with `af-compile`, then sign it with `af-sign` and the key of a trusted author"
            )
            return [Problem(_CODE, _PLACE, "nobody has signed this agent", remedy)]
        authors = [author for author in self.authors if author.key == signed_by]
        if not authors:
            remedy = "add its author to `trust: {authors:` in node.yaml, on every node that is to host it"
            return [Problem(_CODE, _PLACE, f"key {signed_by[:16]}... is no trusted author's", remedy)]
        names = ", ".join(author.name for author in authors)
        return [
            Problem(
                _CODE, capability, f"{names} may not sign for this", "extend `may` of the author in node.yaml"
            )
            for capability in capabilities
            if not any(author.covers(capability) for author in authors)
        ]
