import numpy as np
import pytest

from af.engines import NumpyEngine
from af.interchange.onnx_writer import write_onnx
from tests.unit.af.interchange.kinds import KINDS, rows_for

onnxruntime = pytest.importorskip("onnxruntime")


def answers(model, rows):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return session.run(["y"], {"x": rows})[0]


@pytest.mark.parametrize("kind", KINDS)
def test_onnxruntime_computes_what_the_reference_computes(kind):
    network = KINDS[kind]
    rows = rows_for(network)
    exact = NumpyEngine(network).compute(rows.astype(np.float64))
    found = answers(write_onnx(network), rows)
    assert found.shape == (len(rows), network.output_size)
    np.testing.assert_allclose(found, exact, rtol=1e-4, atol=2e-6)


@pytest.mark.parametrize("kind", ["dense", "conv2d", "gru", "transformer after", "embedding mean padded"])
def test_an_empty_batch_and_a_single_row_are_batches_too(kind):
    network = KINDS[kind]
    model = write_onnx(network)
    assert answers(model, rows_for(network, 1)).shape == (1, network.output_size)
    if kind != "gru":  # onnxruntime's own GRU refuses an empty batch
        assert answers(model, rows_for(network, 0)).shape == (0, network.output_size)


def test_the_same_network_gives_the_same_bytes():
    assert write_onnx(KINDS["gru"]) == write_onnx(KINDS["gru"])
