"""What the audit log is told of a call: who, which method, on what, how it ended, from where.

A call has one line, written when it ends; one that stays open for as long as a node is attached has a line
at its beginning too. What a request is about is read from it by method, see `_REQUESTS`; payloads go by their
hash alone. Nothing is written per item of a batch: those are in the replicated log.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Final, Protocol, Self

from swarm.adapters.tls import peer_identity
from swarm.errors import NotTrusted, SwarmError
from swarm.graph import PLAIN
from swarm.scheduler.run import Run
from swarm.trust import Identity
from swarm.trust.audit import Event

LONG: Final = frozenset(  # streams that stay open: their beginning has a line of its own
    {"/swarm.v1.Work/Attach", "/swarm.v1.Raft/Pipe", "/swarm.v1.Swarm/SubmitMany"}
)
_TRACE = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)

Bodies = Mapping[str, list[bytes]]


class Recorder(Protocol):
    """Where events go; `swarm.adapters.audit.AuditLog` is one."""

    def ready(self) -> None:
        """Raises `QueueFull` where an event could not be recorded now."""

    def record(self, event: Event, bodies: Bodies | None = None) -> None: ...


class Nowhere:
    """Keeps nothing: for a server that has no audit log of its own."""

    def ready(self) -> None:
        pass

    def record(self, event: Event, bodies: Bodies | None = None) -> None:
        pass


def _submission(request: Any) -> Bodies:
    inputs = [item.data for port in request.inputs for item in port.items]
    return {"graph": [request.graph], "inputs": inputs}


def _offered(request: Any) -> str:
    names = [blob.sha256 for blob in request.offer.blobs]
    return f"{names[0]} and {len(names) - 1} more" if len(names) > 1 else "".join(names)


_REQUESTS: Final[Mapping[str, Callable[[Any], str]]] = {
    "Submit": lambda request: str(request.key),
    "CancelRun": lambda request: str(request.run),
    "Watch": lambda request: str(request.run),
    "ShowRun": lambda request: str(request.run),
    "ExportRun": lambda request: str(request.run),
    "ExplainStep": lambda request: f"{request.run} {request.step}",
    "RemoveAgent": lambda request: str(request.name),
    "Deploy": lambda request: str(request.start.sha256),
    "CreateToken": lambda request: f"{request.token} {request.role}",
    "RevokeToken": lambda request: str(request.token),
    "Revoke": lambda request: str(request.id),
    "RotateCertificates": lambda request: " ".join(request.nodes)[:200] or "all",
    "RecordCertificate": lambda request: f"{request.certificate.uri} {request.certificate.serial}",
    "AddCoordinator": lambda request: f"{request.node} {request.address}",
    "RemoveCoordinator": lambda request: str(request.node),
    "SpendToken": lambda request: f"{request.token} {request.name}",
    "Put": _offered,
    "Upload": _offered,
    "Download": lambda request: f"{request.run} {request.sha256}",
    "Get": lambda request: str(request.sha256),
}
_REPLIES: Final[Mapping[str, Callable[[Any], str]]] = {
    "Submit": lambda reply: str(reply.run),
    "Deploy": lambda reply: f"{reply.agent.name} {reply.agent.version} {reply.agent.digest}",
}
_BODIES: Final[Mapping[str, Callable[[Any], Bodies]]] = {"Submit": _submission}


_current: ContextVar[Note | None] = ContextVar("note", default=None)  # of the call this task answers


def concerns(run: Run, step: int | None = None) -> None:
    """Have the line of the call that is being answered say in which context its run is, or its one step.

    Of a run whose steps differ the line has the highest level and every domain.
    """
    if (note := _current.get()) is None:
        return
    nodes = run.graph.nodes if step is None else (run.graph.nodes[step],)
    contexts = {node.context for node in nodes if node.context is not PLAIN}
    level = max((context.level for context in contexts), default=0)
    domains = sorted({context.domain for context in contexts if context.domain})
    facts = {
        "level": str(level) if level else "",
        "domain": " ".join(domains),
        "tenant": run.submitted.tenant,
    }
    note.concern({name: value for name, value in facts.items() if value})


class Note:
    """One call, from its beginning to its end; a context manager around its handler."""

    def __init__(self, recorder: Recorder, method: str, context: Any) -> None:
        self._recorder = recorder
        self._method = method
        self._name = method.rpartition("/")[2]
        self._context = context
        self._behalf = self._tenant = ""
        self._concern: Mapping[str, str] = {}
        self._on = ""
        self._bodies: Bodies = {}

    def __enter__(self) -> Self:
        self._recorder.ready()
        self._began_ns = time.monotonic_ns()
        _current.set(self)  # a call has a task of its own, and so a context that ends with it
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._record(_result(error))

    def admitted(self, tenant: str = "") -> None:
        """The caller may call this, for their tenant."""
        self._tenant = tenant
        if self._method in LONG:
            self._record("opened")

    def concern(self, facts: Mapping[str, str]) -> None:
        """In which context the data is that the call is about."""
        self._concern = facts

    def request(self, request: Any) -> Any:
        """Look at a request, or at the first of a stream of them; returns what the handler is to be given."""
        if hasattr(request, "__aiter__"):
            return self._looked_through(request)
        self._look(request)
        return request

    def reply(self, reply: Any) -> None:
        if look := _REPLIES.get(self._name):
            self._on = look(reply)

    async def _looked_through(self, requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
        seen = False
        async for request in requests:
            if not seen:
                self._look(request)
                seen = True
            yield request

    def _look(self, request: Any) -> None:
        self._behalf = str(
            getattr(getattr(request, "start", request), "on_behalf_of", "")
        )  # before the handler writes the caller's own name there
        if look := _REQUESTS.get(self._name):
            self._on = look(request)
        if bodies := _BODIES.get(self._name):
            self._bodies = bodies(request)

    def _record(self, result: str) -> None:
        caller = _caller(self._context)
        context = {"role": caller.role.value} if caller is not None else {}
        if self._tenant:
            context["tenant"] = self._tenant
        if self._behalf:
            context["for"] = self._behalf
        context |= self._concern
        event = Event(
            at_ms=time.time_ns() // 1_000_000,
            who=caller.uri if caller is not None else "unknown",
            did=self._method,
            on=self._on,
            result=result,
            source=self._context.peer(),
            trace=_trace(self._context),
            took_ms=(time.monotonic_ns() - self._began_ns) / 1e6,
            context=context,
        )
        self._recorder.record(event, self._bodies)


def _result(error: BaseException | None) -> str:
    match error:
        case None:
            return "ok"
        case SwarmError():
            return error.code
        case asyncio.CancelledError() | GeneratorExit():
            return "cancelled"  # the caller hung up, or the daemon stops
        case _:
            return "failed"


def _caller(context: Any) -> Identity | None:
    """Whoever it was, let in or not; None for one without an identity."""
    try:
        return peer_identity(context)
    except NotTrusted:
        return None


def _trace(context: Any) -> str:
    """The W3C trace context a caller sent, if it is one."""
    for key, value in context.invocation_metadata() or ():
        if key == "traceparent" and isinstance(value, str) and _TRACE.fullmatch(value):
            return value
    return ""
