"""Daemons of a fake cluster: real gRPC over real mutual TLS, answers written by the test.

A node's script maps a method to what it says, one item per call and the last one for ever after: a reply, a
list of replies (for a stream), an error to refuse with, or a function of the request that gives one of them.
"""

import asyncio
import contextlib
import threading

import grpc
import grpc.aio

from swarm.adapters.rpc.errors import abort
from swarm.adapters.tls import SERVER_OPTIONS, Authority, TlsIdentity
from swarm.client import ClusterProfile
from swarm.client.blocking import Loop
from swarm.daemons.layout import free_ports
from swarm.errors import SwarmError
from swarm.trust import Role
from swarm.wire.convert import error_to_pb
from swarm.wire.gen import client_pb2 as pb
from swarm.wire.gen import client_pb2_grpc as rpc

LOST = grpc.StatusCode.UNAVAILABLE  # what a caller sees when a daemon dies under its call


class FakeNode(rpc.SwarmServicer):
    """One daemon: says what its script says, remembers what it was asked."""

    def __init__(self, script):
        self.script = {method: list(says) for method, says in script.items()}
        self.asked = []
        self.submitted_together = []  # how many came in each message

    def calls(self, method):
        return [request for name, request in self.asked if name == method]

    def _next(self, method, request):
        self.asked.append((method, request))
        says = self.script[method]
        answer = says.pop(0) if len(says) > 1 else says[0]
        return answer(request) if callable(answer) else answer

    async def _one(self, method, request, context):
        answer = self._next(method, request)
        if asyncio.iscoroutine(answer):
            answer = await answer
        await _refuse(answer, context)
        return answer

    async def Watch(self, request, context):  # noqa: N802 - gRPC's name
        for answer in self._next("Watch", request):
            await _refuse(answer, context)
            if asyncio.iscoroutine(answer):
                await answer
            else:
                yield answer

    async def SubmitMany(self, request_iterator, context):  # noqa: N802 - gRPC's name
        async for message in request_iterator:
            self.submitted_together.append(len(message.parts))
            for part in message.parts:
                answer = self._next("Submit", part.request)
                if asyncio.iscoroutine(answer):
                    answer = await answer
                if isinstance(answer, SwarmError):
                    parts = [pb.SubmissionAnswer(id=part.id, error=error_to_pb(answer))]
                else:
                    await _refuse(answer, context)
                    parts = [pb.SubmissionAnswer(id=part.id, reply=answer)]
                yield pb.SubmissionAnswers(parts=parts)

    async def Deploy(self, request_iterator, context):  # noqa: N802 - gRPC's name
        parts = [part async for part in request_iterator]
        return await self._one("Deploy", parts, context)


def _unary(method):
    async def call(self, request, context):
        return await self._one(method, request, context)

    return call


for _method in (
    "Submit",
    "ListRuns",
    "ShowRun",
    "CancelRun",
    "RemoveAgent",
    "ListAgents",
    "ListNodes",
    "Status",
):
    setattr(FakeNode, _method, _unary(_method))


async def _refuse(answer, context):
    if isinstance(answer, SwarmError):
        await abort(context, answer)
    if isinstance(answer, grpc.StatusCode):
        await context.abort(answer, "told to fail")


class World:
    """Certificates for a cluster of three nodes and a caller; made once, used by many tests."""

    def __init__(self, root, cluster="demo"):
        self.root = root
        self.authority = Authority.create(root / "ca", cluster)
        self.nodes = {
            node: TlsIdentity.load(self.authority.issue_node(node, ["127.0.0.1"], root / node))
            for node in ("n1", "n2", "n3")
        }
        self.caller = self.authority.issue_client("alice", Role.ADMINISTRATOR, root / "alice")

    def profile(self, endpoints, files=None):
        files = files or self.caller
        return ClusterProfile.model_construct(
            cluster="demo",
            endpoints=endpoints,
            ca=files.authority,
            certificate=files.certificate,
            key=files.key,
        )

    @contextlib.asynccontextmanager
    async def serving(self, **scripts):
        """Serve the scripts by node name; a node without one (None) has an address where nobody listens."""
        servers, fakes, endpoints = [], {}, {}
        try:
            for node, script in scripts.items():
                if script is None:
                    endpoints[node] = f"127.0.0.1:{free_ports(1)[0]}"
                    continue
                fake = fakes[node] = FakeNode(script)
                server = grpc.aio.server(options=SERVER_OPTIONS)
                rpc.add_SwarmServicer_to_server(fake, server)
                port = server.add_secure_port("127.0.0.1:0", self.nodes[node].server_credentials())
                await server.start()
                servers.append(server)
                endpoints[node] = f"127.0.0.1:{port}"
            yield self.profile(endpoints), fakes
        finally:
            for server in servers:
                await server.stop(None)

    @contextlib.contextmanager
    def serving_in_background(self, **scripts):
        """The same, on a loop in another thread, for callers that block."""
        loop = Loop()
        serving = self.serving(**scripts)
        try:
            yield loop.wait(serving.__aenter__())
        finally:
            loop.wait(serving.__aexit__(None, None, None))
            loop.close()
            assert not any(thread.name == "swarm-client" for thread in threading.enumerate())


def summary(run="run-1", status="running", **fields):
    return pb.RunSummary(run=run, graph="g", status=status, steps_total=4, **fields)


def news(first, last, status="running"):
    """What Watch says of the steps `first` to `last`, the last one excluded."""
    events = [
        pb.StepEvent(offset=number, step=f"s{number}", capability="a:b", node="n1", attempt=1, status="ok")
        for number in range(first, last)
    ]
    return pb.WatchReply(events=events, run=summary(status=status))
