"""Signing keys, signing a file, and the question whose key it was.

A signature says that whoever holds the private key made the file as it is; it does not say who that is. The
answer comes from a list of trusted keys, one per line: `<64 hexadecimal digits> name of the holder`.

    key = new_key(Path("author.key"))                       # 0600, and author.key.pub beside it
    signed = sign(data, read_key(Path("author.key")), "2026-01-05T00:00:00Z")
    signer = signer_of(af.parse(signed), read_trust(Path("trusted-keys")))
"""

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from nacl.signing import SigningKey

from af.agentfile import AgentFile, header_end, parse
from af.errors import AfRefused, refused
from af.signature import sign_header, split_header

TRUSTED_KEYS_MAX = 10_000
KEY_FILE_BYTES_MAX = 1024 * 1024

_KEY_LINE = re.compile(r"agent-file-private-key ed25519 ([0-9a-f]{64})\n?")
_TRUST_LINE = re.compile(r"([0-9a-f]{64})(?:\s+(\S.*))?")
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signed a file: the key, when, and the name under which it is trusted, if it is."""

    key: str
    created: str
    trusted_as: str | None


def new_key(path: Path) -> str:
    """Make a private key at `path` (0600) and its public key at `path`.pub; the public key in hexadecimal.

    Nothing is overwritten: a key that is lost cannot be made again.
    """
    key = SigningKey.generate()
    public = bytes(key.verify_key).hex()
    _create(path, f"agent-file-private-key ed25519 {bytes(key).hex()}\n", 0o600)
    _create(path.with_name(path.name + ".pub"), f"{public} {path.stem}\n", 0o644)
    return public


def read_key(path: Path) -> SigningKey:
    """A private key; refused if anybody but its owner can read it."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(KEY_FILE_BYTES_MAX).decode("ascii", "replace")
    except OSError as error:
        raise refused(str(path), f"it is not readable ({error.strerror}).", "correct the path.") from None
    if mode & _OTHERS:
        message = f"others can read this private key (mode {stat.S_IMODE(mode):04o})."
        raise refused(str(path), message, f"run `chmod 600 {path}`, or make a new key.")
    match = _KEY_LINE.fullmatch(text)
    if match is None:
        raise refused(str(path), "it is not a private key.", "make one with `af-sign --new-key PATH`.")
    return SigningKey(bytes.fromhex(match.group(1)))


def sign(data: bytes, key: SigningKey, created: str) -> bytes:
    """The file with an author's signature, every other byte as it is; AfRefused if it is no agent file."""
    end = header_end(data)
    head, _ = split_header(data[:end])  # an old signature goes first: it may be why the file is refused
    parse(head + data[end:])
    signed = sign_header(head, key, created) + data[end:]
    try:
        parse(signed)
    except AfRefused as error:
        message = f"a signature cannot be added to this header ({error.problems[0].message})"
        raise refused("header", message, "write the file with `af-compile` first.") from None
    return signed


def signer_of(agent: AgentFile, trusted: dict[str, str] | None = None) -> Signer | None:
    """Who signed a file that was parsed (parsing has verified the signature); None if nobody did."""
    signature = agent.header.signature
    if signature is None:
        return None
    return Signer(signature.key, signature.created, (trusted or {}).get(signature.key))


def read_trust(path: Path) -> dict[str, str]:
    """Public keys and the names of their holders. Empty lines and lines that start with # do not count."""
    try:
        with path.open("rb") as file:
            data = file.read(KEY_FILE_BYTES_MAX + 1)
    except OSError as error:
        raise refused(str(path), f"it is not readable ({error.strerror}).", "correct the path.") from None
    if len(data) > KEY_FILE_BYTES_MAX:
        raise refused(str(path), f"it has more than {KEY_FILE_BYTES_MAX} bytes.", "trust fewer keys.")
    trusted: dict[str, str] = {}
    for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _TRUST_LINE.fullmatch(line.strip())
        if match is None:
            raise refused(
                f"{path}, line {number}", "it is no public key.", "write `<64 hexadecimal digits> name`."
            )
        trusted[match.group(1)] = match.group(2) or match.group(1)[:12]
        if len(trusted) > TRUSTED_KEYS_MAX:
            raise refused(str(path), f"more than {TRUSTED_KEYS_MAX} keys.", "trust fewer keys.")
    return trusted


def _create(path: Path, text: str, mode: int) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    except FileExistsError:
        raise refused(
            str(path), "it is there already; a key is never overwritten.", "name another path."
        ) from None
    except OSError as error:
        raise refused(str(path), f"it is not writable ({error.strerror}).", "correct the path.") from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(descriptor, mode)  # whatever the umask left of it
        file.write(text)
