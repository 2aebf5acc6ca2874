"""Whom a coordinator speaks with: those the log names, and those another one vouches for."""

from swarm.adapters.raft.links import Links
from swarm.adapters.raft.roll import voters_to_pb
from swarm.ports import Voters
from swarm.wire.gen import raft_pb2 as pb

FOUNDED = Voters(0, {"a": "a:1"}, {"d": "d:1"})
GROWN = Voters(7, {"a": "a:1", "b": "b:1", "c": "c:1"}, {"d": "d:1"})


def newcomer():
    links = Links("d", "local", {"a": "a:1", "d": "d:1"}, FOUNDED, channels=None)
    links.update(FOUNDED)
    return links


def vouch(links, voters):
    links._believe("a", pb.RaftHello(voters=voters_to_pb(voters)))


def test_a_newcomer_believes_whoever_it_knows_about_the_others():
    links = newcomer()
    assert set(links._peers) == {"a"}
    vouch(links, GROWN)
    assert links._peers == {"a": "a:1", "b": "b:1", "c": "c:1"}


def test_what_its_own_log_says_of_earlier_days_takes_nobody_away_again():
    links = newcomer()
    vouch(links, GROWN)
    links.update(FOUNDED)
    assert set(links._peers) == {"a", "b", "c"}


def test_what_the_log_says_later_counts_alone():
    links = newcomer()
    vouch(links, GROWN)
    links.update(Voters(9, {"b": "b:1", "d": "d:1"}, {}, frozenset({"a", "c"})))
    assert set(links._peers) == {"b"}
    vouch(links, GROWN)
    assert set(links._peers) == {"b"}
