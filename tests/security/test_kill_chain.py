"""When the daemon dies, however it dies, its cells die with it."""

import os
import select
import signal
import subprocess
import sys
import time

from tests.security.unprivileged import REPOSITORY

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
ROUNDS = 3
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


def test_a_killed_daemon_leaves_no_cell_alive() -> None:
    # The best of several, because this machine may be busy; what must not be is a slow way to die.
    assert min(time_to_die("daemon") for _ in range(ROUNDS)) < ALIVE_S_MAX


def test_a_killed_zygote_leaves_no_cell_alive() -> None:
    assert min(time_to_die("zygote") for _ in range(ROUNDS)) < ALIVE_S_MAX
