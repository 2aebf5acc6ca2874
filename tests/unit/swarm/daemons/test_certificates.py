"""A daemon told to get another certificate does so, although whoever signs is away at that moment."""

import asyncio

import pytest

from swarm.adapters.tls import Authority, TlsIdentity
from swarm.daemons import certificates
from swarm.daemons.certificates import CertificateKeeper
from swarm.errors import NotTrusted, Unreachable
from swarm.ids import NodeId
from swarm.trust import Role


class Channels:
    """To coordinators none of whom answers; counts who was asked."""

    def __init__(self):
        self.asked = []

    def to(self, node):
        self.asked.append(node)
        raise Unreachable("away", place=node)


@pytest.fixture
def world(tmp_path):
    authority = Authority.create(tmp_path / "ca", "demo")
    files = authority.issue_node(NodeId("n4"), ["127.0.0.1"], tmp_path / "n4", role=Role.WORKER)
    channels = Channels()
    return CertificateKeeper(TlsIdentity.load(files), files, "", channels, ["n1", "n2"]), channels


def look(keeper):
    try:
        asyncio.run(keeper._look())
    except Unreachable:
        return "away"
    except NotTrusted:
        return "nobody signs"
    return "nothing to do"


def test_what_was_asked_for_is_asked_for_again_when_nobody_answered(world, monkeypatch):
    keeper, channels = world
    monkeypatch.setattr(certificates, "UNREACHED_RETRY_S", 0.0)
    assert look(keeper) == "nothing to do"
    keeper.renew()
    assert [look(keeper), look(keeper)] == ["away", "away"]
    assert channels.asked == ["n1", "n2", "n1", "n2"]


def test_whoever_is_away_is_not_asked_all_the_time(world):
    keeper, channels = world
    keeper.renew()
    assert [look(keeper), look(keeper)] == ["away", "nothing to do"]
    assert channels.asked == ["n1", "n2"]
