"""Warm pools and the recycling of zygotes, with real cells."""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator

import pytest

from sandbox import AgentFailed, AgentImage, Cell, CellSpec, Pool, Warden, nursery, pool
from sandbox.pool import NEXT, Phase
from tests.security.support import House, open_house, spec, value

COUNTER = """
class Agent:
    count = 0

    def process_input(self, capability, inputs):
        self.count += 1
        return {"count": self.count}
"""
ATTEMPTS = 6000


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with open_house() as opened:
        yield opened


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(ATTEMPTS):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come to pass")


async def count(cell: Cell) -> object:
    return value((await cell.process_input("count", {}))["count"])


async def end(*cells: Cell) -> None:
    await asyncio.gather(*(cell.close(grace_ms=0) for cell in cells))


def test_a_lease_takes_a_spare_and_another_is_made(house: House) -> None:
    async def body(warden: Warden) -> None:
        spares = warden.pool(spec(COUNTER))
        first = await spares.lease()
        await until(lambda: spares.phase is Phase.FULL)
        (spare,) = spares._spares
        second = await spares.lease()
        assert second is spare
        assert [await count(first), await count(second)] == [1, 1]
        await until(lambda: spares.phase is Phase.FULL)
        await end(first, second)
        assert (spares.leased, spares.phase) == (0, Phase.FULL)
        await spares.close()

    house.run(body)


def test_a_spare_that_died_is_not_handed_out(house: House) -> None:
    async def body(warden: Warden) -> None:
        spares = warden.pool(spec(COUNTER))
        first = await spares.lease()
        await until(lambda: spares.spares == 1)
        dead = spares._spares[0]
        os.kill(dead.pid, signal.SIGKILL)
        await dead.closed
        second = await spares.lease()
        assert second is not dead
        assert await count(second) == 1
        await end(first, second)
        await spares.close()

    house.run(body)


def test_an_agent_whose_cells_die_young_is_rested_longer_and_longer(house: House) -> None:
    async def body(warden: Warden) -> None:
        spares = warden.pool(spec(COUNTER))
        rests: list[float] = []

        def look(_: object) -> None:  # at once: the first rests are short
            assert spares.phase is Phase.RESTING
            rests.append(spares._rested_at - asyncio.get_running_loop().time())

        for number in range(4):
            cell = await spares.lease()
            cell.closed.add_done_callback(look)
            os.kill(cell.pid, signal.SIGKILL)
            await cell.closed
            await until(lambda number=number: len(rests) > number)
        assert rests == sorted(rests)
        assert rests[-1] > 4 * rests[0]
        await spares.close()

    house.run(body)


def test_an_agent_that_cannot_be_loaded_is_told_and_not_tried_without_end(house: House) -> None:
    async def body(warden: Warden) -> None:
        spares = warden.pool(CellSpec(AgentImage("bad", "python", b"import nothing_of_that_name")))
        with pytest.raises(AgentFailed):
            await spares.lease()
        assert spares.phase is Phase.RESTING
        await spares.close()
        assert spares.phase is Phase.CLOSED

    house.run(body)


def test_a_zygote_that_is_worn_out_is_replaced_and_its_cells_live_on(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(warden: Warden) -> None:
        old = await warden.spawn(spec(COUNTER))
        before = warden._nurseries["strict"]
        monkeypatch.setattr(nursery, "ORDERS_PER_ZYGOTE", 1)
        between = await warden.spawn(spec(COUNTER))
        await until(lambda: warden._nurseries["strict"] is not before)
        monkeypatch.setattr(nursery, "ORDERS_PER_ZYGOTE", 1000)
        fresh = await warden.spawn(spec(COUNTER))
        assert [await count(cell) for cell in (old, between, fresh)] == [1, 1, 1]
        assert before.is_alive
        await end(old, between, fresh)
        await until(lambda: not before.is_alive)
        await until(lambda: not warden._housekeeping)

    house.run(body)


def test_every_phase_can_be_closed_and_hears_of_deaths() -> None:
    for phase in Phase:
        assert NEXT[phase, "close"] is Phase.CLOSED
        assert (phase, "died") in NEXT


@pytest.mark.parametrize("spares", [-1, pool.SPARES_MAX + 1])
def test_an_absurd_number_of_spares_is_refused(spares: int) -> None:
    async def body() -> None:
        with pytest.raises(ValueError, match="spares"):
            Pool(lambda _: asyncio.Future(), spec(COUNTER), spares)

    asyncio.run(body())
