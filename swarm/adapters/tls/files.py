"""Where a certificate, its key and its authority lie on disk, and how they are written.

A key is created 0600 from its first byte; every file is complete or absent (written aside, then renamed).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

CERTIFICATE_FILE = "certificate.pem"
KEY_FILE = "key.pem"
AUTHORITY_FILE = "authority.pem"

PUBLIC_MODE = 0o644
SECRET_MODE = 0o600
DIRECTORY_MODE = 0o700


@dataclass(frozen=True, slots=True)
class IdentityFiles:
    """The three files that let a process prove who it is and check others."""

    certificate: Path
    key: Path
    authority: Path

    @classmethod
    def within(cls, directory: Path) -> IdentityFiles:
        """The three files under their usual names."""
        return cls(directory / CERTIFICATE_FILE, directory / KEY_FILE, directory / AUTHORITY_FILE)


def make_private_directory(directory: Path) -> None:
    """Create `directory` for its owner alone; an existing one is tightened."""
    directory.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
    directory.chmod(DIRECTORY_MODE)


def write_whole(path: Path, data: bytes, mode: int) -> None:
    """Write a file so that it is never seen half-written nor, for a moment, with a wider mode."""
    aside = path.with_name(path.name + ".new")
    aside.unlink(missing_ok=True)
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    aside.rename(path)
