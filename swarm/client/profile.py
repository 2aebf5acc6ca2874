"""A cluster profile: the little file that says where a cluster is and who is calling.

    cluster: demo
    endpoints: {n1: 127.0.0.1:7101, n2: 127.0.0.1:7102}
    ca: authority.pem
    certificate: certificate.pem
    key: key.pem

With certificates of another authority it says what `tls:` in node.yaml does: `identities` and `server_name`.
Any one endpoint is enough to reach the whole cluster; more of them outlive the loss of one.
Relative paths are relative to the file. `swarm dev` writes such a file as `.swarm/client.yaml`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field

from swarm.adapters.settings import Address, FilePath, Section, load_settings
from swarm.adapters.tls import IdentityFiles
from swarm.adapters.tls.names import Identities, ServerName
from swarm.errors import Unreachable
from swarm.ids import NodeId

PROFILE_VARIABLE = "SWARM_CLUSTER"
PROFILE_DEFAULT = Path(".swarm") / "client.yaml"
ENDPOINTS_MAX = 1_000


def profile_path(path: Path | str | None = None) -> Path:
    """Where the profile is: at `path`, else what $SWARM_CLUSTER names, else that of a local `swarm dev`."""
    return Path(path or os.environ.get(PROFILE_VARIABLE) or PROFILE_DEFAULT)


class ClusterProfile(Section):
    """Where a cluster is and who is calling; see the head of this module."""

    cluster: str
    endpoints: Annotated[dict[NodeId, Address], Field(min_length=1, max_length=ENDPOINTS_MAX)]
    ca: FilePath
    certificate: FilePath
    key: FilePath
    identities: Identities = ()
    server_name: ServerName = "{}"

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read a profile; raises `ConfigRefused` naming file, line, key and remedy of every problem."""
        return load_settings(Path(path), cls, "cluster profile")

    @classmethod
    def find(cls, path: Path | str | None = None) -> Self:
        """The profile at `path`, else the one $SWARM_CLUSTER names, else that of a local `swarm dev`."""
        chosen = profile_path(path)
        if chosen == PROFILE_DEFAULT and not chosen.exists():
            raise Unreachable(
                "no cluster is known here",
                place=str(PROFILE_DEFAULT),
                remedy=f"start one with `swarm dev`, or name a profile with --cluster or ${PROFILE_VARIABLE}",
            )
        return cls.load(chosen)

    def files(self) -> IdentityFiles:
        """The caller's certificate, its key and the authority it trusts."""
        return IdentityFiles(certificate=self.certificate, key=self.key, authority=self.ca)
