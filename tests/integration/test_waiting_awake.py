"""The daemon's end of a channel that stays awake for an answer; the cell is played in the same thread."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import ExitStack

import pytest

from sandbox import lookout
from sandbox.channel import Answer, Channel
from sandbox.errors import Broken
from sandbox.frames import Kind, pack
from sandbox.lookout import Vigil

TURNS = 50
LONG_S = 600.0


class Quick:
    """The habit of who was always answered at once."""

    is_awake = True

    def waited(self, seconds: float) -> None:
        assert seconds >= 0


class Ends:
    """Both ends of a channel that the selector is silent about: answers are found by looking out."""

    def __init__(self, stack: ExitStack, vigil: Vigil) -> None:
        ours, self.cell = socket.socketpair()
        stack.enter_context(self.cell)
        self.channel = Channel(ours, 1 << 20, lambda _: None, lambda _: None, vigil=vigil)
        self.channel._lookout._habit = Quick()  # type: ignore[assignment]
        asyncio.get_running_loop().remove_reader(ours)
        stack.callback(self.channel.close, lambda: Broken("closed"))

    def call(self) -> asyncio.Future[Answer]:
        return self.channel.call(Kind.PROCESS, (b"x",), LONG_S)

    def answer(self, number: int = 1) -> None:
        self.cell.send(pack(Kind.ANSWER, number, (b"y",)))


Scenario = Callable[[ExitStack, Vigil], Awaitable[None]]


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Callable[[Scenario], Vigil]:
    monkeypatch.setattr(lookout, "AWAKE_S", LONG_S)

    def run(scenario: Scenario) -> Vigil:
        async def whole() -> Vigil:
            vigil = Vigil(allowed=True)
            with ExitStack() as stack:
                await scenario(stack, vigil)
            await turns()
            return vigil

        return asyncio.run(whole())

    return run


async def turns() -> None:
    """Everything else in the loop gets its turns, whoever looks out."""
    for _ in range(TURNS):
        await asyncio.sleep(0)


def test_who_is_awake_finds_the_answer_and_the_loop_goes_on_meanwhile(
    play: Callable[[Scenario], Vigil],
) -> None:
    async def scenario(stack: ExitStack, vigil: Vigil) -> None:
        ends = Ends(stack, vigil)
        for number in (1, 2):
            waiting = ends.call()
            await turns()
            assert not waiting.done()
            assert ends.channel._lookout.is_out
            ends.answer(number)
            assert (await asyncio.wait_for(waiting, 60)).body == b"y"
            await turns()
            assert not ends.channel._lookout.is_out

    assert play(scenario).waiting == 0


def test_nobody_stays_awake_while_two_cells_are_waited_for(play: Callable[[Scenario], Vigil]) -> None:
    async def scenario(stack: ExitStack, vigil: Vigil) -> None:
        first, second = Ends(stack, vigil), Ends(stack, vigil)
        waiting = first.call()
        await turns()
        assert first.channel._lookout.is_out
        others = second.call()
        await turns()
        assert not first.channel._lookout.is_out
        assert not second.channel._lookout.is_out
        assert not waiting.done()
        assert not others.done()
        first.answer()
        first.channel._receive()
        await waiting
        assert vigil.waiting == 1

    assert play(scenario).waiting == 0


def test_nobody_stays_awake_for_a_second_call_of_the_same_cell(play: Callable[[Scenario], Vigil]) -> None:
    async def scenario(stack: ExitStack, vigil: Vigil) -> None:
        ends = Ends(stack, vigil)
        ends.call().add_done_callback(lambda done: done.exception())
        ends.call().add_done_callback(lambda done: done.exception())
        await turns()
        assert not ends.channel._lookout.is_out

    assert play(scenario).waiting == 0


def test_it_ends_when_its_time_is_up(
    play: Callable[[Scenario], Vigil], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookout, "AWAKE_S", 0.0)

    async def scenario(stack: ExitStack, vigil: Vigil) -> None:
        ends = Ends(stack, vigil)
        ends.call().add_done_callback(lambda done: done.exception())
        await turns()
        assert not ends.channel._lookout.is_out

    assert play(scenario).waiting == 0


def test_it_ends_with_the_channel(play: Callable[[Scenario], Vigil]) -> None:
    async def scenario(stack: ExitStack, vigil: Vigil) -> None:
        ends = Ends(stack, vigil)
        waiting = ends.call()
        await turns()
        ends.cell.close()
        await turns()
        assert not ends.channel._lookout.is_out
        ends.channel.close(lambda: Broken("gone"))
        with pytest.raises(Broken, match="gone"):
            await waiting

    assert play(scenario).waiting == 0
