"""What engines cost for batches of different sizes on this machine, measured once and remembered.

An engine is timed at a few batch sizes; between them its cost is taken to grow evenly, beyond the last at
the last rate. What was measured is kept in one small file per machine and network shape, under
$XDG_CACHE_HOME/neural-swarm/engines, and is only ever a hint: a file that cannot be read is measured anew,
and where nothing can be written, nothing is kept.
"""

import hashlib
import json
import os
import platform
import time
from bisect import bisect_left
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from itertools import pairwise
from pathlib import Path

import numpy as np

from af.engines.engine import Engine
from af.layers import Embedding, EmbeddingMean
from af.network import Floats, Network

SIZES = (1, 2, 4, 8, 16, 64)
ENTRIES_MAX = 512  # files kept; the oldest go first
_FILE_BYTES_MAX = 16_384
_ROUNDS = 15
_ENGINE_BUDGET_S = 0.15  # for one engine at one size; at least one call is made

_VERSIONS = ("numpy", "wasmtime", "onnxruntime", "torch")

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Costs:
    """Microseconds per call, by engine, for each of SIZES."""

    by_engine: Mapping[str, tuple[float, ...]]

    def of(self, engine: str, rows: int) -> float:
        """The cost of a batch of so many rows."""
        known = self.by_engine[engine]
        if rows <= SIZES[0]:
            return known[0]
        place = min(bisect_left(SIZES, rows), len(SIZES) - 1)
        low, high = SIZES[place - 1], SIZES[place]
        rate = (known[place] - known[place - 1]) / (high - low)
        return known[place - 1] + rate * (rows - low)

    def cheapest(self, rows: int) -> str:
        return min(self.by_engine, key=lambda name: self.of(name, rows))


def remembered(network: Network, engines: Mapping[str, Engine], clock: Clock = time.perf_counter) -> Costs:
    """The costs of these engines for this network, from the file or from a measurement."""
    path = _folder() / f"{_key(network, engines)}.json"
    found = _read(path, engines)
    if found is None:
        found = measured(network, engines, clock)
        with suppress(OSError):
            _write(path, found)
    return found


def measured(network: Network, engines: Mapping[str, Engine], clock: Clock = time.perf_counter) -> Costs:
    """The least of a few rounds per size, the engines taking turns: what disturbs a round is not its cost."""
    costs: dict[str, list[float]] = {name: [] for name in engines}
    for size in SIZES:
        batch = _batch(network, size)
        times: dict[str, list[float]] = {name: [] for name in engines}
        spent = dict.fromkeys(engines, 0.0)
        for engine in engines.values():
            engine.forward(batch)  # the first call fills caches and is not counted
        for _ in range(_ROUNDS):
            for name, engine in engines.items():
                if times[name] and spent[name] >= _ENGINE_BUDGET_S:
                    continue
                calls = _calls(spent[name], times[name])
                began = clock()
                for _ in range(calls):
                    engine.forward(batch)
                elapsed = clock() - began
                times[name].append(elapsed / calls * 1e6)
                spent[name] += elapsed
        for name, each in times.items():
            costs[name].append(min(each))
    return Costs({name: tuple(each) for name, each in costs.items()})


def _calls(spent_s: float, times_us: list[float]) -> int:
    """Short calls are timed several at once, so that the clock does not count."""
    if not times_us:
        return 1
    left_us = (_ENGINE_BUDGET_S - spent_s) * 1e6 / _ROUNDS
    return max(1, min(32, int(left_us / max(times_us[-1], 1e-3))))


def _batch(network: Network, rows: int) -> Floats:
    random = np.random.default_rng(rows)
    first = network.layers[0].spec
    if isinstance(first, Embedding | EmbeddingMean):
        return random.integers(0, first.vocabulary, (rows, network.input_size)).astype(np.float32)
    return random.standard_normal((rows, network.input_size), np.float32)


def _key(network: Network, engines: Mapping[str, Engine]) -> str:
    """What costs depend on: the layers, the engines and their versions, and the machine."""
    layers = [layer.spec.model_dump(mode="json", by_alias=True) for layer in network.layers]
    machine = [platform.machine(), _processor(), os.cpu_count(), platform.node()]
    facts = [network.input_size, layers, sorted(engines), machine, [_version(name) for name in _VERSIONS]]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith(("model name", "model\t", "cpu family")):
                return line
    return platform.processor()


def _folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base, "neural-swarm", "engines")


def _read(path: Path, engines: Mapping[str, Engine]) -> Costs | None:
    try:
        with path.open("rb") as file:
            known = json.loads(file.read(_FILE_BYTES_MAX))
        costs = {name: tuple(float(cost) for cost in known[name]) for name in engines}
    except (OSError, ValueError, TypeError, KeyError):
        return None
    sound = all(len(each) == len(SIZES) and all(0 < cost < 1e12 for cost in each) for each in costs.values())
    return Costs(costs) if sound else None


def _write(path: Path, costs: Costs) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    entries = sorted(path.parent.glob("*.json"), key=lambda entry: entry.stat().st_mtime)
    for entry in entries[: max(0, len(entries) - ENTRIES_MAX + 1)]:
        entry.unlink(missing_ok=True)
    unfinished = path.with_suffix(f".{os.getpid()}")
    unfinished.write_text(json.dumps(costs.by_engine), encoding="ascii")
    unfinished.replace(path)


assert all(low < high for low, high in pairwise(SIZES))
