"""The cluster's certificate authority: one key that says who belongs.

It issues ECDSA P-256 certificates (the gRPC library refuses Ed25519 ones, and TLS 1.3 alone depends on their
not being RSA, see `tls13`). Its own certificate has path length 0, so no certificate it issues can issue
another. A leaf carries the identity as its only URI name, a node also its id and hosts as names a caller may
expect, and may act as server and client; a client's certificate may only act as client.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from swarm.adapters.tls.files import (
    AUTHORITY_FILE,
    PUBLIC_MODE,
    SECRET_MODE,
    IdentityFiles,
    make_private_directory,
    write_whole,
)
from swarm.errors import ConfigRefused, Conflict, NotTrusted
from swarm.ids import NodeId
from swarm.trust import Identity, Kind, Role
from swarm.trust.identity import client_identity, is_name, node_identity

AUTHORITY_KEY_FILE = "authority-key.pem"
AUTHORITY_LIFETIME = timedelta(days=3650)
LEAF_LIFETIME = timedelta(days=30)
BACKDATED = timedelta(
    minutes=5
)  # two machines' clocks differ; a certificate is valid a little before it is made
HOSTS_MAX = 32

assert LEAF_LIFETIME < AUTHORITY_LIFETIME


@dataclass(frozen=True, slots=True)
class Validity:
    """From when to when a certificate holds."""

    start: datetime
    end: datetime

    @classmethod
    def from_now(cls, lifetime: timedelta = LEAF_LIFETIME) -> Validity:
        now = datetime.now(UTC)
        return cls(now - min(BACKDATED, lifetime / 100), now + lifetime)


class Authority:
    """Makes and signs certificates for one cluster."""

    def __init__(self, cluster: str, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
        self.cluster = cluster
        self.lifetime = LEAF_LIFETIME  # of what it issues
        self._key = key
        self._certificate = certificate

    @property
    def certificate_der(self) -> bytes:
        return self._certificate.public_bytes(serialization.Encoding.DER)

    @property
    def certificate_pem(self) -> bytes:
        """What everybody in the cluster needs to check the others."""
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    @classmethod
    def create(cls, directory: Path, cluster: str, passphrase: bytes | None = None) -> Authority:
        """Make a new authority for `cluster` and keep it in `directory`, its key encrypted if it can be."""
        if not is_name(cluster):
            raise ConfigRefused(
                f"{cluster!r} cannot name a cluster",
                place="cluster",
                remedy="use lower-case letters, digits, '-' and '.'",
            )
        if (directory / AUTHORITY_KEY_FILE).exists():
            raise Conflict(
                "there is an authority already",
                place=str(directory),
                remedy="load it, or choose an empty directory",
            )
        key = ec.generate_private_key(ec.SECP256R1())
        authority = cls(cluster, key, _self_signed(cluster, key))
        make_private_directory(directory)
        write_whole(directory / AUTHORITY_KEY_FILE, _key_pem(key, passphrase), SECRET_MODE)
        write_whole(directory / AUTHORITY_FILE, authority.certificate_pem, PUBLIC_MODE)
        return authority

    @staticmethod
    def is_encrypted(directory: Path) -> bool:
        """Whether the key there has a passphrase; a key that is not there has none."""
        try:
            with (directory / AUTHORITY_KEY_FILE).open("rb") as file:
                return b"ENCRYPTED" in file.readline(100)
        except OSError:
            return False

    @classmethod
    def load(cls, directory: Path, passphrase: bytes | None = None) -> Authority:
        """Read the authority that `create` left in `directory`."""
        key_path, certificate_path = directory / AUTHORITY_KEY_FILE, directory / AUTHORITY_FILE
        try:
            key = serialization.load_pem_private_key(key_path.read_bytes(), passphrase)
            certificate = x509.load_pem_x509_certificate(certificate_path.read_bytes())
            names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            (uri,) = names.get_values_for_type(x509.UniformResourceIdentifier)
        except (OSError, ValueError, TypeError, x509.ExtensionNotFound) as error:
            raise ConfigRefused(
                f"no usable authority: {error}",
                place=str(directory),
                remedy="create one, restore its files from a copy, or give the passphrase of its key",
            ) from error
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
            raise ConfigRefused(
                "the authority's key and certificate do not belong together",
                place=str(directory),
                remedy="restore both files from the same copy",
            )
        return cls(uri.removeprefix("spiffe://"), key, certificate)

    def issue_node(
        self,
        node_id: NodeId,
        hosts: Sequence[str],
        into: Path,
        *,
        role: Role = Role.COORDINATOR,
        validity: Validity | None = None,
    ) -> IdentityFiles:
        """Issue a node's certificate; `hosts` are the names and addresses others reach it by."""
        if len(hosts) > HOSTS_MAX:
            raise ConfigRefused(f"{len(hosts)} hosts", place=node_id, remedy=f"at most {HOSTS_MAX}")
        identity = node_identity(self.cluster, node_id, role)
        usages = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
        names: list[x509.GeneralName] = [x509.DNSName(node_id)]
        names += [_host_name(host) for host in dict.fromkeys(hosts) if host != node_id]
        return self._issue(identity, names, usages, into, validity)

    def issue_client(
        self,
        name: str,
        role: Role,
        into: Path,
        *,
        validity: Validity | None = None,
    ) -> IdentityFiles:
        """Issue the certificate of a person or program that only ever calls."""
        identity = client_identity(self.cluster, name, role)
        return self._issue(identity, (), (ExtendedKeyUsageOID.CLIENT_AUTH,), into, validity)

    def _issue(
        self,
        identity: Identity,
        names: Sequence[x509.GeneralName],
        usages: Sequence[x509.ObjectIdentifier],
        into: Path,
        validity: Validity | None,
    ) -> IdentityFiles:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._certify(key.public_key(), identity, names, usages, validity)
        make_private_directory(into)
        files = IdentityFiles.within(into)
        write_whole(files.key, _key_pem(key), SECRET_MODE)
        write_whole(files.certificate, certificate, PUBLIC_MODE)
        write_whole(files.authority, self.certificate_pem, PUBLIC_MODE)
        return files

    def certify(
        self, public_key: ec.EllipticCurvePublicKey, identity: Identity, addresses: Sequence[str] = ()
    ) -> bytes:
        """A certificate, in PEM, for somebody who made their own key and proved to have it.

        `addresses` are IP addresses: a host name somebody asks for could be another node's.
        """
        if len(addresses) > HOSTS_MAX:
            raise ConfigRefused(
                f"{len(addresses)} addresses", place="addresses", remedy=f"at most {HOSTS_MAX}"
            )
        usages, names = [ExtendedKeyUsageOID.CLIENT_AUTH], list[x509.GeneralName]()
        if identity.kind is Kind.NODE:
            usages.append(ExtendedKeyUsageOID.SERVER_AUTH)
            names.append(x509.DNSName(identity.name))
            names += [_address_name(address) for address in dict.fromkeys(addresses)]
        return self._certify(public_key, identity, names, usages, None)

    def renew(self, public_key: ec.EllipticCurvePublicKey, held: x509.Certificate) -> bytes:
        """Another certificate, in PEM, that says of another key what `held`, one of ours, says."""
        try:
            held.verify_directly_issued_by(self._certificate)
            names = held.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            (uri,) = names.get_values_for_type(x509.UniformResourceIdentifier)
            usages = held.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
            raise NotTrusted(
                "this authority did not sign the certificate that is to be renewed",
                place="certificate",
                remedy="ask the authority that did",
            ) from None
        others = [name for name in names if not isinstance(name, x509.UniformResourceIdentifier)]
        return self._certify(public_key, Identity.parse(uri), others, tuple(usages), None)

    def _certify(
        self,
        public_key: ec.EllipticCurvePublicKey,
        identity: Identity,
        names: Sequence[x509.GeneralName],
        usages: Sequence[x509.ObjectIdentifier],
        validity: Validity | None,
    ) -> bytes:
        held = validity or Validity.from_now(self.lifetime)
        authority_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        uri = x509.UniformResourceIdentifier(identity.uri)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(_common_name(identity.name))
            .issuer_name(self._certificate.subject)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(held.start)
            .not_valid_after(held.end)
            .add_extension(x509.SubjectAlternativeName([uri, *names]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(authority_id, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return certificate.public_bytes(serialization.Encoding.PEM)


def _self_signed(cluster: str, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    held = Validity.from_now(AUTHORITY_LIFETIME)
    name = _common_name(f"{cluster} authority")
    uri = x509.UniformResourceIdentifier(f"spiffe://{cluster}")
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(held.start)
        .not_valid_after(held.end)
        .add_extension(x509.SubjectAlternativeName([uri]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _common_name(text: str) -> x509.Name:
    # X.520 allows 64 characters; the identity itself is in the URI, this one is for people.
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def _host_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    if not is_name(host):
        raise ConfigRefused(
            f"{host!r} is neither an address nor a host name",
            place="hosts",
            remedy="use an IPv4 or IPv6 address, or a lower-case DNS name",
        )
    return x509.DNSName(host)


def _address_name(address: str) -> x509.IPAddress:
    try:
        return x509.IPAddress(ipaddress.ip_address(address))
    except ValueError:
        raise ConfigRefused(
            f"{address[:64]!r} is no IP address", place="addresses", remedy="give IP addresses alone"
        ) from None


def _key_pem(key: ec.EllipticCurvePrivateKey, passphrase: bytes | None = None) -> bytes:
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase is not None:
        encryption = serialization.BestAvailableEncryption(passphrase)
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
