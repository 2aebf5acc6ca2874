"""What cells took is summed up, living and ended ones alike."""

import asyncio

import sandbox
from swarm.adapters import usage as module
from swarm.adapters.usage import UsageBook
from swarm.ids import Digest
from swarm.wire.messages import Usage

AGENT = Digest("a")


class StandInCell:
    """A cell as far as the book looks at it."""

    def __init__(self, *, cpu_ms=None, memory=0, said=0, told=0):
        self.closed = asyncio.get_running_loop().create_future()
        self.taken = sandbox.Usage(cpu_ms, memory, said, told)

    def usage(self):
        return self.taken

    async def end(self):
        self.closed.set_result(None)
        await asyncio.sleep(0)


def test_cells_that_ended_stay_in_the_sum_and_the_largest_counts_for_memory():
    async def body():
        book = UsageBook()
        assert book.read("x", AGENT) == Usage(AGENT, 0, None, 0, 0, 0)
        first, second = StandInCell(cpu_ms=5, memory=70, said=1, told=2), StandInCell(memory=50, said=10)
        book.enter("x", first)
        book.enter("x", second)
        book.enter("y", StandInCell(memory=1000))
        assert book.read("x", AGENT) == Usage(AGENT, 2, 5, 70, 11, 2)
        await first.end()
        second.taken = sandbox.Usage(8, 60, 20, 0)
        assert book.read("x", AGENT) == Usage(AGENT, 1, 13, 70, 21, 2)
        await second.end()
        assert book.read("x", AGENT) == Usage(AGENT, 0, 13, 70, 21, 2)

    asyncio.run(body())


def test_agents_nobody_hosts_any_more_are_forgotten_when_there_are_many(monkeypatch):
    async def body():
        monkeypatch.setattr(module, "PAGES_MAX", 10)
        book = UsageBook()
        book.enter("living", StandInCell(memory=1))
        for number in range(50):
            cell = StandInCell(memory=1)
            book.enter(number, cell)
            await cell.end()
        assert len(book._pages) <= 11
        assert book.read("living", AGENT).cells == 1

    asyncio.run(body())
