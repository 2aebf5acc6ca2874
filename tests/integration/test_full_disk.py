"""A full disk under the stock journal and under our log: a tmpfs in a mount namespace of its own."""

import contextlib
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

DISK = "size=256k"
PATIENCE_S = 120
ACKNOWLEDGED_MIN = 10

STOCK = """
from pysyncobj.journal import FileJournal

journal = FileJournal("journal")
for index in range(2, 1_000):
    journal.add(bytes(4_000), index, 1)
    print(index, flush=True)
"""

OURS = """
import sys
from pathlib import Path

from swarm.adapters.raft import logfile
from swarm.adapters.raft.logfile import LogDirectory
from swarm.adapters.raft.wal import Wal

logfile.PREALLOCATION_BYTES = 16 * 1024
wal = Wal.open(LogDirectory(Path.cwd()), "n1")
for index in range(2, 1_000):
    wal.add(bytes(4_000), index, 1)
    try:
        wal.flush()
    except OSError as error:
        print(error.strerror, flush=True)
        break
    print(index, flush=True)
wal.close()
again = Wal.open(LogDirectory(Path.cwd()), "n1")
print(again[-1].index)
"""

MOUNT = 'mount -t tmpfs -o "$1" full "$2" && cd "$2" && exec "$3" -c "$4"'


@pytest.fixture
def on_a_small_disk(tmp_path):
    """Run a program where little fits."""
    unshare = shutil.which("unshare") or "unshare"
    for space in ([unshare, "--user", "--map-root-user", "--mount"], [unshare, "--mount"]):
        probe = [*space, "sh", "-c", 'mount -t tmpfs full "$1"', "sh", tmp_path]
        with contextlib.suppress(OSError):
            if subprocess.run(probe, check=False, capture_output=True, timeout=PATIENCE_S).returncode == 0:
                break
    else:
        pytest.skip("no file system can be mounted here, not even in a namespace of its own")
    root = str(Path(__file__).parents[2])

    def run(program):
        command = [*space, "sh", "-c", MOUNT, "sh", DISK, tmp_path, sys.executable, program]
        environment = {"PYTHONPATH": root, "PATH": "/usr/bin:/bin"}
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
        return done.returncode, done.stdout.splitlines()

    return run


def test_stock_dies_of_a_full_disk(on_a_small_disk):
    """Its journal is a mapping that grows without asking for room: the process is killed where it writes."""
    code, said = on_a_small_disk(STOCK)
    assert len(said) > ACKNOWLEDGED_MIN
    assert code == -signal.SIGBUS


def test_a_full_disk_is_met_before_a_write_and_costs_nothing_that_was_flushed(on_a_small_disk):
    code, said = on_a_small_disk(OURS)
    *flushed, reason, kept = said
    assert code == 0
    assert len(flushed) > ACKNOWLEDGED_MIN
    assert reason == "No space left on device"
    assert kept == flushed[-1]
