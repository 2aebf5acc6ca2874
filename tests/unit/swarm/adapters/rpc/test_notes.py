"""What the audit log hears of calls that pass the gate, and of those that do not."""

import asyncio
import contextlib

import grpc
import pytest

from swarm.adapters.rpc.callers import Access
from swarm.adapters.rpc.gate import Gate
from swarm.adapters.rpc.notes import concerns
from swarm.errors import NotFound, QueueFull
from swarm.graph import PLAIN, Graph, Node, Priority
from swarm.graph import Context as Marks
from swarm.ids import RunId
from swarm.scheduler.events import RunSubmitted
from swarm.scheduler.run import Run
from swarm.trust import Role
from swarm.trust.identity import client_identity, node_identity
from swarm.wire.gen import client_pb2 as pb
from swarm.wire.gen import common_pb2

ANN = client_identity("demo", "ann")
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Notebook:
    """A recorder that remembers."""

    def __init__(self, *, full=False):
        self.full = full
        self.lines = []

    def ready(self):
        if self.full:
            raise QueueFull("full")

    def record(self, event, bodies=None):
        self.lines.append((event, bodies or {}))


class Aborted(Exception):
    """What a call ends with that was refused."""


class Context:
    """A call's context."""

    def __init__(self, caller=ANN, metadata=()):
        self.caller, self.metadata = caller, metadata
        self.code = None

    def auth_context(self):
        return {"peer_spiffe_id": [self.caller.uri.encode()]} if self.caller else {}

    def peer(self):
        return "ipv4:10.0.0.9:5555"

    def invocation_metadata(self):
        return self.metadata

    async def abort(self, code, message, trailer):
        self.code = code
        raise Aborted(message)


def called(method, behaviour, request, *, kind="unary_unary", notebook=None, context=None):
    """Call one method behind the gate; returns the events recorded."""
    notebook, context = notebook or Notebook(), context or Context()
    handler = getattr(grpc, f"{kind}_rpc_method_handler")(behaviour)
    guarded = Gate(Access("demo"), notebook)._guarded(handler, f"/swarm.v1.Swarm/{method}")

    async def scenario():
        called = getattr(guarded, kind)(request, context)
        if kind.endswith("stream"):
            return [reply async for reply in called]
        return await called

    with contextlib.suppress(Aborted, ValueError, asyncio.CancelledError):
        asyncio.run(scenario())
    return notebook.lines


async def submitted(request, context):
    request.on_behalf_of = "written by the handler"
    return pb.SubmitReply(run="run-7")


def test_a_call_has_one_line_with_who_what_on_what_how_and_from_where():
    request = pb.SubmitRequest(
        graph=b"the graph", key="k", inputs=[common_pb2.PortItems(items=[common_pb2.Payload(data=b"v")])]
    )
    context = Context(metadata=(("traceparent", TRACE),))
    [(event, bodies)] = called("Submit", submitted, request, context=context)
    assert (event.who, event.did, event.on) == (ANN.uri, "/swarm.v1.Swarm/Submit", "run-7")
    assert (event.result, event.source, event.trace) == ("ok", "ipv4:10.0.0.9:5555", TRACE)
    assert event.context == {"role": "client"}
    assert bodies == {"graph": [b"the graph"], "inputs": [b"v"]}
    assert event.took_ms > 0


def test_a_forwarded_call_says_for_whom_it_was_made():
    request = pb.SubmitRequest(on_behalf_of="ann")
    [(event, _)] = called("Submit", submitted, request, context=Context(node_identity("demo", "n2")))
    assert event.context == {"role": "coordinator", "for": "ann"}


@pytest.mark.parametrize(
    ("step", "facts"),
    [
        (None, {"level": "2", "domain": "finance medical", "tenant": "acme"}),
        (0, {"tenant": "acme"}),
        (1, {"level": "2", "domain": "medical", "tenant": "acme"}),
        (2, {"level": "1", "domain": "finance", "tenant": "acme"}),
    ],
)
def test_the_line_has_the_context_of_the_run_or_the_step_it_is_about(step, facts):
    contexts = (PLAIN, Marks(2, "medical"), Marks(1, "finance", "acme"))
    nodes = tuple(Node(f"s{at}", "a:b", context=context) for at, context in enumerate(contexts))
    run = Run(RunSubmitted(1, RunId("run-1"), Graph("g", nodes), {}, Priority.LOW, "ann", "", "acme"))

    async def explained(request, context):
        concerns(run, step)

    [(event, _)] = called("ExplainStep", explained, pb.ExplainStepRequest(run="run-1", step="s1"))
    assert event.context == {"role": "client", **facts}


@pytest.mark.parametrize(
    ("error", "result"),
    [(NotFound("x"), "not_found"), (ValueError("x"), "failed"), (asyncio.CancelledError(), "cancelled")],
)
def test_how_a_call_failed_is_in_its_line(error, result):
    async def fails(request, context):
        raise error

    [(event, _)] = called("ShowRun", fails, pb.ShowRunRequest(run="run-1"))
    assert (event.on, event.result) == ("run-1", result)


@pytest.mark.parametrize(
    ("caller", "who", "result"),
    [
        (client_identity("demo", "eve", Role.OBSERVER), "spiffe://demo/client/observer/eve", "not_allowed"),
        (client_identity("other", "ann"), "spiffe://other/client/client/ann", "not_allowed"),
        (None, "unknown", "not_trusted"),
    ],
)
def test_a_call_that_is_not_let_in_has_its_line_too(caller, who, result):
    context = Context(caller)
    [(event, _)] = called("Submit", submitted, pb.SubmitRequest(), context=context)
    assert (event.who, event.result, event.on) == (who, result, "")
    assert context.code is not None


def test_nothing_is_let_in_that_could_not_be_recorded():
    context = Context()
    lines = called("Submit", submitted, pb.SubmitRequest(), notebook=Notebook(full=True), context=context)
    assert lines == []
    assert context.code is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_stream_has_one_line_when_it_ends_whatever_flows_in_it():
    async def many(request, context):
        for _ in range(1_000):
            yield pb.WatchReply()

    [(event, _)] = called("Watch", many, pb.WatchRequest(run="run-3"), kind="unary_stream")
    assert (event.on, event.result) == ("run-3", "ok")


def test_an_upload_is_known_by_its_digest_and_then_by_what_it_became():
    async def uploads():
        yield pb.DeployRequest(start=pb.DeployStart(sha256="ab12", on_behalf_of="ann"))
        yield pb.DeployRequest(chunk=b"secret code")

    async def deploy(requests, context):
        assert [request.WhichOneof("part") async for request in requests] == ["start", "chunk"]
        return pb.DeployReply(agent=common_pb2.Agent(name="digits", version="1.0.0", digest="ab12"))

    async def refuse(requests, context):
        [request async for request in requests]
        raise NotFound("x")

    admin = client_identity("demo", "root", Role.ADMINISTRATOR)
    for behaviour, on in ((deploy, "digits 1.0.0 ab12"), (refuse, "ab12")):
        context = Context(admin)
        [(event, bodies)] = called("Deploy", behaviour, uploads(), kind="stream_unary", context=context)
        assert (event.on, event.context["for"], bodies) == (on, "ann", {})


def test_a_node_that_attaches_has_a_line_at_once():
    notebook = Notebook()
    seen = []

    async def attach(requests, context):  # reads and writes through the context, as the real one does
        seen.append([event.result for event, _ in notebook.lines])

    handler = grpc.stream_stream_rpc_method_handler(attach)
    guarded = Gate(Access("demo"), notebook)._guarded(handler, "/swarm.v1.Work/Attach")

    async def nothing():
        return
        yield

    asyncio.run(guarded.stream_stream(nothing(), Context(node_identity("demo", "n1"))))
    assert seen == [["opened"]]
    assert [event.result for event, _ in notebook.lines] == ["opened", "ok"]
