"""Whatever is called leaves a line, let in or refused: for every method of the permission table."""

import asyncio
import contextlib

import grpc
import pytest

from swarm.adapters.rpc.callers import Access
from swarm.adapters.rpc.gate import Gate
from swarm.errors import NotFound
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
