"""The synchronous face: the same calls, waited for on a loop of their own in a background thread.

Nothing is written twice. `waits(Session.deploy)` *is* the synchronous `deploy`: it hands the coroutine to the
loop and waits. An interrupt (Ctrl-C) while waiting cancels the call, and with it what the call stands for.
"""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Mapping
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Concatenate, Final, ParamSpec, Protocol, Self, TypeVar

from swarm.client.records import Event, PolicyInfo
from swarm.client.run import Run
from swarm.client.session import Session
from swarm.errors import Mistake
from swarm.graph import Graph, Priority

CANCEL_S_MAX: Final = 10.0  # how long an interrupted call may take to clean up

P = ParamSpec("P")
Result = TypeVar("Result")
Inner_co = TypeVar("Inner_co", covariant=True)


class Loop:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="swarm-client", daemon=True)
        self._thread.start()

    def wait(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine over there and wait here for what it gives."""
        if _inside_a_loop():
            coroutine.close()
            raise Mistake(
                "the synchronous client would block the running event loop",
                place="Swarm.open",
                remedy="use `async with Swarm.connect(...)` here",
            )
        ended = threading.Event()
        future = asyncio.run_coroutine_threadsafe(_announce(coroutine, ended), self._loop)
        try:
            return future.result()
        except BaseException:
            if not future.done():
                # A cancelled future is done at once; what it stood for is still cleaning up behind it.
                future.cancel()
                ended.wait(CANCEL_S_MAX)
            raise

    def start(self, coroutine: Coroutine[Any, Any, Result]) -> Future[Result]:
        """Run a coroutine over there; cancelling the future cancels it."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def iterate(self, source: AsyncGenerator[Result, None]) -> Iterator[Result]:
        """The items of an asynchronous generator, one by one; leaving the loop over them closes it."""
        try:
            while True:
                try:
                    yield self.wait(_next(source))
                except StopAsyncIteration:
                    return
        finally:
            self.wait(source.aclose())

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CANCEL_S_MAX)
        if not self._thread.is_alive():
            self._loop.close()


class Wrapper(Protocol[Inner_co]):
    """A synchronous twin: the asynchronous object and the loop it lives on."""

    _loop: Loop

    @property
    def _inner(self) -> Inner_co: ...


def waits(
    method: Callable[Concatenate[Inner_co, P], Coroutine[Any, Any, Result]],
) -> Callable[Concatenate[Wrapper[Inner_co], P], Result]:
    """The synchronous twin of an asynchronous method, with its signature and its documentation."""

    @functools.wraps(method)
    def call(self: Wrapper[Inner_co], /, *args: P.args, **kwargs: P.kwargs) -> Result:
        return self._loop.wait(method(self._inner, *args, **kwargs))

    return call


class BlockingRun:
    """`Run`, with calls that wait."""

    def __init__(self, inner: Run, loop: Loop) -> None:
        self._inner = inner
        self._loop = loop
        self.id = inner.id
        self.existed = inner.existed

    def __repr__(self) -> str:
        return repr(self._inner)

    def progress(self, since: int = 0) -> Iterator[Event]:
        """See `Run.progress`."""
        return self._loop.iterate(self._inner.progress(since))

    logs = waits(Run.logs)
    result = waits(Run.result)
    wait = waits(Run.wait)
    show = waits(Run.show)
    explain = waits(Run.explain)
    cancel = waits(Run.cancel)
    verify = waits(Run.verify)


class BlockingSwarm:
    """`Swarm`, with calls that wait. Made by `Swarm.open`."""

    def __init__(self, inner: Session) -> None:
        self._inner = inner
        self._loop = Loop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up and end the background thread."""
        try:
            self._loop.wait(self._inner.close())
        finally:
            self._loop.close()

    def submit(
        self,
        graph: Graph,
        inputs: Mapping[str, object] | None = None,
        *,
        priority: Priority = Priority.MEDIUM,
        key: str = "",
        sign: bool = False,
        linger_ms: int = 0,
    ) -> BlockingRun:
        """See `Swarm.submit`."""
        run = self._loop.wait(
            self._inner.submit(graph, inputs, priority=priority, key=key, sign=sign, linger_ms=linger_ms)
        )
        return BlockingRun(run, self._loop)

    def attach(self, run_id: str) -> BlockingRun:
        """See `Swarm.attach`."""
        return BlockingRun(self._inner.attach(run_id), self._loop)

    def apply_policy(self, document: str) -> int:
        """See `Swarm.apply_policy`."""
        return self._loop.wait(self._inner.apply_policy(document))

    def policy(self) -> PolicyInfo | None:
        """See `Swarm.policy`."""
        return self._loop.wait(self._inner.policy())

    run = waits(Session.run)
    call = waits(Session.call)
    deploy = waits(Session.deploy)
    remove_agent = waits(Session.remove_agent)
    agents = waits(Session.agents)
    nodes = waits(Session.nodes)
    runs = waits(Session.runs)
    status = waits(Session.status)
    coordinators = waits(Session.coordinators)
    add_coordinator = waits(Session.add_coordinator)
    remove_coordinator = waits(Session.remove_coordinator)
    create_token = waits(Session.create_token)
    revoke_token = waits(Session.revoke_token)
    tokens = waits(Session.tokens)
    certificates = waits(Session.certificates)
    rotate_certificates = waits(Session.rotate_certificates)
    renew_certificate = waits(Session.renew_certificate)
    revoke = waits(Session.revoke)


def _inside_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


async def _next(source: AsyncGenerator[Result, None]) -> Result:
    return await anext(source)


async def _announce(coroutine: Coroutine[Any, Any, Result], ended: threading.Event) -> Result:
    try:
        return await coroutine
    finally:
        ended.set()
