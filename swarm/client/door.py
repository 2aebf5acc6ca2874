"""`Swarm`: the way in."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

from swarm.client.blocking import BlockingSwarm
from swarm.client.connection import PATIENCE_S, Connection
from swarm.client.profile import ClusterProfile
from swarm.client.session import Session


class Swarm(Session):
    """A cluster, as a program uses it.

        async with Swarm.connect() as swarm:
            print(await swarm.run(graph, {"images": array}))

        with Swarm.open() as swarm:             # the same calls for code that is not asynchronous
            print(swarm.run(graph, {"images": array}))

    Without an argument the cluster is the one $SWARM_CLUSTER names, else that of a local `swarm dev`.
    """

    @classmethod
    def connect(
        cls, profile: ClusterProfile | Path | str | None = None, *, patience_s: float = PATIENCE_S
    ) -> Self:
        """Read the profile and check the certificate; nobody is dialled before the first call.

        A call goes to another daemon for up to `patience_s` seconds when one cannot answer it.
        Raises `ConfigRefused`, `Unreachable` (no cluster is known) or `NotTrusted`.
        """
        found = profile if isinstance(profile, ClusterProfile) else ClusterProfile.find(profile)
        return cls(Connection(found, patience_s))

    @classmethod
    def open(
        cls, profile: ClusterProfile | Path | str | None = None, *, patience_s: float = PATIENCE_S
    ) -> BlockingSwarm:
        """The synchronous face of `connect`."""
        return BlockingSwarm(cls.connect(profile, patience_s=patience_s))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
