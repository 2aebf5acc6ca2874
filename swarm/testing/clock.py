"""Virtual time: an event loop that never sleeps, and the clock that reads it.

When every task waits, `VirtualLoop` moves its time to the next timer and goes on. An hour of back-off
passes in a millisecond, and since nothing depends on how fast the machine is, two runs of one program
do the same things in the same order. What would run in a thread runs in place. Sockets, processes
and real threads have no business on such a loop. When nothing is left to wait for, it says so.

What a simulation costs is mostly what its loop does per callback. So the queues are this loop's own: no
selector and no socket to wake it, and handles that hold what it takes to call and nothing else.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from contextvars import Context, copy_context
from heapq import heapify, heappop, heappush
from typing import Any, TypeVar, TypeVarTuple

from swarm.errors import Bug

ResultT = TypeVar("ResultT")
ArgsT = TypeVarTuple("ArgsT")

CALENDAR_MS = 1_700_000_000_000  # where the calendar stands when a virtual loop begins
_SAME_MOMENT_S = 1e-9  # timers this close ring together
_HALF_A_NANOSECOND_MS = 5e-7
_TIMERS_SWEPT_MIN = 100  # with more of them, those that were cancelled are thrown out once they are the most


class _Soon(asyncio.Handle):
    """A callback that waits for its turn; None in its place once it was cancelled."""

    __slots__ = ("arguments", "callback", "context")

    def __init__(
        self, callback: Callable[..., object], arguments: tuple[object, ...], context: Context | None
    ) -> None:
        # Not asyncio's own: that asks the loop for its debug mode, for every one of a million handles.
        self.callback: Callable[..., object] | None = callback
        self.arguments = arguments
        self.context = context if context is not None else copy_context()

    def __repr__(self) -> str:
        return f"<_Soon {self.callback!r}>"

    def cancel(self) -> None:
        self.callback, self.arguments = None, ()

    def cancelled(self) -> bool:
        return self.callback is None


class _Timer(asyncio.TimerHandle):
    """A callback for later. Of two for one moment neither is the lesser: the heap decides, always alike."""

    __slots__ = ("arguments", "at_s", "callback", "context", "loop", "waits")

    def __init__(
        self,
        loop: VirtualLoop,
        at_s: float,
        callback: Callable[..., object],
        arguments: tuple[object, ...],
        context: Context | None,
    ) -> None:
        self.callback: Callable[..., object] | None = callback
        self.arguments = arguments
        self.context = context if context is not None else copy_context()
        self.loop = loop
        self.at_s = at_s
        self.waits = True  # in the heap

    def __repr__(self) -> str:
        return f"<_Timer {self.callback!r} at {self.at_s} s>"

    __eq__, __hash__ = object.__eq__, object.__hash__

    def __lt__(self, _other: object) -> bool:
        return False

    def when(self) -> float:
        return self.at_s

    def cancel(self) -> None:
        if self.callback is not None:
            self.callback, self.arguments = None, ()
            if self.waits:
                self.loop.cancelled_timers += 1

    def cancelled(self) -> bool:
        return self.callback is None


class VirtualLoop(asyncio.BaseEventLoop):
    """See the head of this module."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.cancelled_timers = 0  # of those in the heap
        self._soon: deque[_Soon | _Timer] = deque()
        self._timers: list[tuple[float, _Timer]] = []

    def time(self) -> float:
        return self.now_s

    def close(self) -> None:
        super().close()
        self._soon.clear()
        self._timers.clear()

    def call_soon(
        self, callback: Callable[[*ArgsT], object], *args: *ArgsT, context: Context | None = None
    ) -> _Soon:
        handle = _Soon(callback, args, context)
        self._soon.append(handle)
        return handle

    call_soon_threadsafe = call_soon  # there are no threads

    def call_later(
        self,
        delay: float,
        callback: Callable[[*ArgsT], object],
        *args: *ArgsT,
        context: Context | None = None,
    ) -> _Timer:
        at_s = self.now_s + delay
        timer = _Timer(self, at_s, callback, args, context)
        heappush(self._timers, (at_s, timer))
        return timer

    def call_at(
        self, when: float, callback: Callable[[*ArgsT], object], *args: *ArgsT, context: Context | None = None
    ) -> _Timer:
        timer = _Timer(self, when, callback, args, context)
        heappush(self._timers, (when, timer))
        return timer

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*ArgsT], ResultT], *args: *ArgsT
    ) -> asyncio.Future[ResultT]:
        """Run it here and now: a thread would make the order of things a matter of luck."""
        assert executor is None
        future: asyncio.Future[ResultT] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - whoever awaits the future gets it
            future.set_exception(error)
        return future

    def _run_once(self) -> None:
        """What `run_forever` does again and again: let time pass if all wait, and call what is due."""
        soon, timers = self._soon, self._timers
        if self.cancelled_timers:
            self._sweep()
        if not soon:
            if not timers:
                raise Bug("every task waits and no timer is set: nothing would ever happen again")
            left_s = timers[0][0] - self.now_s
            if left_s > 0:
                self.now_s += left_s
        due_s = self.now_s + _SAME_MOMENT_S
        while timers and timers[0][0] < due_s:
            _, timer = heappop(timers)
            timer.waits = False
            soon.append(timer)
        take = soon.popleft
        for _ in range(len(soon)):
            handle = take()
            if (callback := handle.callback) is not None:
                try:
                    handle.context.run(callback, *handle.arguments)
                except (SystemExit, KeyboardInterrupt):
                    raise
                except BaseException as error:  # noqa: BLE001 - as asyncio does: the loop outlives it
                    said = {"message": f"Exception in {callback!r}", "exception": error, "handle": handle}
                    self.call_exception_handler(said)

    def _sweep(self) -> None:
        """Throw out timers that were cancelled: those that are next, or all if there are too many."""
        timers = self._timers
        if len(timers) > _TIMERS_SWEPT_MIN and self.cancelled_timers > len(timers) / 2:
            timers[:] = [entry for entry in timers if entry[1].callback is not None]
            heapify(timers)
            self.cancelled_timers = 0
        else:
            while timers and timers[0][1].callback is None:
                heappop(timers)[1].waits = False
                self.cancelled_timers -= 1


def run_virtually(main: Coroutine[Any, Any, ResultT]) -> ResultT:
    """`asyncio.run` in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


def wake(waiter: asyncio.Future[None]) -> None:
    """Let go who waits for this, unless somebody did."""
    if not waiter.done():
        waiter.set_result(None)


class FakeClock:
    """The clocks of one machine, read from the running loop; `skew_ms` puts its calendar off the others'."""

    def __init__(self, skew_ms: int = 0) -> None:
        self._loop = asyncio.get_running_loop()
        self._skew_ms = skew_ms

    def monotonic_ms(self) -> int:
        # Rounded before it is cut: 0.02 added fifty times is a little less than 1.
        return int(self._loop.time() * 1_000 + _HALF_A_NANOSECOND_MS)

    def wall_ms(self) -> int:
        return CALENDAR_MS + self._skew_ms + self.monotonic_ms()

    async def sleep_ms(self, duration_ms: float) -> None:
        if duration_ms <= 0:
            await asyncio.sleep(0)
            return
        loop = self._loop
        waiter: asyncio.Future[None] = loop.create_future()
        timer = loop.call_later(duration_ms / 1_000, wake, waiter)
        try:
            await waiter
        finally:
            timer.cancel()
