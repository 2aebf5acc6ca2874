"""A node's keys for signing results, on its disk: the newest signs, and a new one is made when that is old.

keys/result-000001, result-000002, ...    private keys as hexadecimal digits, 0600
"""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Final

from nacl.signing import SigningKey

from swarm.adapters.tls.files import SECRET_MODE, make_private_directory, write_whole
from swarm.errors import ConfigRefused
from swarm.trust.results import ResultSigner

KEY_DAYS: Final = 30
KEYS_KEPT: Final = 12  # older ones sign nothing any more, and whoever verifies needs the public ones alone

_KEY = re.compile(rb"[0-9a-f]{64}\n?")


def open_result_keys(directory: Path, days: int = KEY_DAYS) -> ResultSigner:
    """The key that signs from now on; made where there is none, or the newest is older than `days`."""
    make_private_directory(directory)
    found = sorted(directory.glob("result-*"))
    if not found or time.time() - found[-1].stat().st_mtime > days * 24 * 3600:
        number = int(found[-1].name.rpartition("-")[2]) + 1 if found else 1
        path = directory / f"result-{number:06d}"
        write_whole(path, bytes(SigningKey.generate()).hex().encode() + b"\n", SECRET_MODE)
        found.append(path)
    for old in found[:-KEYS_KEPT]:
        old.unlink(missing_ok=True)
    text = found[-1].read_bytes()[:66]
    if not _KEY.fullmatch(text):
        raise ConfigRefused(
            "this is no key for results",
            place=str(found[-1]),
            remedy="remove it: the next start makes another",
        )
    return ResultSigner(SigningKey(bytes.fromhex(text.decode())))
