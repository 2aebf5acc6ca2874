import numpy as np
import pytest
import wasmtime

from af.engines import WasmEngine
from af.network import Network, dense, feedforward
from af.wasm import layout
from af.wasm.module import generate
from af.wasm.training import Learning
from tests.unit.af.samples import network


def bits(engine, rows):
    """Answers as bytes: of the whole batch, and of each row alone."""
    each = np.stack([engine.forward_one(row) for row in rows])
    return engine.forward(rows).tobytes(), each.tobytes()


def both(monkeypatch, net):
    """The network compiled as it is, and with every layer in panels."""
    assert "$streamed" in generate(net).text
    streamed = WasmEngine.for_network(net)
    with monkeypatch.context() as patch:
        patch.setattr(layout, "STREAMED_VECTORS_MIN", 1 << 30)
        assert "$streamed" not in generate(net).text
        return streamed, WasmEngine.for_network(net)


@pytest.fixture(autouse=True)
def no_training(monkeypatch):
    """A module that learns has panels only, and an engine learns where it can."""
    monkeypatch.setattr("af.engines.wasm_engine.learning_problems", lambda _: ["not here"])


@pytest.mark.parametrize(
    ("widths", "activations"),
    [
        ((9, 31, 256, 3), ("relu", "relu", "linear")),
        ((5, 1, 257, 2), ("relu", "tanh", "softmax")),
        ((7, 40, 301, 300), ("relu", "relu", "softmax")),
        ((3, 300, 290, 1), ("relu", "linear", "sigmoid")),
    ],
)
def test_skipping_zeros_changes_no_bit(monkeypatch, widths, activations):
    streamed, panels = both(monkeypatch, network(widths, activations, seed=3))
    rows = np.random.default_rng(0).standard_normal((7, widths[0])).astype("f4")
    rows[0] = 0
    assert bits(streamed, rows) == bits(panels, rows)


@pytest.mark.parametrize("shift", [-100, 100])
def test_all_inputs_may_be_zero_or_none(monkeypatch, shift):
    net = network((6, 33, 256, 4), ("relu", "relu", "linear"))
    first = net.layers[0]
    moved = dense(first.tensors["weight"], first.tensors["bias"] + shift, "relu")
    streamed, panels = both(monkeypatch, feedforward([moved, *net.layers[1:]]))
    rows = np.random.default_rng(0).standard_normal((3, 6)).astype("f4")
    assert bits(streamed, rows) == bits(panels, rows)


@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf, -0.0, 1e38])
def test_numbers_that_are_none_and_zeros_with_a_sign_come_out_the_same(monkeypatch, special):
    net = network((6, 33, 256, 4), ("relu", "linear", "linear"))
    minus = Network(
        6, (net.layers[0], dense(net.layers[1].tensors["weight"], np.full(256, -0.0)), net.layers[2])
    )
    streamed, panels = both(monkeypatch, minus)
    rows = np.zeros((3, 6), "f4")
    rows[1, 2] = rows[2, :] = special
    assert bits(streamed, rows) == bits(panels, rows)


def test_a_layer_that_learns_is_cut_into_panels():
    net = network((6, 33, 256, 4), ("relu", "relu", "softmax"))
    assert "$streamed" not in generate(net, learning=Learning()).text
    wasmtime.Module.validate(wasmtime.Engine(), generate(net, learning=Learning()).binary())
