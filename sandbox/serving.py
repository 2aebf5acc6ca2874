"""The loop inside a cell: one frame in, one frame out, in order, until the channel closes.

It runs after lockdown, so everything here is done with the cell's own few rights. Errors of the agent
become failure frames and the loop goes on; anything else ends the process, which is the daemon's
problem to report.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
from collections.abc import Sequence

from sandbox.contract import Agent, BatchAgent
from sandbox.errors import AgentFailed, Broken, CellError, Exceeded
from sandbox.frames import FRAME_BYTES_MAX, Data, Frame, FrameReader, Kind, pack
from sandbox.lockdown import THREAD_STACK_BYTES, Base, Order, tighten
from sandbox.messages import (
    MessageError,
    read_items,
    read_load,
    read_process,
    write_failure,
    write_results,
)
from sandbox.payload import Items, Ports

_EPOCH_GRACE_MS = 500  # the daemon's own deadline comes first; this one holds where there is no daemon


def serve(stream: socket.socket, order: Order, base: Base) -> None:
    """Answer frames until the daemon closes the channel or says quit."""
    if "numpy.random" in sys.modules:
        sys.modules["numpy"].random.seed()  # every fork would draw the same numbers
    threading.stack_size(THREAD_STACK_BYTES)
    resident = _Resident(order, base)
    reader = FrameReader(FRAME_BYTES_MAX)
    while True:
        count = stream.recv_into(reader.space())
        if count == 0:
            return
        for frame in reader.filled(count):
            if frame.kind == Kind.QUIT:
                return
            stream.sendall(resident.answer(frame))


class _Resident:
    """The agent that lives in this cell, from the frame that loads it on."""

    def __init__(self, order: Order, base: Base) -> None:
        self._order = order
        self._base = base
        self._agent: Agent | None = None

    def answer(self, frame: Frame) -> bytes:
        try:
            parts = self._handle(frame)
            size = sum(map(len, parts))
            if size > self._order.output_bytes:
                raise Exceeded("output_bytes", self._order.output_bytes, size)
            return pack(Kind.ANSWER, frame.call, parts)
        except CellError as error:
            failure = error
        except MemoryError:
            failure = Exceeded("memory_bytes", self._order.memory_bytes, "more")
        except MessageError as error:
            failure = AgentFailed(f"the answer cannot be sent: {error}")
        return pack(Kind.FAILURE, frame.call, write_failure(failure))

    def _handle(self, frame: Frame) -> Sequence[Data]:
        if frame.kind == Kind.LOAD:
            self._load(frame.body)
            return ()
        agent = self._agent
        if agent is None:
            raise Broken("no agent is loaded")
        match frame.kind:
            case Kind.PROCESS:
                return write_results(process(agent, *read_process(frame.body)))
            case Kind.UPDATE:
                agent.update_weights(read_items(frame.body))
                return ()
            case Kind.METADATA:
                return (json.dumps(agent.get_metadata()).encode(),)
            case Kind.CHECKPOINT:
                return (agent.checkpoint(),)
            case Kind.RESTORE:
                agent.restore(bytes(frame.body))
                return ()
            case _:
                raise Broken(f"frame kind {frame.kind} is unknown")

    def _load(self, body: Data) -> None:
        kind, name, manifest, code = read_load(body)
        deadline_ms = self._order.wall_ms + _EPOCH_GRACE_MS
        if kind == "wasm":
            from sandbox.wasm import WasmAgent  # noqa: PLC0415  (only cells of that profile may map its library)

            self._agent = WasmAgent(name, code, manifest, deadline_ms=deadline_ms)
            tighten(self._base)
        else:
            from sandbox.python_agent import PythonAgent  # noqa: PLC0415  (not needed in a wasm cell)

            tighten(self._base)
            self._agent = PythonAgent(name, code, manifest)
        os.environ.clear()


def process(agent: Agent, capability: str, batch: Sequence[Ports]) -> list[dict[str, Items] | CellError]:
    """Answer a batch through whichever call the agent has for it."""
    if isinstance(agent, BatchAgent):
        return agent.process_batch(capability, batch)
    results: list[dict[str, Items] | CellError] = []
    for inputs in batch:
        try:
            results.append(agent.process_input(capability, inputs))
        except CellError as error:
            results.append(error)
    return results
