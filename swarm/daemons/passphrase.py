"""The passphrase of the authority's key: by reference, from the environment, or from whoever sits there."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from swarm.adapters.secrets import SecretReference
from swarm.adapters.tls import Authority
from swarm.errors import ConfigRefused

PASSPHRASE_VARIABLE: Final = "SWARM_PASSPHRASE"  # noqa: S105 - the name of a variable
PASSPHRASE_CHARS_MIN: Final = 8
PASSPHRASE_BYTES_MAX: Final = 1_024


def read_passphrase(reference: SecretReference | None, ask: Callable[[], str] | None = None) -> bytes:
    """The passphrase. Nothing of it is ever in a message."""
    if reference is not None:
        found = reference.read()
    elif PASSPHRASE_VARIABLE in os.environ:
        found = SecretReference("env", PASSPHRASE_VARIABLE).read()
    elif ask is not None:
        found = ask().encode()
    else:
        raise ConfigRefused(
            "the authority's key has a passphrase",
            place="passphrase",
            remedy=f"say where it is, e.g. `passphrase: file:PATH`, or set ${PASSPHRASE_VARIABLE}",
        )
    if not PASSPHRASE_CHARS_MIN <= len(found) <= PASSPHRASE_BYTES_MAX:
        raise ConfigRefused(
            f"a passphrase has {PASSPHRASE_CHARS_MIN} to {PASSPHRASE_BYTES_MAX} characters",
            place="passphrase",
            remedy="choose a longer one: it protects the key that says who belongs to the cluster",
        )
    return found


def load_authority(
    directory: Path, reference: SecretReference | None, ask: Callable[[], str] | None = None
) -> Authority:
    """The authority in a folder; the passphrase of its key is looked for if the key has one."""
    encrypted = Authority.is_encrypted(directory)
    return Authority.load(directory, read_passphrase(reference, ask) if encrypted else None)
