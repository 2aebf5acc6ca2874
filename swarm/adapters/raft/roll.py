"""Who takes part, between a record and its forms on the wire and on disk."""

from __future__ import annotations

from dataclasses import replace

from google.protobuf.message import DecodeError

from swarm.adapters.raft.messages import MEMBERS
from swarm.errors import LogDamaged
from swarm.ids import NodeId
from swarm.ports import Voters
from swarm.wire.gen import raft_pb2 as pb


def voters_to_pb(voters: Voters) -> pb.RaftVoters:
    wire = pb.RaftVoters(index=voters.index, removed=sorted(voters.removed))
    for learns, nodes in ((False, voters.voters), (True, voters.learners)):
        for node, address in nodes.items():
            wire.voters.add(node=node, address=address, learns=learns)
    return wire


def voters_from_pb(wire: pb.RaftVoters) -> Voters:
    found: tuple[dict[NodeId, str], dict[NodeId, str]] = ({}, {})
    for voter in wire.voters:
        found[voter.learns][NodeId(voter.node)] = voter.address
    return Voters(wire.index, *found, frozenset(map(NodeId, wire.removed)))


def command(voters: Voters) -> bytes:
    """The entry that makes these the voters."""
    return MEMBERS + voters_to_pb(voters).SerializeToString()


def from_command(data: bytes, index: int) -> Voters:
    """What the entry at `index` says."""
    try:
        found = voters_from_pb(pb.RaftVoters.FromString(data[len(MEMBERS) :]))
    except DecodeError as error:
        raise LogDamaged(f"entry {index} does not say who takes part", place="raft") from error
    return replace(found, index=index)
