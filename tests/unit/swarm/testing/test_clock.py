from __future__ import annotations

import asyncio
import time
from contextvars import Context, ContextVar

import pytest

from swarm.errors import Bug
from swarm.testing.clock import CALENDAR_MS, FakeClock, run_virtually


def test_a_day_passes_at_once():
    async def main() -> tuple[int, int]:
        clock = FakeClock()
        began = clock.monotonic_ms()
        await clock.sleep_ms(86_400_000)
        return began, clock.monotonic_ms()

    began = time.perf_counter()
    assert run_virtually(main()) == (0, 86_400_000)
    assert time.perf_counter() - began < 5


def test_timers_ring_in_order_whatever_order_they_were_set_in():
    async def main() -> list[int]:
        clock, rung = FakeClock(), list[int]()

        async def ring(after_ms: int) -> None:
            await clock.sleep_ms(after_ms)
            rung.append(clock.monotonic_ms())

        await asyncio.gather(*(ring(after_ms) for after_ms in (300, 20, 1_000, 0, 21)))
        return rung

    assert run_virtually(main()) == [0, 20, 21, 300, 1_000]


def test_many_short_sleeps_add_up():
    async def main() -> int:
        clock = FakeClock()
        for _ in range(1_000):
            await clock.sleep_ms(20)
        return clock.monotonic_ms()

    assert run_virtually(main()) == 20_000


def test_the_calendars_of_two_machines_may_differ():
    async def main() -> tuple[int, int]:
        await asyncio.sleep(2)
        return FakeClock().wall_ms(), FakeClock(skew_ms=-500).wall_ms()

    assert run_virtually(main()) == (CALENDAR_MS + 2_000, CALENDAR_MS + 1_500)


def test_timeouts_are_virtual_too():
    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3_600):
                await asyncio.Event().wait()
        return asyncio.get_running_loop().time()

    assert run_virtually(main()) == 3_600


def test_a_program_that_waits_for_nothing_is_told_so():
    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Bug, match="nothing would ever happen again"):
        run_virtually(main())


def test_what_would_run_in_a_thread_runs_in_place():
    async def main() -> list[str]:
        said = []

        async def other() -> None:
            said.append("other")

        task = asyncio.create_task(other())
        said.append(await asyncio.to_thread(lambda: "threaded"))
        await task
        return said

    assert run_virtually(main()) == ["threaded", "other"]


def test_what_fails_in_place_of_a_thread_fails_its_caller():
    async def main() -> None:
        await asyncio.to_thread(int, "no number")

    with pytest.raises(ValueError, match="no number"):
        run_virtually(main())


def test_what_was_cancelled_is_not_called_and_the_others_are_in_time():
    async def main() -> list[object]:
        loop, called = asyncio.get_running_loop(), list[object]()
        soon = loop.call_soon(called.append, "soon")
        timers = [loop.call_later(number / 1_000, called.append, number) for number in range(400)]
        soon.cancel()
        for timer in timers[::2] + timers[1:300:2]:  # most of them
            timer.cancel()
        assert soon.cancelled()
        assert timers[0].cancelled()
        assert not timers[399].cancelled()
        assert timers[399].when() == 0.399
        await asyncio.sleep(1)
        return called

    assert run_virtually(main()) == list(range(301, 400, 2))


def test_timers_of_one_moment_ring_in_one_turn():
    async def main() -> list[float]:
        loop, rung = asyncio.get_running_loop(), list[float]()
        for _ in range(3):
            loop.call_at(0.1 + 0.2, lambda: rung.append(loop.time()))
            loop.call_at(0.3, lambda: rung.append(loop.time()))
        await asyncio.sleep(1)
        return rung

    assert run_virtually(main()) == [0.3] * 6


def test_a_callback_that_raises_is_told_of_and_the_loop_goes_on():
    async def main() -> list[str]:
        loop, told = asyncio.get_running_loop(), list[str]()
        loop.set_exception_handler(lambda _loop, context: told.append(repr(context["exception"])))
        loop.call_later(0.1, lambda: 1 / 0)
        await asyncio.sleep(1)
        return told

    assert run_virtually(main()) == ["ZeroDivisionError('division by zero')"]


def test_context_variables_are_those_of_who_called():
    name: ContextVar[str] = ContextVar("name", default="nobody")

    async def main() -> list[str]:
        loop, said = asyncio.get_running_loop(), list[str]()
        name.set("ann")
        loop.call_soon(lambda: said.append(name.get()))
        loop.call_later(1, lambda: said.append(name.get()))
        loop.call_later(1, lambda: said.append(name.get()), context=Context())
        name.set("bob")
        await asyncio.sleep(2)
        return said

    assert run_virtually(main()) == ["ann", "ann", "nobody"]
