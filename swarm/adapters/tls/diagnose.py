"""Find out what is wrong with a certificate before a handshake does, and say it in words.

A failed TLS handshake reaches a gRPC caller as "Socket closed". So every process looks at its own files first
and names the file, the fault and the remedy; and what a handshake failure does reveal is put into words too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from swarm.adapters.tls.files import IdentityFiles
from swarm.errors import NotTrusted, Problem
from swarm.trust import Identity, Kind
from swarm.trust.foreign import IdentityMap

PEM_BYTES_MAX = 64 * 1024
CHAIN_MAX = 5  # certificates that lead up to an authority

_REISSUE = "issue a new certificate from the cluster's authority"
_SAME_AUTHORITY = "take certificate and authority from the same cluster"


@dataclass(frozen=True, slots=True)
class Proof:
    """An identity and the PEM bytes that were checked to prove it."""

    identity: Identity
    certificate: bytes
    key: bytes = field(repr=False)
    authority: bytes


def load_proof(
    files: IdentityFiles, now: datetime | None = None, *, names: IdentityMap | None = None
) -> Proof:
    """Check the three files against each other and the clock; `names` reads the identity.

    The certificate's file may go on with those that lead up to the authority, whose file may hold several.

    Raises `NotTrusted` with every problem found.
    """
    problems: list[Problem] = []
    certificate_pem = _read(files.certificate, problems)
    key_pem = _read(files.key, problems)
    authority_pem = _read(files.authority, problems)
    chain = _certificates(files.certificate, certificate_pem, problems)
    authorities = _certificates(files.authority, authority_pem, problems)
    identity = None
    if chain:
        certificate, moment = chain[0], now or datetime.now(UTC)
        identity = _identity(files.certificate, certificate, names or IdentityMap(), problems)
        _check_dates(files.certificate, certificate, moment, problems)
        _check_key(files.key, key_pem, certificate, problems)
        if authorities:
            root = _check_signature(files.certificate, chain, authorities, problems)
            _check_dates(files.authority, root, moment, problems)
        if identity is not None:
            _check_usage(files.certificate, certificate, identity, problems)
    if problems or not (identity and certificate_pem and key_pem and authority_pem):
        raise NotTrusted(
            "this process cannot prove who it is",
            place=str(files.certificate.parent),
            remedy=problems[0].remedy,
            problems=problems,
        )
    return Proof(identity, certificate_pem, key_pem, authority_pem)


def explain_failure(error: grpc.aio.AioRpcError, peer: str) -> NotTrusted | None:
    """What a failed call says about trust; None if it says nothing.

    A server that refuses our certificate closes the connection: under TLS 1.3 the client believes the
    handshake done by then and sees no reason, which is why `load_proof` runs first.
    """
    details = error.details() or ""
    if error.code() is not grpc.StatusCode.UNAVAILABLE:
        return None
    if "Hostname Verification Check failed" in details:
        return NotTrusted(
            "the other side proved another identity than the expected one",
            place=peer,
            remedy="check the address and the node id it is listed under",
        )
    if "certificate has expired" in details:
        return NotTrusted("the other side's certificate has expired", place=peer, remedy=_REISSUE)
    if "CERTIFICATE_VERIFY_FAILED" in details:
        return NotTrusted(
            "the other side's certificate is not signed by our authority", place=peer, remedy=_SAME_AUTHORITY
        )
    if "handshake failed" in details:
        return NotTrusted(
            f"no TLS connection: {details[-200:]}", place=peer, remedy="check what listens at that address"
        )
    return None


def _read(path: Path, problems: list[Problem]) -> bytes | None:
    try:
        with path.open("rb") as file:
            data = file.read(PEM_BYTES_MAX + 1)
    except OSError as error:
        problems.append(
            Problem("unreadable", str(path), error.strerror or "unreadable", "check the path and its owner")
        )
        return None
    if len(data) > PEM_BYTES_MAX:
        problems.append(Problem("too_large", str(path), "not a PEM file", f"at most {PEM_BYTES_MAX} bytes"))
        return None
    return data


def _certificates(path: Path, pem: bytes | None, problems: list[Problem]) -> list[x509.Certificate]:
    if pem is None:
        return []
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        problems.append(Problem("malformed", str(path), "not a PEM certificate", _REISSUE))
        return []


def _identity(
    path: Path, certificate: x509.Certificate, names: IdentityMap, problems: list[Problem]
) -> Identity | None:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = found.get_values_for_type(x509.UniformResourceIdentifier)
    except (x509.ExtensionNotFound, ValueError):
        uris = []
    if len(uris) != 1:
        problems.append(Problem("no_identity", str(path), f"{len(uris)} URI names, not one", _REISSUE))
        return None
    try:
        return names.identity(uris[0])
    except NotTrusted as error:
        problems.append(Problem("no_identity", str(path), error.message, error.remedy))
        return None


def _check_dates(path: Path, certificate: x509.Certificate, now: datetime, problems: list[Problem]) -> None:
    if now > certificate.not_valid_after_utc:
        text = f"expired on {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
        problems.append(Problem("expired", str(path), text, _REISSUE))
    elif now < certificate.not_valid_before_utc:
        text = f"not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
        problems.append(Problem("not_yet_valid", str(path), text, "set this machine's clock"))


def _check_key(path: Path, pem: bytes | None, certificate: x509.Certificate, problems: list[Problem]) -> None:
    if pem is None:
        return
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):
        problems.append(Problem("malformed", str(path), "not an unencrypted PEM private key", _REISSUE))
        return
    if key.public_key() != certificate.public_key():
        problems.append(
            Problem("wrong_key", str(path), "the key does not belong to the certificate", _REISSUE)
        )
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        problems.append(Problem("wrong_algorithm", str(path), "not an ECDSA key", _REISSUE))


def _check_signature(
    path: Path,
    chain: Sequence[x509.Certificate],
    authorities: Sequence[x509.Certificate],
    problems: list[Problem],
) -> x509.Certificate:
    """Follow the chain up to an authority we trust; returns that, or the likeliest one."""
    below = chain[0]
    for above in chain[1:CHAIN_MAX]:
        if _signed_by(below, above):
            below = above
    for authority in authorities:
        if _signed_by(below, authority):
            return authority
    problems.append(Problem("wrong_authority", str(path), "not signed by this authority", _SAME_AUTHORITY))
    return authorities[0]


def _signed_by(below: x509.Certificate, above: x509.Certificate) -> bool:
    try:
        below.verify_directly_issued_by(above)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def _check_usage(
    path: Path, certificate: x509.Certificate, identity: Identity, problems: list[Problem]
) -> None:
    needed = {ExtendedKeyUsageOID.CLIENT_AUTH}
    if identity.kind is Kind.NODE:
        needed.add(ExtendedKeyUsageOID.SERVER_AUTH)
    try:
        usages = set(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except x509.ExtensionNotFound:
        usages = set()
    if not needed <= usages:
        text = f"may not be used as a {identity.kind.value}'s certificate"
        problems.append(Problem("wrong_usage", str(path), text, _REISSUE))
