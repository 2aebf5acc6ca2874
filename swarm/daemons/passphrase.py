"""The passphrase of the authority's key: from a file, from the environment, or from whoever sits there."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from swarm.errors import ConfigRefused

PASSPHRASE_VARIABLE: Final = "SWARM_PASSPHRASE"  # noqa: S105 - the name of a variable
PASSPHRASE_CHARS_MIN: Final = 8
PASSPHRASE_BYTES_MAX: Final = 1_024


def read_passphrase(file: Path | None, ask: Callable[[], str] | None = None) -> bytes:
    """The passphrase. Nothing of it is ever in a message."""
    if file is not None:
        try:
            with file.open("rb") as opened:
                found = opened.read(PASSPHRASE_BYTES_MAX + 1).rstrip(b"\r\n")
        except OSError as error:
            raise ConfigRefused(
                f"the passphrase cannot be read: {error.strerror}", place=str(file), remedy="check the path"
            ) from None
    elif PASSPHRASE_VARIABLE in os.environ:
        found = os.environb[PASSPHRASE_VARIABLE.encode()]
    elif ask is not None:
        found = ask().encode()
    else:
        raise ConfigRefused(
            "the authority's key has a passphrase",
            place="passphrase",
            remedy=f"name a file that holds it with passphrase_file, or set ${PASSPHRASE_VARIABLE}",
        )
    if not PASSPHRASE_CHARS_MIN <= len(found) <= PASSPHRASE_BYTES_MAX:
        raise ConfigRefused(
            f"a passphrase has {PASSPHRASE_CHARS_MIN} to {PASSPHRASE_BYTES_MAX} characters",
            place="passphrase",
            remedy="choose a longer one: it protects the key that says who belongs to the cluster",
        )
    return found
