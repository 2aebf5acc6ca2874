"""Asking to join: recognise the cluster by the digest in the token first, only then show the secret.

Two connections. Over the first, which proves nothing, comes the authority's certificate; it counts only if
the token pins it. The second is held to a certificate of that authority and to a coordinator's identity in
it: a worker's certificate, which serves TLS too, is not enough to be shown the secret.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from swarm.adapters.join.frames import CALL_S, HANDSHAKE_S, read_message, write_message
from swarm.adapters.settings import host_of
from swarm.errors import NotTrusted, ProtocolBroken, Unreachable
from swarm.trust import Identity, Kind, Role
from swarm.trust.authors import Author
from swarm.trust.tokens import JoinToken
from swarm.wire.convert import error_from_pb
from swarm.wire.gen import join_pb2 as pb


@dataclass(frozen=True, slots=True)
class Membership:
    """What a newcomer has afterwards."""

    identity: Identity
    certificate: bytes
    key: bytes = field(repr=False)
    authority: bytes
    coordinators: Mapping[str, str]
    authors: tuple[Author, ...]


async def join(token: JoinToken, address: str, name: str, addresses: Sequence[str] = ()) -> Membership:
    """Become `name` by a token, at the join listener at `address`; `addresses` are for a node's certificate.

    Raises `NotTrusted` where the cluster there is not the token's, and what the cluster refuses with.
    """
    authority = await _pinned_authority(token, address)
    key = ec.generate_private_key(ec.SECP256R1())
    ask = pb.JoinAsk(
        token=token.id,
        secret=token.secret,
        name=name,
        addresses=addresses,
        signing_request=_signing_request(key, name),
    )
    reply = await _call(address, _verifying(authority), pb.JoinCall(join=ask), token)
    match reply.WhichOneof("reply"):
        case "joined":
            pass
        case "refused":
            raise error_from_pb(reply.refused)
        case _:
            raise ProtocolBroken("no answer to joining", place=address)
    identity = _issued(reply.joined, key, authority, name)
    return Membership(
        identity,
        reply.joined.certificate,
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
        authority.public_bytes(serialization.Encoding.PEM),
        dict(reply.joined.coordinators),
        tuple(Author(author.name, author.key, tuple(author.may)) for author in reply.joined.authors),
    )


async def _pinned_authority(token: JoinToken, address: str) -> x509.Certificate:
    unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unverified.minimum_version = ssl.TLSVersion.TLSv1_3
    unverified.check_hostname = False
    unverified.verify_mode = ssl.CERT_NONE  # what comes over it counts by its digest alone
    reply = await _call(address, unverified, pb.JoinCall(authority=pb.AuthorityAsk()), None)
    if not token.pins(reply.authority):
        raise NotTrusted(
            "the cluster there is not the one this token is for",
            place=address,
            remedy="check the address; if it is right, somebody is between you and the cluster",
        )
    return x509.load_der_x509_certificate(reply.authority)


def _verifying(authority: x509.Certificate) -> ssl.SSLContext:
    verified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    verified.minimum_version = ssl.TLSVersion.TLSv1_3
    verified.check_hostname = False  # the identity in the certificate is looked at instead
    verified.load_verify_locations(cadata=authority.public_bytes(serialization.Encoding.DER))
    return verified


async def _call(
    address: str, context: ssl.SSLContext, call: pb.JoinCall, token: JoinToken | None
) -> pb.JoinReply:
    """Ask once; with a token only a coordinator of its cluster is asked."""
    host, port = host_of(address), int(address.rpartition(":")[2])
    try:
        async with asyncio.timeout(2 * CALL_S):
            reader, writer = await asyncio.open_connection(
                host, port, ssl=context, ssl_handshake_timeout=HANDSHAKE_S
            )
            try:
                if token is not None:
                    _expect_coordinator(writer, token.cluster, address)
                await write_message(writer, call)
                return await read_message(reader, pb.JoinReply)
            finally:
                writer.transport.abort()
    except ssl.SSLError as error:
        raise NotTrusted(
            f"no TLS connection: {error.reason}", place=address, remedy="is this a join listener?"
        ) from error
    except OSError as error:  # a timeout is one, too
        raise Unreachable(
            f"nobody answers: {error.strerror or 'no answer in time'}",
            place=address,
            remedy="give the address after `join: {listen:` of a coordinator, or try again later",
        ) from error


def _expect_coordinator(writer: asyncio.StreamWriter, cluster: str, address: str) -> None:
    certificate = writer.get_extra_info("peercert") or {}
    uris = [value for kind, value in certificate.get("subjectAltName", ()) if kind == "URI"]
    identity = Identity.parse(uris[0]) if len(uris) == 1 else None
    wanted = (cluster, Kind.NODE, Role.COORDINATOR)
    if identity is None or (identity.cluster, identity.kind, identity.role) != wanted:
        raise NotTrusted(
            f"a coordinator of {cluster} is expected there, not {identity}",
            place=address,
            remedy="give the address of a coordinator's join listener",
        )


def _signing_request(key: ec.EllipticCurvePrivateKey, name: str) -> bytes:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.DER)


def _issued(
    joined: pb.Joined, key: ec.EllipticCurvePrivateKey, authority: x509.Certificate, name: str
) -> Identity:
    """The identity in the certificate, which has to be for our key and from the pinned authority."""
    try:
        certificate = x509.load_pem_x509_certificate(joined.certificate)
        certificate.verify_directly_issued_by(authority)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        (uri,) = names.get_values_for_type(x509.UniformResourceIdentifier)
    except Exception as error:
        raise ProtocolBroken(f"no usable certificate: {error}", place="join") from error
    identity = Identity.parse(uri)
    if certificate.public_key() != key.public_key() or identity.name != name:
        raise ProtocolBroken("a certificate for somebody else", place="join")
    return identity
