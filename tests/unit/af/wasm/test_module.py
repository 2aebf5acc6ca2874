import numpy as np
import pytest
import wasmtime

from af.wasm.module import generate
from tests.unit.af.samples import network


def planned(widths=(5, 33, 3), activations=("relu", "softmax")):
    return generate(network(widths, activations))


def instance():
    plan = planned()
    engine = wasmtime.Engine()
    store = wasmtime.Store(engine)
    module = wasmtime.Module(engine, plan.binary())
    return module, store, wasmtime.Instance(store, module, []).exports(store), plan


def test_the_module_imports_nothing_and_exports_its_three_names():
    module, store, exports, plan = instance()
    assert not module.imports
    assert [item.name for item in module.exports] == ["memory", "infer1", "infer"]
    limits = exports["memory"].type(store).limits
    assert (limits.min, limits.max) == (plan.pages, plan.pages)


def test_more_rows_than_the_module_takes_trap():
    _, store, exports, plan = instance()
    exports["infer"](store, plan.batch_max)
    for rows in (plan.batch_max + 1, -1):
        with pytest.raises(wasmtime.Trap, match="unreachable"):
            exports["infer"](store, rows)


def test_no_rows_change_nothing():
    _, store, exports, plan = instance()
    before = bytes(exports["memory"].read(store, 0, plan.pages * 65536))
    exports["infer"](store, 0)
    assert bytes(exports["memory"].read(store, 0, plan.pages * 65536)) == before


def test_computing_rows_leaves_the_weights_and_the_other_rows_alone():
    _, store, exports, plan = instance()
    memory = exports["memory"]
    filled = np.full(plan.batch_max * plan.output.stride, 7, "<f4")
    memory.write(store, filled.tobytes(), plan.output.address)
    weights = bytes(memory.read(store, plan.weights_start, plan.weights_end))
    exports["infer"](store, 5)
    assert bytes(memory.read(store, plan.weights_start, plan.weights_end)) == weights
    end = plan.output.address + plan.batch_max * plan.output.stride_bytes
    rows = np.frombuffer(bytes(memory.read(store, plan.output.address, end)), "<f4").reshape(64, -1)
    assert (rows[5:] == 7).all()
    assert not (rows[:5] == 7).any()


def test_the_text_depends_on_the_shape_alone_and_uses_no_relaxed_arithmetic():
    plan = planned()
    assert plan.text == planned().text
    assert "relaxed" not in plan.text
    assert len(plan.binary()) < plan.weights_end - plan.weights_start + 20_000


def test_a_function_is_emitted_only_if_it_is_used():
    text = planned((4, 4), ("linear",)).text
    for name in ("$exp", "$softmax", "$sigmoid", "$tanh", "_relu"):
        assert name not in text
