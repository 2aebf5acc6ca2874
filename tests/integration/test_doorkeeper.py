"""Of one address' connections over which nobody was let in, the oldest go first and few are left."""

import contextlib
import socket

import pytest

from swarm.adapters.tls import doorkeeper
from swarm.adapters.tls.doorkeeper import Doorkeeper, connections


@pytest.fixture(params=["127.0.0.1", "::1"])
def crowd(request, monkeypatch):
    """Twelve connections to one port of this process, of which three are strangers' at most."""
    monkeypatch.setattr(doorkeeper, "STRANGERS_MAX", 3)
    family = socket.AF_INET6 if ":" in request.param else socket.AF_INET
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.create_server((request.param, 0), family=family))
        port = listening.getsockname()[1]
        pairs = []
        for _ in range(12):
            calling = stack.enter_context(socket.create_connection((request.param, port)))
            called = stack.enter_context(listening.accept()[0])
            pairs.append((calling, called))
        yield port, pairs, listening


def peer(calling):
    host, port = calling.getsockname()[:2]
    return f"ipv6:%5B{host}%5D:{port}" if ":" in host else f"ipv4:{host}:{port}"


def over(calling):
    calling.settimeout(0.05)
    try:
        return calling.recv(1) == b""
    except TimeoutError:
        return False


def test_those_nobody_was_let_in_over_are_hung_up_on_but_for_a_few(crowd):
    port, pairs, _ = crowd
    keeper = Doorkeeper(port)
    known = {4, 11}
    for number in known:
        keeper.know(peer(pairs[number][0]))
    assert {each.peer for each in connections(port)} == {peer(calling) for calling, _ in pairs}
    assert keeper.sweep() == 12 - len(known) - 3
    left = {number for number, (calling, _) in enumerate(pairs) if not over(calling)}
    assert known <= left
    assert len(left) == len(known) + 3


def test_the_oldest_strangers_go_first(crowd):
    port, pairs, listening = crowd
    keeper = Doorkeeper(port)
    for calling, _ in pairs[3:]:
        keeper.know(peer(calling))
    assert keeper.sweep() == 0  # three strangers, met now
    with socket.create_connection(pairs[0][0].getpeername()[:2]) as newest, listening.accept()[0]:
        assert keeper.sweep() == 1
        assert not over(newest)
        assert sum(over(calling) for calling, _ in pairs[:3]) == 1
        assert not any(over(calling) for calling, _ in pairs[3:])


def test_where_there_are_few_nobody_is_sent_away(crowd):
    port, pairs, _ = crowd
    keeper = Doorkeeper(port)
    for calling, _ in pairs:
        keeper.know(peer(calling))
    assert keeper.sweep() == 0
    assert Doorkeeper(1).sweep() == 0
    assert not any(over(calling) for calling, _ in pairs)
