"""How a signature lies in a header, and what it covers.

    version: '1.0'
    name: digits
    ...
    sections: [...]                               every byte up to here is signed
    signature: {algorithm: ed25519, key: ..., created: ..., value: ...}

The signature is the header's last key. It covers the bytes of the header that stand before it, as they stand,
so nobody has to agree on a canonical form of YAML; and because those bytes hold the index with the digest of
every section, it covers the file. The signed message begins with a line of its own and the time of signing:
a signature made here means nothing anywhere else, and its time cannot be exchanged.
"""

from collections.abc import Mapping

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from af.errors import AfRefused, Problem
from af.header import Signature
from af.yamltext import dump_mapping, load_mapping

SIGNATURE_KEY = "signature"

_LINE_START = SIGNATURE_KEY.encode("ascii") + b":"
_MESSAGE_START = b"agent file signature 1\n"
_PLACE = "header: signature"
_FETCH_AGAIN = "fetch the file again from its author, or sign it with your own key."


def split_header(header: bytes) -> tuple[bytes, bytes]:
    """The signed bytes of a header, and its signature's text (empty if it has none)."""
    if header.startswith(_LINE_START):
        return b"", header
    found = header.rfind(b"\n" + _LINE_START)
    return (header, b"") if found < 0 else (header[: found + 1], header[found + 1 :])


def sign_header(header: bytes, key: SigningKey, created: str) -> bytes:
    """The header with a signature at its end; one that is there already is replaced."""
    head, _ = split_header(header)
    if not head.endswith(b"\n"):
        head += b"\n"
    value = key.sign(_message(head, created)).signature.hex()
    public = bytes(key.verify_key).hex()
    return head + _text("ed25519", public, created, value)


def signature_problems(header: bytes, mapping: Mapping[str, object], signature: Signature) -> list[Problem]:
    """Why a signature is not accepted. `mapping` is the whole header as it was read."""
    head, tail = split_header(header)
    rest = {name: value for name, value in mapping.items() if name != SIGNATURE_KEY}
    try:
        # What was signed must be a header when it is read alone, and the rest the one text of a signature:
        # nothing can then be added to a signed file without a trace.
        separate = load_mapping(head) == rest and tail == _text(
            signature.algorithm, signature.key, signature.created, signature.value
        )
    except AfRefused:
        separate = False
    if not separate:
        message = "it is not the last key of the header, or not written as `af-sign` writes it."
        return [Problem(_PLACE, message, "sign the file again.")]
    try:
        VerifyKey(bytes.fromhex(signature.key)).verify(
            _message(head, signature.created), bytes.fromhex(signature.value)
        )
    except BadSignatureError:
        message = f"it does not fit the file: the header is not what key {signature.key[:12]}... signed."
        return [Problem(_PLACE, message, _FETCH_AGAIN)]
    return []


def _text(algorithm: str, key: str, created: str, value: str) -> bytes:
    facts = {"algorithm": algorithm, "key": key, "created": created, "value": value}
    return dump_mapping({SIGNATURE_KEY: facts})


def _message(head: bytes, created: str) -> bytes:
    return _MESSAGE_START + created.encode("ascii") + b"\n" + head
