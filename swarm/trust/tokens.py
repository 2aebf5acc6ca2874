"""A join token: what somebody is given who has nothing yet.

    swarm-join-<base64url of: version, id, secret, digest of the authority's certificate, name of the cluster>

The *digest* lets the holder recognise the cluster before saying anything to it; the *secret* lets the cluster
recognise the holder. The cluster keeps but the secret's hash.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, Self

from swarm.errors import NotTrusted
from swarm.trust.identity import NAME_CHARS_MAX, Kind, Role, is_name

ID_BYTES: Final = 8
SECRET_BYTES: Final = 32
DIGEST_BYTES: Final = 32
TOKEN_CHARS_MAX: Final = 256

_PREFIX: Final = "swarm-join-"
_VERSION: Final = b"\x01"
_FIXED: Final = 1 + ID_BYTES + SECRET_BYTES + DIGEST_BYTES
_BODY = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)

KIND_OF_ROLE: Final = {
    Role.WORKER: Kind.NODE,
    Role.CLIENT: Kind.CLIENT,
    Role.ADMINISTRATOR: Kind.CLIENT,
    Role.OBSERVER: Kind.CLIENT,
}
"""Roles a token can give. Who votes is settled when a cluster is founded: nobody joins to coordinate."""

assert len(_PREFIX) + (_FIXED + NAME_CHARS_MAX + 2) // 3 * 4 <= TOKEN_CHARS_MAX


@dataclass(frozen=True, slots=True)
class JoinToken:
    """What a token says."""

    id: str  # hexadecimal
    secret: bytes = field(repr=False)
    authority_sha256: bytes
    cluster: str

    @property
    def secret_sha256(self) -> str:
        """What the cluster knows of the secret."""
        return secret_hash(self.secret)

    def text(self) -> str:
        body = _VERSION + bytes.fromhex(self.id) + self.secret + self.authority_sha256 + self.cluster.encode()
        return _PREFIX + base64.urlsafe_b64encode(body).decode().rstrip("=")

    @classmethod
    def read(cls, text: str) -> Self:
        """The reverse of `text`. Raises `NotTrusted`, without repeating what may be a secret."""
        text = text.strip()
        body = text.removeprefix(_PREFIX)
        if len(text) > TOKEN_CHARS_MAX or body == text or not _BODY.fullmatch(body):
            raise _no_token()
        try:
            data = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
            cluster = data[_FIXED:].decode("ascii")
        except (binascii.Error, UnicodeDecodeError):
            raise _no_token() from None
        if data[:1] != _VERSION or not is_name(cluster):
            raise _no_token()
        ends = (1, 1 + ID_BYTES, 1 + ID_BYTES + SECRET_BYTES, _FIXED)
        token, secret, digest = (data[begin:end] for begin, end in pairwise(ends))
        return cls(token.hex(), secret, digest, cluster)

    def pins(self, certificate_der: bytes) -> bool:
        """Whether this is the certificate of the token's authority."""
        return hashlib.sha256(certificate_der).digest() == self.authority_sha256


def secret_hash(secret: bytes) -> str:
    return hashlib.sha256(b"swarm join secret 1\n" + secret).hexdigest()


def _no_token() -> NotTrusted:
    return NotTrusted(
        "this is no join token",
        place="token",
        remedy="copy the whole line that `swarm token create` printed, or ask for another",
    )
