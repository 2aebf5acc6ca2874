"""A busy loop collects, an idle one acts at once."""

import asyncio

from swarm.idle import BUSY_MS_MAX, PatientLoop, when_idle


def run(main):
    with asyncio.Runner(loop_factory=PatientLoop) as runner:
        return runner.run(main)


def test_a_callback_waits_until_all_that_is_ready_has_run():
    async def main():
        told = []
        loop = asyncio.get_running_loop()
        when_idle(lambda: told.append("idle"))

        def busy(left):
            told.append(left)
            if left:
                loop.call_soon(busy, left - 1)

        loop.call_soon(busy, 3)
        await asyncio.sleep(0.001)
        return told

    assert run(main()) == [3, 2, 1, 0, "idle"]


def test_a_loop_that_is_never_idle_calls_back_all_the_same():
    async def main():
        told = asyncio.Event()
        when_idle(told.set)
        loop = asyncio.get_running_loop()
        began, turns = loop.time(), 0
        while not told.is_set():
            turns += 1
            assert loop.time() - began < 30
            await asyncio.sleep(0)
        return turns, (loop.time() - began) * 1000

    turns, took_ms = run(main())
    assert turns > 2
    assert took_ms >= BUSY_MS_MAX


def test_callbacks_run_in_the_order_they_came_and_once():
    async def main():
        told = []
        when_idle(lambda: told.append(1))
        when_idle(lambda: told.append(2))
        await asyncio.sleep(0.001)
        await asyncio.sleep(0.001)
        return told

    assert run(main()) == [1, 2]


def test_another_loop_calls_back_in_its_next_turn():
    async def main():
        told = asyncio.Event()
        when_idle(told.set)
        await asyncio.sleep(0)
        return told.is_set()

    assert asyncio.run(main())
