"""The name inside a certificate: one URI, read strictly, written in one way only.

    spiffe://<cluster>/node/<id>              a node that may vote, host work and forward requests
    spiffe://<cluster>/node/<role>/<id>       a node held to less: `worker` or `observer`
    spiffe://<cluster>/client/<role>/<name>   a person or program: `client`, `administrator`, `observer`

The role is part of the URI, hence signed by the cluster's authority: nobody can claim one. `Identity.parse`
accepts exactly the strings that `Identity.uri` writes (no upper case, no percent escapes, no query, no empty
segment, no `node/coordinator/...`), so that two different strings are never the same identity.

Cluster, node and client names are lower-case DNS names, because a node's id is also the name a caller
expects in the TLS handshake.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from swarm.errors import NotTrusted

NAME_CHARS_MAX = 63
URI_CHARS_MAX = 256

_SCHEME = "spiffe://"
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*", re.ASCII)


class Kind(StrEnum):
    """What stands behind a certificate."""

    NODE = "node"
    CLIENT = "client"


class Role(StrEnum):
    """What a certificate entitles to."""

    COORDINATOR = "coordinator"
    WORKER = "worker"
    OBSERVER = "observer"
    ADMINISTRATOR = "administrator"
    CLIENT = "client"


ROLES_OF_KIND = {
    Kind.NODE: frozenset({Role.COORDINATOR, Role.WORKER, Role.OBSERVER}),
    Kind.CLIENT: frozenset({Role.CLIENT, Role.ADMINISTRATOR, Role.OBSERVER}),
}

# A shortest URI + three segments of the longest names has to fit.
assert len(_SCHEME) + 2 * NAME_CHARS_MAX + len("/client/administrator/") <= URI_CHARS_MAX


def is_name(text: str) -> bool:
    """Whether `text` can name a cluster, a node or a client."""
    return len(text) <= NAME_CHARS_MAX and _NAME.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a certificate speaks for."""

    cluster: str
    kind: Kind
    name: str
    role: Role

    def __post_init__(self) -> None:
        for what, name in (("cluster", self.cluster), (self.kind.value, self.name)):
            if not is_name(name):
                raise NotTrusted(
                    f"{name[:NAME_CHARS_MAX]!r} cannot name a {what}",
                    place="identity",
                    remedy=f"a lower-case DNS name of at most {NAME_CHARS_MAX} characters",
                )
        if self.role not in ROLES_OF_KIND[self.kind]:
            raise NotTrusted(
                f"a {self.kind.value} cannot have the role {self.role.value}",
                place="identity",
                remedy="one of: " + ", ".join(sorted(ROLES_OF_KIND[self.kind])),
            )

    @property
    def uri(self) -> str:
        """The one spelling of this identity."""
        if self.kind is Kind.NODE and self.role is Role.COORDINATOR:
            return f"{_SCHEME}{self.cluster}/node/{self.name}"
        return f"{_SCHEME}{self.cluster}/{self.kind.value}/{self.role.value}/{self.name}"

    @classmethod
    def parse(cls, uri: str) -> Identity:
        """Read a URI; whatever `uri` would not have written is refused."""
        if len(uri) > URI_CHARS_MAX or not uri.startswith(_SCHEME):
            raise _not_ours(uri)
        match uri.removeprefix(_SCHEME).split("/"):
            case [cluster, "node", name]:
                return cls(cluster, Kind.NODE, name, Role.COORDINATOR)
            case [cluster, ("node" | "client") as kind, role, name] if (kind, role) != (
                "node",
                "coordinator",
            ):
                if role not in ROLES_OF_KIND[Kind(kind)]:
                    raise _not_ours(uri)
                return cls(cluster, Kind(kind), name, Role(role))
            case _:
                raise _not_ours(uri)

    def __str__(self) -> str:
        return self.uri


def node_identity(cluster: str, node_id: str, role: Role = Role.COORDINATOR) -> Identity:
    """The identity of a node."""
    return Identity(cluster, Kind.NODE, node_id, role)


def client_identity(cluster: str, name: str, role: Role = Role.CLIENT) -> Identity:
    """The identity of a person or program."""
    return Identity(cluster, Kind.CLIENT, name, role)


def _not_ours(uri: str) -> NotTrusted:
    return NotTrusted(
        f"{uri[:URI_CHARS_MAX]!r} names no identity of a swarm",
        place="certificate",
        remedy="use a certificate issued by the cluster's authority",
    )
