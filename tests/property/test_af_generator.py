"""The generated module computes the network: any widths, any activation, any batch, against float64."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from af.engines import NumpyEngine, WasmEngine
from af.network import dense, feedforward
from tests.unit.af.samples import exact, network

WIDTH = st.one_of(st.integers(1, 9), st.integers(1, 70), st.sampled_from([28, 29, 32, 113, 128]))
HIDDEN = st.sampled_from(["relu", "sigmoid", "tanh", "linear"])
OUTPUT = st.sampled_from(["softmax", "linear", "sigmoid", "tanh", "relu"])


@st.composite
def networks(draw):
    widths = draw(st.lists(WIDTH, min_size=2, max_size=5))
    activations = [draw(HIDDEN) for _ in widths[2:]] + [draw(OUTPUT)]
    return network(widths, activations, seed=draw(st.integers(0, 2**32 - 1)))


def tolerance(net, rows):
    """What float32 may lose in these sums: by the numpy engine's own distance from float64."""
    scale = max(1.0, float(np.abs(exact(net, rows)).max()))
    return 8 * float(np.abs(NumpyEngine(net).forward(rows) - exact(net, rows)).max()) + 1e-6 * scale


@settings(max_examples=60, deadline=None)
@given(networks(), st.integers(1, 65), st.integers(0, 2**32 - 1))
def test_any_network_computes_what_its_definition_says(net, count, seed):
    rows = np.random.default_rng(seed).standard_normal((count, net.widths[0])).astype(np.float32)
    engine = WasmEngine.for_network(net)
    answers = engine.forward(rows)
    assert np.abs(answers - exact(net, rows)).max() <= tolerance(net, rows)
    alone = np.array([engine.forward_one(row) for row in rows])
    assert alone.tobytes() == answers.tobytes(), "a row's bits depend on its batch"


@pytest.mark.parametrize("outputs", [1, 2, 4, 10, 33])
def test_probabilities_are_within_1e_5_of_float64_relative(outputs):
    logits = np.random.default_rng(outputs).uniform(-30, 30, (64, outputs)).astype(np.float32)
    net = feedforward([dense(np.eye(outputs), np.zeros(outputs), "softmax")])
    shares = WasmEngine.for_network(net).forward(logits)
    np.testing.assert_allclose(shares, exact(net, logits), rtol=1e-5, atol=1e-37)
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu", "linear", "softmax"])
def test_an_activation_is_exact_over_its_whole_range_and_keeps_nan(activation):
    points = [
        0.0,
        -0.0,
        1e-30,
        -1e-30,
        1e-3,
        0.6249999,
        0.625,
        1.0,
        -5.0,
        20.0,
        87.0,
        88.0,
        89.0,
        200.0,
        3e38,
    ]
    values = np.array([*points, *(-point for point in points), *np.linspace(-20, 20, 401)], "f4")
    net = feedforward([dense([[1]], [0], activation)])
    engine = WasmEngine.for_network(net)
    answers = engine.forward(values[:, np.newaxis])
    np.testing.assert_allclose(answers, exact(net, values[:, np.newaxis]), rtol=1e-6, atol=1e-37)
    assert np.isnan(engine.forward(np.array([[np.nan]], "f4"))).all()


def test_extreme_scores_do_not_overflow():
    net = feedforward([dense(np.eye(3), np.zeros(3), "softmax")])
    engine = WasmEngine.for_network(net)
    rows = np.array(list(itertools.product([-3e38, 0, 3e38], repeat=3)), "f4")
    np.testing.assert_array_equal(engine.forward(rows), NumpyEngine(net).forward(rows))
