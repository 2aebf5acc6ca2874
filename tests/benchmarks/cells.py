"""How fast cells are: `python -m tests.benchmarks.cells --json`.

Prints a line `{case, value, unit, p99}` for each case, and first one that says how loaded the machine is:
these figures are about latency, and a busy machine has none worth the name. `value` is the median. As a
user: `python -m tests.security.unprivileged -m tests.benchmarks.cells --case cold --json`.

    cold        a cell from the zygote: forked, locked down, a small agent loaded
    lease       a warm cell from a pool
    roundtrip   64 bytes to a warm Python agent and back
    batch64     the same, 64 in one call, per item
    tensor64    64 MiB to an agent and 64 MiB back
    idle        proportional memory of an idle cell
    count       cells alive at once
    infer1      one row through the digits network in a wasm cell
    infer64     the same, 64 in one call, per row
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import numpy as np

import af
from sandbox import AgentImage, Cell, CellLimits, CellSpec, Pool, Warden, tensors
from sandbox.copies import ENVIRONMENT
from sandbox.pool import Phase

ROOT: Final = Path(__file__).parents[2]
ECHO: Final = b"""
class Agent:
    def process_input(self, capability, inputs):
        return {"y": inputs["x"]}
"""
MIB: Final = 1 << 20
CASES: Final = (
    "cold",
    "lease",
    "roundtrip",
    "batch64",
    "tensor64",
    "idle",
    "count",
    "infer1",
    "infer64",
)
COUNT: Final = 200
TOGETHER: Final = 8
WARMUP: Final = 200
WAIT_S: Final = 0.002
WAITS_MAX: Final = 10_000
Samples = list[float]
Emit = Callable[[str, str, Samples], None]


def echo() -> CellSpec:
    """An agent that gives back what it gets."""
    return CellSpec(AgentImage("echo", "python", ECHO), CellLimits(output_bytes=128 * MIB))


def digits() -> tuple[CellSpec, str, list[dict[str, tuple[str, bytes]]]]:
    """The digits agent, its capability and 64 inputs."""
    source = af.parse((ROOT / "agents/digits/digits.af").read_bytes())
    program = af.executable(af.parse(af.write(af.compile_agent(source))))
    capability = program.capabilities[0]
    (port,) = capability.inputs
    wanted = program.manifest["input"]
    assert isinstance(wanted, dict)
    width = int(str(wanted["size"]))
    rows = np.random.default_rng(1).random((64, width), dtype=np.float32)
    inputs = [{port.name: ("tensor", tensors.encode(row))} for row in rows]
    return CellSpec(AgentImage("digits", "wasm", program.code, program.manifest)), capability.name, inputs


async def timed(call: Callable[[], Awaitable[object]], times: int, share: float) -> Samples:
    """Seconds divided by `share`, so many times."""
    samples = []
    for _ in range(times):
        began = time.perf_counter()
        await call()
        samples.append((time.perf_counter() - began) / share)
    return samples


async def lives(warden: Warden, emit: Emit, chosen: set[str]) -> None:
    """Making, leasing, counting and weighing cells."""
    if "cold" in chosen:
        samples = []
        for _ in range(60):
            began = time.perf_counter()
            cell = await warden.spawn(echo())
            samples.append((time.perf_counter() - began) * 1e3)
            await cell.close(grace_ms=0)
        emit("cold", "ms", samples)
    if "lease" in chosen:
        pool = warden.pool(echo(), spares=1)
        samples = []
        for _ in range(60):
            await until_spare(pool)
            began = time.perf_counter()
            cell = await pool.lease()
            samples.append((time.perf_counter() - began) * 1e3)
            await cell.close(grace_ms=0)
        emit("lease", "ms", samples)
        await pool.close()
    if chosen & {"idle", "count"}:
        await crowd(warden, emit, chosen)


async def until_spare(pool: Pool) -> None:
    """Wait until a cell is ready; the first lease of all starts it."""
    if pool.phase is Phase.FULL:
        await (await pool.lease()).close(grace_ms=0)
    for _ in range(WAITS_MAX):
        if pool.spares:
            return
        await asyncio.sleep(WAIT_S)


async def crowd(warden: Warden, emit: Emit, chosen: set[str]) -> None:
    """Many cells at once, and what an idle one weighs among them."""
    turns = asyncio.Semaphore(TOGETHER)

    async def one() -> Cell:
        async with turns:
            return await warden.spawn(echo())

    cells = await asyncio.gather(*(one() for _ in range(COUNT)), return_exceptions=True)
    alive = [cell for cell in cells if not isinstance(cell, BaseException)]
    await asyncio.gather(*(cell.process_input("x", {"x": ("json", b"1")}) for cell in alive))
    if "idle" in chosen and os.geteuid() == 0:  # a user may not weigh processes of another one
        emit("idle", "MiB", [pss_bytes(cell.pid) / MIB for cell in alive])
    if "count" in chosen:
        emit("count", "cells", [float(len(alive))])
    await asyncio.gather(*(cell.close(grace_ms=0) for cell in alive))


def pss_bytes(pid: int) -> int:
    """Proportional memory of a process."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


async def talks(warden: Warden, emit: Emit, chosen: set[str]) -> None:
    """Messages to a Python agent."""
    small = {"x": ("bytes", bytes(64))}
    async with await warden.spawn(echo()) as cell:
        await timed(lambda: cell.process_input("x", small), WARMUP, 1)
        if "roundtrip" in chosen:
            emit("roundtrip", "us", await timed(lambda: cell.process_input("x", small), 5000, 1e-6))
        if "batch64" in chosen:
            emit("batch64", "us", await timed(lambda: cell.process_batch("x", [small] * 64), 500, 64e-6))
        if "tensor64" in chosen:
            large = {"x": ("tensor", tensors.encode(np.ones(16 * MIB, np.float32)))}
            await timed(lambda: cell.process_input("x", large), 3, 1)
            emit("tensor64", "ms", await timed(lambda: cell.process_input("x", large), 30, 1e-3))


async def infers(warden: Warden, emit: Emit, chosen: set[str]) -> None:
    """Rows through a wasm agent."""
    spec, capability, inputs = digits()
    async with await warden.spawn(spec) as cell:
        await timed(lambda: cell.process_input(capability, inputs[0]), WARMUP, 1)
        if "infer1" in chosen:
            emit("infer1", "us", await timed(lambda: cell.process_input(capability, inputs[0]), 5000, 1e-6))
        if "infer64" in chosen:
            emit("infer64", "us", await timed(lambda: cell.process_batch(capability, inputs), 500, 64e-6))


async def run(chosen: set[str], emit: Emit) -> None:
    """All chosen cases with one warden."""
    async with await Warden.open() as warden:
        if chosen & {"cold", "lease", "idle", "count"}:
            await lives(warden, emit, chosen)
        if chosen & {"roundtrip", "batch64", "tensor64"}:
            await talks(warden, emit, chosen)
        if chosen & {"infer1", "infer64"}:
            await infers(warden, emit, chosen)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.cells", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    parser.add_argument("--case", action="append", choices=CASES, help="only this one; may be repeated")
    arguments = parser.parse_args()
    if missing := ENVIRONMENT.items() - os.environ.items():  # which daemons have, from their start on
        os.execve(sys.executable, sys.orig_argv, {**os.environ, **dict(missing)})

    def emit(case: str, unit: str, samples: Samples) -> None:
        ordered = sorted(samples)
        median, p99 = ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]
        line = {"case": case, "value": round(median, 3), "unit": unit, "p99": round(p99, 3)}
        text = json.dumps(line) if arguments.json else f"{case:10} {median:10.3f} {unit:6} p99 {p99:.3f}"
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    emit("load", f"runnable on {os.cpu_count()} processors", [os.getloadavg()[0]])
    asyncio.run(run(set(arguments.case or CASES), emit))


if __name__ == "__main__":
    main()
