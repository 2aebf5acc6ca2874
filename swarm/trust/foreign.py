"""Certificates of another authority: whose they are, by a list in the settings.

A certificate of the cluster's own authority says who it is of in its URI (`swarm.trust.identity`). One of a
company's authority, or of a SPIFFE server, has a URI of its own making; a list says what each stands for
here:

    - {uri: "spiffe://example.org/prod/n1", role: coordinator, name: n1}
    - {uri: "spiffe://example.org/prod/worker/*", role: worker}       # * is the name

Where there is a list, it alone counts: otherwise that authority could write our own kind of URI, with the
role of an administrator in it, and be believed. A name an exact entry gives is given by no pattern.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from swarm.errors import ConfigRefused, NotTrusted
from swarm.trust.identity import ROLES_OF_KIND, URI_CHARS_MAX, Identity, Kind, Role, is_name

_ANY = "/*"
_NODES = ROLES_OF_KIND[Kind.NODE] - ROLES_OF_KIND[Kind.CLIENT]


@dataclass(frozen=True, slots=True)
class IdentityRule:
    """What one URI, or with `/*` at its end every URI one segment longer, stands for."""

    uri: str
    role: Role
    name: str = ""

    def __post_init__(self) -> None:
        if not self.uri or len(self.uri) > URI_CHARS_MAX or "*" in self.uri.removesuffix(_ANY):
            raise ConfigRefused(
                f"{self.uri[:80]!r} fits no URI", place="identities", remedy="a URI, or one that ends in /*"
            )
        if self.uri.endswith(_ANY) == bool(self.name):
            raise ConfigRefused(
                f"{self.uri!r} gives {'two names' if self.name else 'no name'}",
                place="identities",
                remedy="write `name:` beside a whole URI, and none beside one that ends in /*",
            )

    def identity(self, cluster: str, uri: str) -> Identity | None:
        """Who the bearer of `uri` is by this rule."""
        name = self.name if uri == self.uri else ""
        if self.uri.endswith(_ANY) and uri.startswith(self.uri[:-1]):
            name = uri.removeprefix(self.uri[:-1])
        if not is_name(name):
            return None
        return Identity(cluster, Kind.NODE if self.role in _NODES else Kind.CLIENT, name, self.role)


class IdentityMap:
    """Reads the URI in a certificate: by a list where there is one, else as our own authority writes it."""

    def __init__(self, cluster: str = "", rules: Sequence[IdentityRule] = ()) -> None:
        self._cluster = cluster
        self._rules = tuple(rules)
        self._reserved = frozenset(rule.name for rule in rules if rule.name)

    @property
    def foreign(self) -> bool:
        """Whether another authority's certificates are in use, and renewed by whoever issues those."""
        return bool(self._rules)

    def identity(self, uri: str) -> Identity:
        """Raises `NotTrusted` where it stands for nobody."""
        if not self._rules:
            return Identity.parse(uri)
        for rule in self._rules:
            found = rule.identity(self._cluster, uri)
            if found is not None and (rule.name or found.name not in self._reserved):
                return found
        raise NotTrusted(
            f"{uri[:URI_CHARS_MAX]!r} stands for nobody here",
            place="certificate",
            remedy="list it under `tls: {identities:` in the settings of every node",
        )
