"""Hosts without a process sandbox: wasm agents only, inside the daemon's own process, and it says so.

Where a kernel gives no namespaces, no seccomp and no Landlock, a program cannot be locked up, but a wasm
module still can: it has no imports, a memory of fixed size that it cannot leave, and a deadline. That is
one layer instead of many, so nothing else is attested: agents that require more are not hosted here, and
Python agents never. Each cell has a thread; a bug in wasmtime itself would reach the daemon.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import numpy as np
import wasmtime

from sandbox.aot import NativeCache
from sandbox.cell import NEXT, State
from sandbox.errors import AgentFailed, Broken, CellError, Exceeded, Refused
from sandbox.payload import Items, Ports
from sandbox.spec import Attestation, CellSpec, Missing, Tier, Usage
from sandbox.wasm import Compile, WasmAgent
from sandbox.wasmcomponent import ABI as COMPONENT_ABI
from sandbox.wasmfresh import wasm_agent
from sandbox.wasmlayout import PAGE_BYTES

TIER: Final[Tier] = "wasm-only"
LAYER: Final = "wasm"
CELLS_MAX: Final = 100
CALLS_MAX: Final = 1024  # outstanding in one cell
_TRIAL_MS: Final = 50
_WHY: Final = "this daemon runs in the tier wasm-only: agents share its process"
_REMEDY: Final = "run the daemon on Linux as root, or where users may make user namespaces"
_MISSING: Final = tuple(
    Missing(layer, _WHY, _REMEDY)
    for layer in ("namespaces", "filesystem", "network", "processes", "syscalls", "memory", "cpu", "disk")
)
_T = TypeVar("_T")


class EdgeCell:
    """A wasm agent on a thread of this process: the calls of a `Cell`."""

    def __init__(self, spec: CellSpec, agent: WasmAgent, thread: ThreadPoolExecutor) -> None:
        self._spec = spec
        self._agent = agent
        self._thread = thread
        self._outstanding = 0
        self.state = State.READY
        self.layers = (LAYER,)
        self.closed: asyncio.Future[CellError] = asyncio.get_running_loop().create_future()

    async def process_input(
        self, capability: str, inputs: Mapping[str, Items], wall_ms: int | None = None
    ) -> dict[str, Items]:
        """Answer one input."""
        return await self._do(lambda: self._agent.process_input(capability, inputs), wall_ms)

    async def process_batch(
        self, capability: str, batch: Sequence[Ports], wall_ms: int | None = None
    ) -> list[dict[str, Items] | CellError]:
        """Answer many inputs; each has its own result or error."""
        return await self._do(lambda: self._agent.process_batch(capability, batch), wall_ms)

    async def update_weights(self, feedback: Items) -> None:
        """Teach the agent."""
        await self._do(lambda: self._agent.update_weights(feedback))

    async def get_metadata(self) -> dict[str, Any]:
        """Ask the agent what it is."""
        return await self._do(self._agent.get_metadata)

    async def checkpoint(self) -> bytes:
        """The agent's learned state."""
        return await self._do(self._agent.checkpoint)

    async def restore(self, data: bytes) -> None:
        """Put a learned state back."""
        await self._do(lambda: self._agent.restore(data))

    async def _do(self, work: Callable[[], _T], wall_ms: int | None = None) -> _T:
        name, limit_ms = self._spec.image.name, self._spec.limits.wall_ms
        if self.state is not State.READY:
            raise Broken(f"the cell is {self.state.value}", place=name, code="cell.closed")
        if self._outstanding >= CALLS_MAX:
            raise Exceeded("calls_outstanding", CALLS_MAX, self._outstanding + 1, place=name)
        given_ms = min(wall_ms or limit_ms, limit_ms)
        self._outstanding += 1
        try:
            future = asyncio.get_running_loop().run_in_executor(self._thread, work)
            return await asyncio.wait_for(future, given_ms / 1000)
        except TimeoutError as error:
            # The module's own deadline ends it; until then its thread is lost, and so is this cell.
            late = Exceeded("wall_ms", given_ms, "more time", place=name)
            self._end(late)
            raise late from error
        finally:
            self._outstanding -= 1

    def usage(self) -> Usage:
        """What a thread of this process takes cannot be told apart, but for its memory."""
        return Usage(None, self._spec.image.manifest["pages"] * PAGE_BYTES)  # the agent has checked it

    def kill(self) -> None:
        """End the cell; a call under way ends at its deadline, unheard."""
        self._end(Broken("the cell was killed", code="cell.closed"))

    async def close(self, grace_ms: int = 200) -> None:
        """Let the agent finish what it has been asked, but no longer than the grace."""
        if self.state is State.READY:
            self.state = NEXT[self.state, "stop"]
            idle = asyncio.get_running_loop().run_in_executor(self._thread, lambda: None)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(idle, grace_ms / 1000)
        self._end(Broken("the cell was closed", code="cell.closed"))

    def _end(self, reason: CellError) -> None:
        if self.closed.done():
            return
        self.state = NEXT[self.state, "exit"]
        self._thread.shutdown(wait=False, cancel_futures=True)
        self.closed.set_result(reason)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class EdgeWarden:
    """Makes cells where there is no process sandbox; asked for by name, never fallen back to."""

    def __init__(self, compiler: Compile = wasmtime.Module) -> None:
        self._compiler = compiler
        self._cells: set[EdgeCell] = set()
        self._closed = False
        self.tier: Tier = TIER
        self.attestation = Attestation(TIER, (), _MISSING, {})

    @classmethod
    async def start(cls, native_code: Path | None = None) -> Self:
        """A warden whose one layer was attacked and held; raises `Refused` otherwise.

        In the folder `native_code` it keeps the machine code of agents it has compiled.
        """
        compiler = wasmtime.Module if native_code is None else NativeCache(native_code).module
        for name, trial in TRIALS.items():
            outcome = await asyncio.to_thread(trial)
            if outcome is not None:
                raise Refused(f"{name}: {outcome}", place=LAYER, remedy="host no agents on this machine")
        warden = cls(compiler)
        warden.attestation = Attestation(TIER, (LAYER,), _MISSING, {})
        return warden

    async def spawn(self, spec: CellSpec) -> EdgeCell:
        """A wasm agent, loaded and ready; everything else is refused."""
        name = spec.image.name
        if self._closed:
            raise Broken("the warden is closed", place="warden", code="cell.closed")
        if spec.image.kind != "wasm":
            raise Refused(f"{name} is a {spec.image.kind} agent; {_WHY}", place="tier", remedy=_REMEDY)
        for layer in spec.requires:
            if layer not in self.attestation.held:
                raise Refused(f"{name} requires this layer; {_WHY}", place=layer, remedy=_REMEDY)
        if len(self._cells) >= CELLS_MAX:
            raise Exceeded("cells", CELLS_MAX, len(self._cells) + 1, place="warden")
        thread = ThreadPoolExecutor(1, thread_name_prefix="edge-cell")
        try:
            agent = await asyncio.get_running_loop().run_in_executor(thread, load, spec, self._compiler)
        except BaseException:
            thread.shutdown(wait=False)
            raise
        cell = EdgeCell(spec, agent, thread)
        self._cells.add(cell)
        cell.closed.add_done_callback(lambda _: self._cells.discard(cell))
        return cell

    async def close(self) -> None:
        """End every cell."""
        self._closed = True
        await asyncio.gather(*(cell.close(grace_ms=0) for cell in list(self._cells)))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def load(spec: CellSpec, compiler: Compile = wasmtime.Module) -> WasmAgent:
    """The agent of a spec; its memory is fixed, so the limit is checked once."""
    image, limits = spec.image, spec.limits
    if image.manifest.get("abi") == COMPONENT_ABI:
        # The lists it gives become Python objects, sixteen times as large: only a cell can bound that.
        raise Refused(f"{image.name} is a component; {_WHY}", place="tier", remedy=_REMEDY)
    pages = image.manifest.get("pages")
    if isinstance(pages, int) and pages * PAGE_BYTES > limits.memory_bytes:
        raise Exceeded("memory_bytes", limits.memory_bytes, pages * PAGE_BYTES, place=image.name)
    return wasm_agent(image.name, image.code, image.manifest, deadline_ms=limits.wall_ms, compiler=compiler)


# -- the trials of the one layer ----------------------------------------------------------------------------

_FRAME: Final = """(module {imports} (memory (export "memory") 1 {most})
  (func (export "infer1") {body}) (func (export "infer") (param i32) {body}))"""
_MANIFEST: Final = {
    "abi": "af-wasm-1",
    "capability": "self:test",
    "input": {"port": "x", "offset": 0, "size": 1, "stride": 1},
    "output": {"port": "y", "offset": 64, "size": 1, "stride": 1},
    "batch_max": 1,
    "pages": 1,
    "weights": {"start": 0, "end": 0},
}


def _attempt(body: str, most: str = "1", imports: str = "") -> tuple[float, CellError | None]:
    """What a module with such a body answers to 0, and the error it met."""
    code = bytes(wasmtime.wat2wasm(_FRAME.format(body=body, most=most, imports=imports)))
    try:
        agent = WasmAgent("self-test", code, _MANIFEST, deadline_ms=_TRIAL_MS)
        return float(agent.infer(np.zeros(1, np.float32))[0]), None
    except CellError as error:
        return 0.0, error


def run_without_end() -> str | None:
    """Loop for ever."""
    _, error = _attempt("(loop $again (br $again))")
    return None if isinstance(error, Exceeded) else f"it was not stopped: {error}"


def read_outside_the_memory() -> str | None:
    """Read where the memory has ended."""
    _, error = _attempt("(f32.store offset=64 (i32.const 0) (f32.load (i32.const 65536)))")
    return None if isinstance(error, AgentFailed) else f"it was not trapped: {error}"


def grow_the_memory() -> str | None:
    """Ask for more memory."""
    grown, error = _attempt(
        "(f32.store offset=64 (i32.const 0) (f32.convert_i32_s (memory.grow (i32.const 1))))"
    )
    return None if error is None and grown < 0 else f"it grew: {grown}, {error}"


def have_a_memory_that_may_grow() -> str | None:
    """Declare more memory than was agreed."""
    _, error = _attempt("", most="9")
    return None if isinstance(error, AgentFailed) else "it was loaded"


def import_something() -> str | None:
    """Ask for a function of the host."""
    _, error = _attempt("", imports='(import "wasi_snapshot_preview1" "fd_write" (func (result i32)))')
    return None if isinstance(error, AgentFailed) else "it was loaded"


def recurse_without_end() -> str | None:
    """Use up the stack."""
    _, error = _attempt("(call 0)")
    return None if isinstance(error, AgentFailed) else f"it was not trapped: {error}"


TRIALS: Final[dict[str, Callable[[], str | None]]] = {
    trial.__name__: trial
    for trial in (
        run_without_end,
        read_outside_the_memory,
        grow_the_memory,
        have_a_memory_that_may_grow,
        import_something,
        recurse_without_end,
    )
}
