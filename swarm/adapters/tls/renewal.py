"""Getting another certificate for the same identity, with a key of its own, and putting it in place.

What is under way lies in a folder `renewal/` beside the certificate:

    key.pem           the next key: made here, never leaves this machine
    request.pem       the question: sign this
    certificate.pem   the answer; from here on there is no way back but forward

Key and certificate are two files, and no two files are exchanged at once. So both are whole in `renewal/`
before the first of them is put in place, and whoever finds both there at its start finishes what was begun.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from swarm.adapters.tls.diagnose import Proof, load_proof
from swarm.adapters.tls.files import (
    CERTIFICATE_FILE,
    KEY_FILE,
    PUBLIC_MODE,
    SECRET_MODE,
    IdentityFiles,
    make_private_directory,
    write_whole,
)
from swarm.errors import NotTrusted
from swarm.trust.foreign import IdentityMap

RENEWAL_DIRECTORY: Final = "renewal"
REQUEST_FILE: Final = "request.pem"
RENEWED_AT: Final = 2 / 3  # of a certificate's life


def due_at(certificate_pem: bytes) -> datetime:
    """When another certificate is to be asked for."""
    held = x509.load_pem_x509_certificate(certificate_pem)
    return held.not_valid_before_utc + (held.not_valid_after_utc - held.not_valid_before_utc) * RENEWED_AT


def signing_request(
    key: ec.EllipticCurvePrivateKey, names: x509.SubjectAlternativeName, common: str
) -> bytes:
    """A request to sign `key`, in PEM, that shows its reader for whom."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common[:64])])
    request = (
        x509.CertificateSigningRequestBuilder().subject_name(subject).add_extension(names, critical=False)
    )
    return request.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def proven_key(request: x509.CertificateSigningRequest) -> ec.EllipticCurvePublicKey:
    """The key of a signing request whose sender has the private half. Raises `NotTrusted`."""
    try:
        key, proven = request.public_key(), request.is_signature_valid
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        key, proven = None, False
    if not (proven and isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)):
        raise NotTrusted(
            "a signing request needs an ECDSA P-256 key and its signature",
            place="signing request",
            remedy="use `swarm join` or `swarm certs renew`",
        )
    return key


@dataclass(frozen=True, slots=True)
class Renewal:
    """The renewal of one identity; see the head of this module."""

    files: IdentityFiles

    @property
    def directory(self) -> Path:
        return self.files.certificate.parent / RENEWAL_DIRECTORY

    @property
    def request_path(self) -> Path:
        return self.directory / REQUEST_FILE

    def request(self) -> bytes:
        """The question, in PEM; the one that was asked before if there is no answer yet."""
        if not (self.request_path.exists() and (self.directory / KEY_FILE).exists()):
            held = x509.load_pem_x509_certificate(self.files.certificate.read_bytes())
            names = held.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            key = ec.generate_private_key(ec.SECP256R1())
            pem = key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            common = held.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
            make_private_directory(self.directory)
            write_whole(self.directory / KEY_FILE, pem, SECRET_MODE)
            asked = signing_request(key, names, str(common[0].value) if common else "")
            write_whole(self.request_path, asked, PUBLIC_MODE)
        return self.request_path.read_bytes()

    def answer(self, certificate: bytes) -> None:
        """The certificate that was signed for it; `finish` puts it in place."""
        write_whole(self.directory / CERTIFICATE_FILE, certificate, PUBLIC_MODE)

    def finish(self, names: IdentityMap | None = None) -> bool:
        """Put an answer in place, if there is one; whether there was.

        Raises `NotTrusted` where the answer is not for this identity and key: it is put aside then.
        """
        next_files = IdentityFiles(
            self.directory / CERTIFICATE_FILE, self.directory / KEY_FILE, self.files.authority
        )
        if not (next_files.certificate.exists() and next_files.key.exists()):
            return False
        try:
            proof = load_proof(next_files, names=names)
            self._check_same(proof)
        except NotTrusted:
            next_files.certificate.replace(next_files.certificate.with_suffix(".refused"))
            raise
        write_whole(self.files.key, proof.key, SECRET_MODE)
        write_whole(self.files.certificate, proof.certificate, PUBLIC_MODE)
        shutil.rmtree(self.directory)
        return True

    def _check_same(self, proof: Proof) -> None:
        held = x509.load_pem_x509_certificate(self.files.certificate.read_bytes())
        if _uris(held) != _uris(x509.load_pem_x509_certificate(proof.certificate)):
            raise NotTrusted(
                f"the certificate is of {proof.identity}",
                place=str(self.directory / CERTIFICATE_FILE),
                remedy="sign the request that lies beside it",
            )


def _uris(certificate: x509.Certificate) -> list[str]:
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return names.get_values_for_type(x509.UniformResourceIdentifier)
