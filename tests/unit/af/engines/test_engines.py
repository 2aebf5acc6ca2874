import numpy as np
import pytest

from af.engines import ENGINES, NumpyEngine, WasmEngine
from tests.unit.af.samples import exact, network


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("output", ["linear", "relu", "sigmoid", "tanh", "softmax"])
def test_every_engine_computes_the_network(name, output):
    net = network((6, 13, 3), ["tanh", output])
    rows = np.random.default_rng(1).standard_normal((9, 6)).astype(np.float32)
    answers = ENGINES[name](net).forward(rows)
    assert answers.dtype == np.float32
    np.testing.assert_allclose(answers, exact(net, rows), atol=1e-6)


def test_a_batch_longer_than_the_module_takes_is_fed_in_pieces():
    net = network((3, 4), ["linear"])
    rows = np.random.default_rng(2).standard_normal((200, 3)).astype(np.float32)
    np.testing.assert_allclose(
        WasmEngine.for_network(net).forward(rows), NumpyEngine(net).forward(rows), atol=1e-6
    )


def test_an_empty_batch_has_an_empty_answer():
    assert WasmEngine.for_network(network((3, 4), ["linear"])).forward(np.empty((0, 3), "f4")).shape == (0, 4)


def test_an_answer_does_not_change_with_the_next_call():
    engine = WasmEngine.for_network(network((3, 4), ["linear"]))
    first = engine.forward_one(np.ones(3, "f4"))
    kept = first.copy()
    engine.forward_one(np.zeros(3, "f4"))
    np.testing.assert_array_equal(first, kept)
