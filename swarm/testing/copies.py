"""Large payloads of a `MemoryCluster`: disks that are lost, and what must be left after that.

    await lose_disk(cluster, "n2")            # the node is gone, and what it held with it
    await cluster.until(lambda: not short(cluster))
    check_nothing_lost(cluster)               # raises `Bug`

While fewer than `BLOB_COPIES` nodes are lost at once, and there is time in between to make copies again,
nothing that a remembered run speaks of may be on no disk.
"""

from __future__ import annotations

from collections.abc import Iterator

from swarm import limits
from swarm.errors import Bug
from swarm.ids import Digest, NodeId
from swarm.testing.cluster import MemoryCluster


async def lose_disk(cluster: MemoryCluster, node: NodeId) -> None:
    """A node's machine is gone: its process, and everything that would have outlived it."""
    if node in cluster.workers:
        await cluster.kill_node(node)
    store = cluster.blobs[node]
    store.files.clear()
    store.copies.clear()
    store.parts.clear()
    cluster.outcomes.pop(node, None)


def needed(cluster: MemoryCluster) -> set[Digest]:
    """What runs speak of that somebody remembers."""
    ledgers = (driver.replica.scheduler.ledger for driver in cluster.coordinators.values())
    return {digest for ledger in ledgers for digest in ledger.needs}


def holders(cluster: MemoryCluster, digest: Digest) -> list[NodeId]:
    """Nodes that run and keep it."""
    return [node for node in sorted(cluster.workers) if cluster.blobs[node].held((digest,)).get(digest)]


def short(cluster: MemoryCluster) -> list[Digest]:
    """Payloads that are needed and have fewer copies than there are nodes for."""
    copies = min(limits.BLOB_COPIES, len(cluster.workers))
    return [digest for digest in sorted(needed(cluster)) if len(holders(cluster, digest)) < copies]


def check_nothing_lost(cluster: MemoryCluster) -> None:
    """Everything needed is on some disk; raises `Bug`."""
    if lost := list(_lost(cluster)):
        raise Bug(f"{len(lost)} payloads are on no disk: {', '.join(digest[:12] for digest in lost[:8])}")


def _lost(cluster: MemoryCluster) -> Iterator[Digest]:
    for digest in sorted(needed(cluster)):
        if not any(digest in store.files for store in cluster.blobs.values()):
            yield digest
