"""The schema of the log's entries, and how entries of older ones are read.

An entry says the oldest schema that can say what it says: while a cluster is restarted one by one under a new
version, daemons of the version before go on reading what they know. What is read is brought to the newest
schema first, step by step, by functions that take an entry as it was decoded and return it as the next
schema would have said it; so the rest of the program knows one schema only, whether the entry comes from the
log, out of a snapshot or from another daemon.

Upgrades are pure, change nothing in what they are given, and are kept for ever: a log is older than its
readers. They may not guess, since every replica has to make the same of the same bytes. A new schema takes a
number, an upgrade from the one before it, and a log written in it for the tests to read
(`tests/unit/swarm/wire/written_log.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

from swarm.errors import Bug, LogTooNew
from swarm.wire.gen import entry_pb2 as pb

VERSION = 2  # the newest, and what is read without a second look
VERSION_FIRST = 1
VERSION_WITH_RECORDS = 2  # of a submission that brings results of its first steps
SNAPSHOT_VERSION = 1  # of what a snapshot puts around its entries

Upgrade: TypeAlias = Callable[[pb.Entry], pb.Entry]


def _to_2(entry: pb.Entry) -> pb.Entry:
    """Schema 2 lets a submission bring results along. In schema 1 nobody read what lay there: nor do we."""
    if entry.WhichOneof("event") != "run_submitted" or not entry.run_submitted.records:
        return entry
    newer = pb.Entry()
    newer.CopyFrom(entry)
    newer.run_submitted.ClearField("records")
    return newer


UPGRADES: Mapping[int, Upgrade] = MappingProxyType({1: _to_2})
"""From each older schema to the next."""


def upgraded(entry: pb.Entry) -> pb.Entry:
    """An entry of another schema, in the newest one.

    Raises `LogTooNew` where a newer version wrote it: skipping it would make this replica disagree.
    """
    demand_known("log", entry.version, VERSION)
    for version in range(entry.version, VERSION):
        entry = UPGRADES[version](entry)
    return entry


def demand_known(what: str, version: int, newest: int) -> None:
    """Raises `LogTooNew`, or `Bug` for a schema there never was."""
    if version > newest:
        raise LogTooNew(f"the {what} speaks schema {version}, this daemon reads schemas up to {newest}")
    if version < VERSION_FIRST:
        raise Bug(f"a {what} entry of schema {version}, which there never was")
