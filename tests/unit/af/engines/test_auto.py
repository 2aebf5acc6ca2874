import numpy as np

from af.engines import AutoEngine, NumpyEngine
from af.engines.costs import ENTRIES_MAX, SIZES, Costs, measured, remembered
from tests.unit.af.samples import network

NET = network((3, 4), ["linear"])


class Slow(NumpyEngine):
    """Counts its calls, and costs what it is told on a clock that only it moves."""

    def __init__(self, clock, fixed_us, row_us):
        super().__init__(NET)
        self.clock, self.fixed_us, self.row_us, self.calls = clock, fixed_us, row_us, 0

    def forward(self, batch):
        self.calls += 1
        self.clock.now_s += (self.fixed_us + self.row_us * len(batch)) / 1e6
        return super().forward(batch)


class Clock:
    now_s = 0.0

    def __call__(self):
        return self.now_s


def engines():
    clock = Clock()
    return clock, {"wasm": Slow(clock, 1, 10), "onnx": Slow(clock, 30, 1)}


def test_the_measured_costs_choose_by_batch_size():
    clock, each = engines()
    auto = AutoEngine(NET, each, measured(NET, each, clock))
    assert [auto.chosen(rows) for rows in (1, 2, 3, 4, 8, 64, 1000)] == ["wasm"] * 3 + ["onnx"] * 4
    before = each["onnx"].calls
    auto.forward(np.zeros((65, 3), "f4"))
    assert each["onnx"].calls == before + 1


def test_between_and_beyond_the_measured_sizes_costs_grow_evenly():
    costs = Costs({"a": (1.0, 2.0, 4.0, 8.0, 16.0, 64.0)})
    assert [costs.of("a", rows) for rows in (0, 1, 3, 40, 128)] == [1, 1, 3, 40, 128]


def test_a_measurement_is_made_once_and_remembered():
    clock, each = engines()
    first = remembered(NET, each, clock)
    calls = each["wasm"].calls
    assert remembered(NET, each, clock) == first
    assert each["wasm"].calls == calls
    other = network((5, 4), ["linear"])
    assert len(other.layers) == 1
    for name in each:
        each[name] = NumpyEngine(other)
    remembered(other, each)


def test_a_damaged_memory_is_measured_anew(tmp_path):
    clock, each = engines()
    first = remembered(NET, each, clock)
    (file,) = (tmp_path / "cache" / "neural-swarm" / "engines").glob("*.json")
    for damage in ("", "[]", '{"wasm": [1], "onnx": [1]}', file.read_text().replace("1", "-1", 1)):
        file.write_text(damage)
        assert remembered(NET, each, clock).by_engine.keys() == first.by_engine.keys()
        assert all(cost > 0 for each_cost in first.by_engine.values() for cost in each_cost)


def test_the_memory_is_bounded(tmp_path):
    folder = tmp_path / "cache" / "neural-swarm" / "engines"
    folder.mkdir(parents=True)
    for number in range(ENTRIES_MAX + 20):
        (folder / f"{number}.json").write_text("{}")
    clock, each = engines()
    remembered(NET, each, clock)
    assert len(list(folder.iterdir())) == ENTRIES_MAX


def test_every_engine_is_measured_at_every_size():
    clock, each = engines()
    costs = measured(NET, each, clock)
    for number, rows in enumerate(SIZES):
        assert abs(costs.by_engine["wasm"][number] - (1 + 10 * rows)) < 1e-3
