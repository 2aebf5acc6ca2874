"""Whatever is called leaves a line, let in or refused: for every method of the permission table."""

import asyncio
import contextlib
import os

import grpc
import pytest

from swarm.adapters.audit import AuditLog, AuditReader
from swarm.adapters.rpc.callers import Access
from swarm.adapters.rpc.gate import Gate
from swarm.errors import NotFound, QueueFull
from swarm.trust import Role
from swarm.trust.identity import client_identity, node_identity
from swarm.trust.permissions import NEEDS, PERMISSIONS, allowed
from swarm.trust.policy import Capability, Grant, Policy
from tests.unit.swarm.adapters.rpc.test_notes import Aborted, Context, Notebook

CALLERS = (
    node_identity("demo", "n1"),
    node_identity("demo", "w1", Role.WORKER),
    client_identity("demo", "ann"),
    client_identity("demo", "root", Role.ADMINISTRATOR),
    None,
)


STRICT = Policy(in_force=True, principals={"ann": Grant("acme", frozenset())})


class Anything:
    """A reply whose every part is a part."""

    def __getattr__(self, name):
        return Anything()


class AnyRequest:
    """A request that says nothing of itself."""

    on_behalf_of = ""
    inputs = ()

    def __getattr__(self, name):
        return Anything()


async def answered(request, context):
    return Anything()


async def missing(request, context):
    raise NotFound("nothing there")


def line_of(method, caller, access, behaviour):
    """The last line that a call leaves."""
    notebook, context = Notebook(), Context(caller)
    handler = grpc.unary_unary_rpc_method_handler(behaviour)
    guarded = Gate(access, notebook)._guarded(handler, method)
    with contextlib.suppress(Aborted):
        asyncio.run(guarded.unary_unary(AnyRequest(), context))
    return notebook.lines[-1][0]


@pytest.mark.parametrize("policy", [Policy(), STRICT], ids=["no policy", "a policy"])
@pytest.mark.parametrize("method", sorted(PERMISSIONS))
def test_every_method_leaves_a_line_for_everybody(method, policy):
    for caller in CALLERS:
        for behaviour, ended in ((answered, "ok"), (missing, "not_found")):
            event = line_of(method, caller, Access("demo", lambda: policy), behaviour)
            assert event.did == method
            assert event.source == "ipv4:10.0.0.9:5555"
            assert event.who == (caller.uri if caller else "unknown")
            if caller is None:
                assert event.result == "not_trusted"
            elif not allowed(method, caller.role) or (
                policy.in_force and caller.name == "ann" and method in NEEDS
            ):
                assert event.result == "not_allowed"
            else:
                assert event.result == ended


def test_a_line_says_for_which_tenant_it_was_done():
    may = Grant("acme", frozenset({Capability.SUBMIT}))
    access = Access("demo", lambda: Policy(in_force=True, principals={"ann": may}))
    event = line_of("/swarm.v1.Swarm/Submit", CALLERS[2], access, answered)
    assert event.context == {"role": "client", "tenant": "acme"}


def test_a_full_audit_disk_is_told_with_its_reason_and_nothing_is_let_in_unrecorded(tmp_path):
    """`/dev/full` stands for the disk: what is written to it fails as on one without room, ENOSPC."""
    log = AuditLog.open(tmp_path, "demo/n1")
    served = []

    async def serve(request, context):
        served.append(request)
        return Anything()

    def call():
        context = Context(CALLERS[2])
        handler = grpc.unary_unary_rpc_method_handler(serve)
        guarded = Gate(Access("demo"), log)._guarded(handler, "/swarm.v1.Swarm/ShowRun")
        try:
            asyncio.run(guarded.unary_unary(AnyRequest(), context))
        except Aborted as refused:
            return context.code, str(refused)
        return None, ""

    assert call() == (None, "")
    log.flush()
    whole = (tmp_path / "events-000000000000.jsonl").read_bytes()
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, log._fd, inheritable=False)
    os.close(full)
    assert call() == (None, "")  # nobody knows yet
    with pytest.raises(QueueFull, match="No space left on device"):
        log.flush()
    assert len(served) == 2
    for _ in range(3):
        code, told = call()
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "the audit log cannot be written: No space left on device" in told
        assert str(tmp_path) not in told
    assert len(served) == 2

    async def ended():
        await log.failure()

    with pytest.raises(QueueFull, match="No space left on device") as daemons_end:
        asyncio.run(ended())
    assert daemons_end.value.place == str(tmp_path)
    assert "make room" in daemons_end.value.remedy
    log.close()
    assert (tmp_path / "events-000000000000.jsonl").read_bytes() == whole
    again = AuditLog.open(tmp_path, "demo/n1")  # there is room again: it goes on where it was whole
    again.close()
    assert AuditReader(tmp_path).verify(again.public_key).unsigned == 0
