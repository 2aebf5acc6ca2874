"""Calls that wait for a cell: what is refused at once, and what goes together."""

import pytest

from swarm.errors import Mistake, NotHosted, QueueFull
from swarm.graph import Payload, Port, PortName, Signature
from swarm.ids import CapabilityName
from swarm.node import calls
from swarm.node.calls import Call, CallQueue

DIGIT, PAY = CapabilityName("vision:digit"), CapabilityName("money:pay")
PORTS = (Port(PortName("image")), Port(PortName("hint"), optional=True))
SIGNATURES = (Signature(DIGIT, PORTS), Signature(PAY, PORTS, effects="once"))


def call(capability=DIGIT, size=1, timeout_ms=0, ports=("image",)):
    inputs = {port: Payload("bytes", b"x" * size) for port in ports}
    return Call(capability, inputs, timeout_ms, lambda _: None)


def filled(*waiting):
    queue = CallQueue(SIGNATURES)
    for each in waiting:
        queue.add(each)
    return queue


def test_what_gathers_is_taken_together_in_order_and_by_capability():
    other = Signature(CapabilityName("vision:other"), PORTS)
    queue = CallQueue((*SIGNATURES, other))
    for capability in (DIGIT, DIGIT, other.name, DIGIT):
        queue.add(call(capability))
    assert [len(queue.take()) for _ in range(3)] == [2, 1, 1]
    assert not queue


def test_a_batch_is_bounded_in_calls_and_in_bytes(monkeypatch):
    monkeypatch.setattr(calls, "BATCH_CALLS_MAX", 3)
    monkeypatch.setattr(calls, "BATCH_BYTES_MAX", 100)
    assert len(filled(*[call()] * 5).take()) == 3
    assert len(filled(*[call(size=60)] * 2).take()) == 1
    assert len(filled(call(size=500)).take()) == 1


def test_what_nobody_here_offers_is_refused():
    with pytest.raises(NotHosted):
        filled(call(CapabilityName("a:b")))


def test_what_must_not_run_twice_is_not_called_because_nothing_is_written_down():
    with pytest.raises(Mistake, match="must not run twice") as caught:
        filled(call(PAY))
    assert "submit" in caught.value.remedy


def test_a_call_without_an_input_it_needs_is_refused_by_name():
    with pytest.raises(Mistake, match="takes image"):
        filled(call(ports=("hint",)))


def test_a_queue_that_nobody_empties_is_full_not_endless(monkeypatch):
    monkeypatch.setattr(calls, "CALLS_WAITING_MAX", 2)
    with pytest.raises(QueueFull):
        filled(*[call()] * 3)


def test_a_call_has_a_time_limit_whatever_its_caller_says():
    first, second = filled(call(), call(timeout_ms=2**32 - 1)).take()
    assert first.timeout_ms == calls.STEP_TIMEOUT_MS_DEFAULT
    assert second.timeout_ms == calls.STEP_TIMEOUT_MS_MAX
