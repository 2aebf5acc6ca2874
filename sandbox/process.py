"""The process of one cell as the daemon holds it: its handle, its output, how it ended and what it took."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Final

from sandbox.cgroups import Group
from sandbox.errors import Broken, CellError, Exceeded, clean_text
from sandbox.nursery import Exit
from sandbox.spec import CellSpec

_TAIL_BYTES: Final = 4096
_READ_BYTES: Final = 65536


class _Output:
    """What the agent printed: the last of it kept, all of it counted against the output limit."""

    def __init__(self, descriptor: int, bytes_max: int) -> None:
        self._descriptor = descriptor
        self._bytes_max = bytes_max
        self._tail = b""
        self.size = 0

    def read(self) -> bool:
        """Take what is there; False when the pipe has ended."""
        try:
            data = os.read(self._descriptor, _READ_BYTES)
        except BlockingIOError:
            return True
        self._tail = (self._tail + data)[-_TAIL_BYTES:]
        self.size += len(data)
        return bool(data)

    @property
    def is_over(self) -> bool:
        return self.size > self._bytes_max

    @property
    def text(self) -> str:
        return clean_text(self._tail.decode(errors="replace"))


class Process:
    """From the pidfd the zygote sent to the exit it reported."""

    def __init__(
        self, spec: CellSpec, output: int, group: Group, on_over: Callable[[Exceeded], None]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._spec = spec
        self._group = group
        self._on_over = on_over
        self._handle = -1
        self._output_descriptor = output
        self._output = _Output(output, spec.limits.output_bytes)
        self._loop.add_reader(output, self._read_output)
        self.exit: Exit | None = None
        self.pid = 0

    def adopt(self, handle: int) -> None:
        """Take over the pidfd of the process that was forked for this cell."""
        self._handle = handle
        for line in Path(f"/proc/self/fdinfo/{handle}").read_text().splitlines():
            if line.startswith("Pid:"):
                self.pid = max(0, int(line.split()[1]))
        if self.exit is not None:
            self._close_handle()

    def kill(self) -> None:
        """End it, if it has not ended already."""
        if self._handle >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)

    def exited(self, ending: Exit, *, was_asked: bool) -> CellError:
        """It is gone: let go of everything of it, and say why."""
        self.exit = ending
        self._read_output()
        self._loop.remove_reader(self._output_descriptor)
        os.close(self._output_descriptor)
        self._close_handle()
        return self._explain(ending, was_asked=was_asked)

    @property
    def text(self) -> str:
        """The end of what the agent printed, cleaned."""
        return self._output.text

    def usage(self) -> tuple[float | None, int | None]:
        """Processor time and peak memory so far."""
        if self.exit is not None:
            return self.exit.cpu_ms, self.exit.memory_peak_bytes
        return _cpu_ms(self.pid), self._group.memory_peak_bytes() or _peak_bytes(self.pid)

    def _close_handle(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def _read_output(self) -> None:
        more = self._output.read()
        if not more:
            self._loop.remove_reader(self._output_descriptor)
        elif self._output.is_over and self.exit is None:
            limit = self._spec.limits.output_bytes
            self._on_over(Exceeded("output_bytes", limit, self._output.size, place=self._spec.image.name))

    def _explain(self, ending: Exit, *, was_asked: bool) -> CellError:
        name, limits = self._spec.image.name, self._spec.limits
        code = os.waitstatus_to_exitcode(ending.status)
        if code >= 0:
            if code == 0 and was_asked:
                return Broken("the cell was closed", place=name, code="cell.closed")
            said = f": {self._output.text}" if self._output.size else ""
            return Broken(f"the agent ended its process with code {code}{said}", place=name)
        if -code == signal.SIGKILL and self._group.oom_kills():
            return Exceeded("memory_bytes", limits.memory_bytes, "more memory", place=name)
        if -code == signal.SIGSYS:
            return Broken(
                "the agent made a forbidden system call (SIGSYS)", place=name, code="cell.violation"
            )
        return Broken(f"the cell died of {signal.Signals(-code).name}", place=name, code="cell.died")


def _cpu_ms(pid: int) -> float | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return 1000 * (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak_bytes(pid: int) -> int | None:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), None)
