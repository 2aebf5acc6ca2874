"""Keeps daemons as processes of this machine, and makes sure that none outlives its keeper.

Every daemon holds the reading end of one pipe, whose writing end only the keeper has; when that closes -- the
keeper stopped, crashed or was killed -- the daemons drain and end. Each is the head of a process group of its
own, and what is left of the group when the daemon has ended is killed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from sandbox.copies import ENVIRONMENT
from swarm import limits
from swarm.errors import Conflict, NotFound
from swarm.ids import NodeId

STOP_S_MAX: Final = limits.DRAIN_MS_MAX / 1000 + 5.0
LOOK_EVERY_S: Final = 0.01
SOURCE: Final = Path(__file__).resolve().parents[2]


class Keeper:
    """The daemons' processes."""

    def __init__(self) -> None:
        self._lifeline = self._writing_end = -1
        self._processes: dict[NodeId, subprocess.Popen[bytes]] = {}

    def spawn(self, node: NodeId, config: Path, log: Path) -> None:
        """Start a daemon; what it says goes to the end of `log`."""
        if node in self.running():
            raise Conflict(f"{node} is running", place=node, remedy="kill or terminate it first")
        if (before := self._processes.pop(node, None)) is not None:
            _wait(before, 0)
        if self._lifeline < 0:
            self._lifeline, self._writing_end = os.pipe()
        # -P: what lies in the working directory is never imported. The path: the very code that runs here.
        command = [sys.executable, "-P", "-m", "swarm", "node", "--config", str(config)]
        paths = [str(SOURCE), *filter(None, [os.environ.get("PYTHONPATH")])]
        with log.open("ab") as output:
            self._processes[node] = subprocess.Popen(
                [*command, "--lifeline", str(self._lifeline)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=config.parent,
                env={**ENVIRONMENT, **os.environ, "PYTHONPATH": os.pathsep.join(paths)},
                pass_fds=(self._lifeline,),
                start_new_session=True,
            )

    def pid(self, node: NodeId) -> int:
        return self._running(node).pid

    def running(self) -> tuple[NodeId, ...]:
        """Nodes whose process has not ended."""
        return tuple(node for node, process in self._processes.items() if _lives(process))

    def ended(self) -> dict[NodeId, int]:
        """Exit codes of daemons that ended without being asked to."""
        over = {node: process for node, process in self._processes.items() if not _lives(process)}
        return {node: _wait(process, 0) for node, process in over.items()}

    def end(self, node: NodeId, number: signal.Signals) -> int:
        """Send a signal and wait for the end; returns the exit code."""
        process = self._running(node)
        process.send_signal(number)
        code = _wait(process, STOP_S_MAX)
        del self._processes[node]
        return code

    def close(self) -> dict[NodeId, int]:
        """End every daemon, gently for `STOP_S_MAX` seconds; returns their exit codes. Safe to repeat."""
        for process in filter(_lives, self._processes.values()):
            process.send_signal(signal.SIGTERM)
        until = time.monotonic() + STOP_S_MAX
        codes = {node: _wait(process, until - time.monotonic()) for node, process in self._processes.items()}
        self._processes.clear()
        for end in (self._lifeline, self._writing_end):
            if end >= 0:
                os.close(end)
        self._lifeline = self._writing_end = -1
        return codes

    def _running(self, node: NodeId) -> subprocess.Popen[bytes]:
        process = self._processes.get(node)
        if process is None or not _lives(process):
            names = ", ".join(self.running()) or "none"
            raise NotFound(f"no node {node!r} is running", place="cluster", remedy=f"running are: {names}")
        return process


def _lives(process: subprocess.Popen[bytes]) -> bool:
    """Whether it runs. Unlike `poll` this never reaps: until `_wait` does, the group's number stays taken."""
    flags = os.WEXITED | os.WNOWAIT | os.WNOHANG
    return process.returncode is None and os.waitid(os.P_PID, process.pid, flags) is None


def _wait(process: subprocess.Popen[bytes], patience_s: float) -> int:
    """Wait for a daemon's end, force it when patience runs out, and end what it left behind."""
    if process.returncode is None:
        until = time.monotonic() + patience_s
        while _lives(process):
            if time.monotonic() > until:
                os.killpg(process.pid, signal.SIGKILL)
            time.sleep(LOOK_EVERY_S)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    return process.wait()
