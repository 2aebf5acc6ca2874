"""A replica of ours and one of the stock library, both driven by hand."""

import random
from types import SimpleNamespace

import pysyncobj.syncobj as library
import pytest

from swarm.adapters.raft import logfile
from tests.unit.swarm.adapters.raft.bench import Bench, Stock
from tests.unit.swarm.adapters.raft.disks import SMALL_STEP_BYTES


@pytest.fixture
def clock(monkeypatch):
    now = SimpleNamespace(s=1_000.0)
    monkeypatch.setattr(library, "monotonicTime", lambda: now.s)
    monkeypatch.setattr(library, "random", random.Random(1))
    return now


@pytest.fixture
def bench(tmp_path, clock):
    made = Bench(tmp_path / "a", clock)
    yield made
    made.close()


@pytest.fixture
def stock(clock):
    return Stock(clock)


@pytest.fixture(scope="module")
def small_files():
    """Logs of 64 KiB instead of 4 MiB: the tests read them whole, often."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logfile, "PREALLOCATION_BYTES", SMALL_STEP_BYTES)
        yield
