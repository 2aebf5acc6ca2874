"""Virtual time: an event loop that never sleeps, and the clock that reads it.

When every task waits, `VirtualLoop` moves its time to the next timer and goes on. An hour of back-off
passes in a millisecond, and since nothing depends on how fast the machine is, two runs of one program
do the same things in the same order. What would run in a thread runs in place. Sockets, processes
and real threads have no business on such a loop. When nothing is left to wait for, it says so.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, TypeVar, TypeVarTuple

from swarm.errors import Bug

ResultT = TypeVar("ResultT")
ArgsT = TypeVarTuple("ArgsT")

CALENDAR_MS = 1_700_000_000_000  # where the calendar stands when a virtual loop begins


class _Jump(selectors.DefaultSelector):
    """A selector that moves time instead of waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        # No file is looked at: there are none on such a loop, and asking the kernel costs more than a step.
        if timeout is None:
            raise Bug("every task waits and no timer is set: nothing would ever happen again")
        self.now_s += timeout
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """See the head of this module."""

    def __init__(self) -> None:
        self._jump = _Jump()
        super().__init__(self._jump)

    def time(self) -> float:
        return self._jump.now_s

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


def run_virtually(main: Coroutine[Any, Any, ResultT]) -> ResultT:
    """`asyncio.run` in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


class FakeClock:
    """The clocks of one machine, read from the running loop; `skew_ms` puts its calendar off the others'."""

    def __init__(self, skew_ms: int = 0) -> None:
        self._loop = asyncio.get_running_loop()
        self._skew_ms = skew_ms

    def monotonic_ms(self) -> int:
        # Rounded before it is cut: 0.02 added fifty times is a little less than 1.
        return int(round(self._loop.time() * 1_000, 6))

    def wall_ms(self) -> int:
        return CALENDAR_MS + self._skew_ms + self.monotonic_ms()

    async def sleep_ms(self, duration_ms: float) -> None:
        await asyncio.sleep(duration_ms / 1_000)
