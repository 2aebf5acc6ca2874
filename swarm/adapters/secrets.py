"""Secrets by reference: a setting says where a secret is, never what it is.

    file:PATH              a file that others may not read
    env:NAME               a variable of the environment
    systemd:NAME           a credential that systemd hands to the service (LoadCredential=),
                           under $CREDENTIALS_DIRECTORY
    kubernetes:NAME/KEY    a secret mounted into the container, under /run/secrets/kubernetes
                           unless $SWARM_KUBERNETES_SECRETS names another folder

What is read goes to whoever asked and nowhere else: no message, no log, no repr shows any of it. A file that
everybody may read is refused, because it is no secret.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from pydantic import BeforeValidator, ValidationInfo

from swarm.adapters.settings import wrong
from swarm.errors import ConfigRefused

SECRET_BYTES_MAX: Final = 64 * 1024
KUBERNETES_VARIABLE: Final = "SWARM_KUBERNETES_SECRETS"
KUBERNETES_DEFAULT: Final = Path("/run/secrets/kubernetes")
SYSTEMD_VARIABLE: Final = "CREDENTIALS_DIRECTORY"

_NAME: Final = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_REFERENCE: Final = {
    "file": re.compile(r"[^\0]{1,4096}"),
    "env": re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}", re.ASCII),
    "systemd": re.compile(_NAME, re.ASCII),
    "kubernetes": re.compile(f"{_NAME}/{_NAME}", re.ASCII),
}
_REMEDY: Final = "write file:PATH, env:NAME, systemd:NAME or kubernetes:NAME/KEY; never the secret itself"


@dataclass(frozen=True, slots=True)
class SecretReference:
    """Where a secret is. It is read when it is needed, so that an exchanged one is taken at the next use."""

    kind: str
    name: str

    @classmethod
    def parse(cls, text: str, base: Path | None = None) -> SecretReference:
        """Read `kind:name`; a path may be relative to `base`. Never repeats a text that may be a secret."""
        kind, _, name = text.partition(":")
        if kind not in _REFERENCE or not _REFERENCE[kind].fullmatch(name):
            raise ConfigRefused("this is no reference to a secret", place="secret", remedy=_REMEDY)
        if kind == "file":
            name = str(((base or Path()) / Path(name).expanduser()).absolute())
        return cls(kind, name)

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"

    def read(self, environment: Mapping[str, str] | None = None) -> bytes:
        """The secret, without a line's end. Raises `ConfigRefused`, which says where and not what."""
        found = os.environ if environment is None else environment
        match self.kind:
            case "env":
                if self.name not in found:
                    raise self._missing("the variable is not set")
                return os.fsencode(found[self.name])
            case "systemd":
                if SYSTEMD_VARIABLE not in found:
                    raise self._missing("systemd gave this process no credentials: LoadCredential= does")
                return self._file(Path(found[SYSTEMD_VARIABLE]) / self.name)
            case "kubernetes":
                return self._file(Path(found.get(KUBERNETES_VARIABLE, KUBERNETES_DEFAULT)) / self.name)
            case _:
                path = Path(self.name)
                self._refuse_public(path)
                return self._file(path)

    def _file(self, path: Path) -> bytes:
        try:
            with path.open("rb") as file:
                data = file.read(SECRET_BYTES_MAX + 1)
        except OSError as error:
            raise self._missing(error.strerror or "it cannot be read") from None
        if len(data) > SECRET_BYTES_MAX:
            raise self._missing(f"it is larger than {SECRET_BYTES_MAX} bytes")
        return data.rstrip(b"\r\n")

    def _refuse_public(self, path: Path) -> None:
        """The other kinds are kept by whoever hands them out."""
        try:
            mode = path.stat().st_mode
        except OSError as error:
            raise self._missing(error.strerror or "it cannot be read") from None
        if stat.S_ISREG(mode) and mode & stat.S_IROTH:
            raise ConfigRefused(
                "everybody may read this secret", place=str(self), remedy=f"chmod 600 {self.name}"
            )

    def _missing(self, why: str) -> ConfigRefused:
        return ConfigRefused(
            f"the secret cannot be had: {why}", place=str(self), remedy="check the reference"
        )


def _parsed(value: object, info: ValidationInfo) -> object:
    if not isinstance(value, str):
        return value
    try:
        return SecretReference.parse(value, (info.context or {}).get("directory"))
    except ConfigRefused as error:
        raise wrong(error.message, error.remedy) from None


Secret = Annotated[SecretReference, BeforeValidator(_parsed)]
"""A setting that refers to a secret."""
