"""What the processes of a benchmark cost: CPU, memory, and how busy the rest of the machine was."""

import os
import time
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")


def _stat(pid):
    raw = Path(f"/proc/{pid}/stat").read_text()
    return raw[raw.rindex(")") + 2 :].split()


def tree(root=None):
    """`root` (default: this process) and all its living descendants."""
    children = {}
    for name in (path.name for path in Path("/proc").iterdir()):
        if name.isdigit():
            try:
                children.setdefault(int(_stat(name)[1]), []).append(int(name))
            except (OSError, ValueError):
                continue
    found, todo = [], [root or os.getpid()]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += children.get(pid, [])
    return found


def cpu_seconds():
    """CPU used so far by each process of the tree, reaped children included."""
    total = {}
    for pid in tree():
        try:
            total[pid] = sum(int(ticks) for ticks in _stat(pid)[11:15]) / TICK
        except (OSError, ValueError):
            continue
    return total


def pss_mb(pids):
    """Proportional memory of some processes."""
    total = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def _machine():
    ticks = [int(value) for value in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / TICK, sum(ticks) / TICK


class Meter:
    """CPU our processes used, and the share of the machine others used meanwhile."""

    def __init__(self):
        self._own, self._machine, self._began = cpu_seconds(), _machine(), time.perf_counter()

    def read(self):
        own = sum(seconds - self._own.get(pid, 0.0) for pid, seconds in cpu_seconds().items())
        busy, total = (now - then for now, then in zip(_machine(), self._machine, strict=True))
        return own, round(100 * max(0.0, busy - own) / max(total, 1e-9), 1)
