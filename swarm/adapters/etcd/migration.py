"""Moves a whole history into an etcd that holds none, and proves that it arrived.

The first key written says that a move is under way: a coordinator that meets it does not start, and another
try begins by clearing away what the first one left. The last one says that it is over.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import groupby

from swarm.adapters.etcd.batches import PIECE, Assembler, Place, next_batch, places
from swarm.adapters.etcd.client import EtcdClient
from swarm.adapters.etcd.keys import Keys, after
from swarm.adapters.etcd.snapshots import Snapshots
from swarm.adapters.history import History
from swarm.errors import Conflict, LogDamaged
from swarm.ports import Committed
from swarm.wire.gen import etcd_pb2 as pb
from swarm.wire.gen.etcdlog_pb2 import EtcdBatch, EtcdOrigin, EtcdSnapshot


async def write_history(client: EtcdClient, cluster: str, history: History) -> History:
    """Write `history` as the log of `cluster`; what etcd holds afterwards, read back and compared.

    Raises `Conflict` if etcd holds a log of that cluster, `LogDamaged` if something else arrived.
    """
    keys = Keys(cluster)
    await _make_room(client, keys, history)
    if history.state is not None:
        head = await Snapshots(client, keys).write_parts(history.index, history.term, 0, history.state)
        await client.put(keys.snapshot, head.SerializeToString())
    for number, batch in enumerate(_batches(history), 1):
        await client.put(keys.batch(number), batch.SerializeToString())
    arrived = await read_history(client, cluster)
    if (arrived.digest(), len(arrived.entries)) != (history.digest(), len(history.entries)):
        raise LogDamaged(
            f"etcd holds {len(arrived.entries)} entries with hash {arrived.digest()[:16]}, "
            f"not {len(history.entries)} with {history.digest()[:16]}",
            place=client.endpoint,
            remedy="run the same command again: it begins by clearing away what is there",
        )
    await client.put(keys.origin, EtcdOrigin(term=history.term, complete=True).SerializeToString())
    return arrived


async def read_history(client: EtcdClient, cluster: str) -> History:
    """The log of `cluster` as etcd holds it at this moment."""
    keys = Keys(cluster)
    found = await client.range(pb.RangeRequest(key=keys.snapshot))
    revision = found.header.revision
    state, assembler = None, Assembler()
    if found.kvs:
        head = EtcdSnapshot.FromString(found.kvs[0].value)
        state = await Snapshots(client, keys).read(head, revision)
        assembler = Assembler(head.batch, head.index)
    index, entries = assembler.index, list[Committed]()
    for kv in await client.read_all(keys.batches, after(keys.batches), revision):
        number = keys.batch_number(kv.key)
        assert number is not None
        entries += assembler.take(number, EtcdBatch.FromString(kv.value))
    origin = await client.range(pb.RangeRequest(key=keys.origin, revision=revision))
    base = EtcdOrigin.FromString(origin.kvs[0].value).term if origin.kvs else 0
    return History(max(base, assembler.term), index, state, tuple(entries), assembler.index)


async def _make_room(client: EtcdClient, keys: Keys, history: History) -> None:
    origin = await client.range(pb.RangeRequest(key=keys.origin))
    unfinished = bool(origin.kvs) and not EtcdOrigin.FromString(origin.kvs[0].value).complete
    if not unfinished:
        there = pb.RangeRequest(key=keys.log, range_end=after(keys.log), count_only=True)
        if (await client.range(there)).count:
            raise Conflict(
                "etcd holds a log of this cluster already",
                place=client.endpoint,
                remedy="move to an etcd, or under a cluster's name, that has none; "
                f"or remove it: etcdctl del --prefix {keys.log.decode().removesuffix('log/')}",
            )
    await client.put(keys.origin, EtcdOrigin(term=history.term, complete=False).SerializeToString())
    for key, end in ((keys.batches, after(keys.batches)), (keys.parts, after(keys.parts))):
        await client.delete(key, end)
    await client.delete(keys.snapshot, keys.snapshot + b"\0")


def _batches(history: History) -> Iterator[EtcdBatch]:
    """The entries in batches, every place that carries nothing filled in again."""
    index = history.index
    for term, group in groupby(history.entries, lambda entry: entry.term):
        waiting: deque[Place] = deque()
        for entry in group:
            while index + 1 < entry.index:
                waiting.extend(places(None))
                index += 1
            waiting.extend(places(entry.data))
            index = entry.index
        yield from _cut(waiting, term, index)
    waiting = deque(place for _ in range(index, history.last_index) for place in places(None))
    yield from _cut(waiting, history.term, history.last_index)


def _cut(waiting: deque[Place], term: int, last_index: int) -> Iterator[EtcdBatch]:
    """What waits, in batches; the last of it ends at `last_index`."""
    first_index = last_index + 1 - sum(place.kind != PIECE for place in waiting)
    while waiting:
        batch, taken = next_batch(waiting, term, first_index)
        yield batch
        first_index += sum(place.kind != PIECE for place in taken)
