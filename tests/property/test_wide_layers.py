"""Wide layers behind a relu, which skip zeros: as PyTorch has them; a row has its bits in any batch."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from af.engines import NumpyEngine, WasmEngine, open_engine
from af.wasm.manifest import manifest_of
from af.wasm.module import generate
from tests.unit.af.samples import network

ERROR_MAX = 1e-5

WIDE = st.one_of(st.integers(256, 300), st.just(513))


@settings(max_examples=10, deadline=None)
@given(
    st.integers(1, 9),
    st.one_of(st.integers(1, 40), WIDE),
    WIDE,
    st.integers(1, 9),
    st.sampled_from(["relu", "linear", "tanh"]),
    st.one_of(st.integers(1, 9), st.sampled_from([64, 65])),
    st.integers(0, 2**32 - 1),
)
def test_a_wide_layer_computes_what_torch_computes(inputs, narrow, wide, outputs, activation, count, seed):
    pytest.importorskip("torch", reason="torch is not installed: pip install 'neural-swarm[torch]'")
    net = network((inputs, narrow, wide, outputs), ["relu", activation, "linear"], seed=seed)
    module = generate(net)
    assert "$streamed" in module.text
    engine = WasmEngine(module.binary(), manifest_of(module, "test:wide", "x", "y"))
    rows = np.random.default_rng(seed).standard_normal((count, inputs)).astype("f4")
    answers, expected = engine.forward(rows), open_engine("torch", net).forward(rows)
    bound = ERROR_MAX * max(float(np.abs(expected).max()), 1e-3)
    assert np.abs(answers - expected).max() <= bound
    assert np.abs(NumpyEngine(net).forward(rows) - expected).max() <= bound
    assert np.array([engine.forward_one(row) for row in rows]).tobytes() == answers.tobytes()
