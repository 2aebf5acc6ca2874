"""When the daemon dies, however it dies, its cells die with it."""

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sandbox.cgroups import Cgroups
from tests.security.unprivileged import REPOSITORY

pytestmark = pytest.mark.timeout(300)

DAEMON = """
import asyncio, sys, time
from sandbox import AgentImage, CellSpec, Warden
SOURCE = b'''
class Agent:
    def process_input(self, capability, inputs):
        while True:
            pass
'''
async def main():
    warden = await Warden.open()
    cells = [await warden.spawn(CellSpec(AgentImage("spin", "python", SOURCE))) for _ in range(3)]
    for cell in cells:
        asyncio.ensure_future(cell.process_input("spin", {}))
    await asyncio.sleep(0.05)
    zygotes = [nursery._process.pid for nursery in warden._nurseries.values()]
    print(*[cell.pid for cell in cells], *zygotes, flush=True)
    time.sleep(60)
asyncio.run(main())
"""
ROUNDS_MAX = 20
ALIVE_S_MAX = 0.1


def time_to_die(victim: str) -> float:
    """Seconds from the kill until the last cell is gone."""
    with subprocess.Popen(
        [sys.executable, "-c", DAEMON], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
    ) as daemon:
        assert daemon.stdout is not None
        *cells, keeper = map(int, daemon.stdout.readline().split())
        handles = [os.pidfd_open(pid) for pid in cells]
        began = time.monotonic()
        os.kill(daemon.pid if victim == "daemon" else keeper, signal.SIGKILL)
        waiting = set(handles)
        while waiting:
            ready, _, _ = select.select(list(waiting), [], [], 10)
            assert ready, "a cell outlived its daemon by 10 s"
            waiting -= set(ready)
        took = time.monotonic() - began
        for handle in handles:
            os.close(handle)
        daemon.kill()
    return took


def dies_in_time(victim: str) -> bool:
    """Whether the last cell is gone in time, once in several rounds.

    On a busy machine a process waits for its turn to die; what must not be is a slow way to die.
    """
    return any(time_to_die(victim) < ALIVE_S_MAX for _ in range(ROUNDS_MAX))


def left_behind(pid: int) -> list[Path]:
    """Control groups of a daemon, wherever they are mounted."""
    return list(Path("/sys/fs/cgroup").glob(f"**/cells-{pid}-*"))


def test_control_groups_of_a_killed_daemon_are_removed_by_the_next_one() -> None:
    first = Cgroups()
    first.close()
    if not first.versions:
        pytest.skip("; ".join(f"{item.layer}: {item.reason}" for item in first.missing))
    with subprocess.Popen(
        [sys.executable, "-c", DAEMON], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
    ) as daemon:
        assert daemon.stdout is not None
        daemon.stdout.readline()
        assert left_behind(daemon.pid)
        daemon.kill()
    for _ in range(1000):  # the kernel counts dying processes for a while
        Cgroups().close()
        if not left_behind(daemon.pid):
            return
        time.sleep(0.02)
    raise AssertionError(f"still there: {left_behind(daemon.pid)}")


def test_a_killed_daemon_leaves_no_cell_alive() -> None:
    assert dies_in_time("daemon")


def test_a_killed_zygote_leaves_no_cell_alive() -> None:
    assert dies_in_time("zygote")
