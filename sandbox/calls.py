"""The calls one makes of an agent in a cell, from words to frames and back."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from sandbox.bodies import MessageError
from sandbox.channel import Answer, Channel, Loan, lend
from sandbox.errors import AgentFailed, Broken, CellError, Exceeded
from sandbox.frames import Data, Kind
from sandbox.messages import read_results, write_items, write_process
from sandbox.outside import Stored
from sandbox.payload import Items, Ports, parse_json
from sandbox.rows import Payable
from sandbox.single import Seen, as_result, write_call
from sandbox.spec import CellSpec

_PROCESS: Final = int(Kind.PROCESS)


class Calls:
    """Sends calls and reads answers; what ends a cell is the business of the class made of this one."""

    def __init__(self, spec: CellSpec, channel: Channel) -> None:
        self._spec = spec
        self._channel = channel
        self._wall_ms = spec.limits.wall_ms
        self._place = spec.image.name
        self._seen = Seen()

    def _check_ready(self) -> None:
        """Raise what keeps the cell from taking calls."""
        raise NotImplementedError

    def _failed(self, error: CellError) -> None:
        """Hear what a call ended with."""
        raise NotImplementedError

    def _distrust(self, error: ValueError) -> Broken:
        """End a cell that answered with what is no answer; returns the reason."""
        raise NotImplementedError

    async def process_input(
        self, capability: str, inputs: Mapping[str, Items], wall_ms: int | None = None
    ) -> dict[str, Items]:
        """Answer one input."""
        (result,) = self._results(await self._ask(capability, (inputs,), wall_ms), 1)
        if isinstance(result, CellError):
            raise result
        return result

    async def process_batch(
        self, capability: str, batch: Sequence[Ports], wall_ms: int | None = None
    ) -> list[dict[str, Items] | CellError]:
        """Answer many inputs with one frame each way; each has its own result or error."""
        return self._results(await self._ask(capability, batch, wall_ms), len(batch))

    async def process_large(
        self, capability: str, batch: Sequence[Ports], wall_ms: int | None = None
    ) -> list[dict[str, Items] | CellError]:
        """The same where payloads may be `Stored` on the way in, and `Held` on the way out.

        Neither passes the memory of this process, nor holds its loop up.
        """
        if len(batch) == 1 and (single := self._single(capability, batch[0])):
            return self._results(await self._call(_PROCESS, single, wall_ms, held=True), 1)
        loans: list[Loan] = []

        def share(payloads: list[Payable], size: int) -> int | None:
            loan = lend(self._channel.lender, payloads, size, outside=True)
            if loan is None and not any(isinstance(payload, Stored) for payload in payloads):
                return None  # it fits the socket
            if loan is None:
                limit = self._spec.limits.memory_bytes
                raise Exceeded("memory_bytes", limit, size, place=self._place, remedy="give the agent more")
            loans.append(loan)
            return loan.piece.number

        try:
            parts = write_process(capability, batch, share)
            for loan in loans:
                target = loan.piece.handle(writable=True)  # the cell may end, and its pieces with it
                await asyncio.to_thread(loan.load, target)
                self._check_ready()
                self._channel.announce(loan)
            pieces = [loan.piece.number for loan in loans]
            answer = self._call(_PROCESS, parts, wall_ms, *pieces, held=True)
        except BaseException as error:
            for loan in loans:
                self._channel.lender.take_back(loan.piece.number, kept=False)
            if isinstance(error, (MessageError, KeyError, TypeError, UnicodeError, OSError)):
                raise AgentFailed(f"the input cannot be sent: {error!r}", place=self._place) from error
            raise
        return self._results(await answer, len(batch))

    def _ask(self, capability: str, batch: Sequence[Ports], wall_ms: int | None) -> asyncio.Future[Answer]:
        if len(batch) == 1 and (single := self._single(capability, batch[0])):
            return self._call(_PROCESS, single, wall_ms)
        pieces: list[int] = []

        def share(payloads: list[Payable], size: int) -> int | None:
            loan = lend(self._channel.lender, payloads, size)
            if loan is None:
                return None
            loan.fill()
            self._channel.announce(loan)
            pieces.append(loan.piece.number)
            return loan.piece.number

        try:
            parts = write_process(capability, batch, share)
            return self._call(_PROCESS, parts, wall_ms, *pieces)
        except (MessageError, KeyError, TypeError, UnicodeError, CellError) as error:
            for number in pieces:
                self._channel.lender.take_back(number, kept=False)
            if isinstance(error, CellError):
                raise
            raise AgentFailed(f"the input cannot be sent: {error!r}", place=self._place) from error

    def _single(self, capability: str, inputs: Ports) -> tuple[Data, Data] | None:
        try:
            return write_call(capability, inputs)
        except (MessageError, KeyError, TypeError, UnicodeError):
            return None  # the long way says what is wrong

    def _results(self, answer: Answer, count: int) -> list[dict[str, Items] | CellError]:
        body, shared, held = answer
        if count == 1 and shared is None and held is None and (data := self._seen.payload(body)) is not None:
            return [as_result(self._seen, data)]
        try:
            results = read_results(body, count, shared, held)
        except ValueError as error:
            if answer.held is not None:
                answer.held[0].close()
            raise self._distrust(error) from error
        if count == 1 and shared is None and held is None:
            self._seen.learn(body, results[0])
        for result in results:
            if type(result) is not dict:  # hardly ever
                self._failed(cast("CellError", result))
        return results

    async def update_weights(self, feedback: Items) -> None:
        """Teach the agent."""
        await self._call(Kind.UPDATE, write_items(feedback))

    async def get_metadata(self) -> dict[str, Any]:
        """Ask the agent what it is; its words, not ours."""
        body = (await self._call(Kind.METADATA, ())).body
        try:
            facts = parse_json(bytes(body))
        except ValueError as error:
            raise self._distrust(error) from error
        if not isinstance(facts, dict):
            raise self._distrust(ValueError("metadata is no JSON object"))
        return facts

    async def checkpoint(self) -> bytes:
        """The agent's learned state."""
        return bytes((await self._call(Kind.CHECKPOINT, ())).body)

    async def restore(self, data: bytes) -> None:
        """Put a learned state back."""
        await self._call(Kind.RESTORE, (data,))

    def _call(
        self,
        kind: int,
        parts: Sequence[Data],
        wall_ms: int | None = None,
        piece: int = 0,
        *,
        held: bool = False,
    ) -> asyncio.Future[Answer]:
        self._check_ready()
        limit_ms = self._wall_ms
        return self._channel.call(kind, parts, min(wall_ms or limit_ms, limit_ms) / 1000, piece, held=held)
