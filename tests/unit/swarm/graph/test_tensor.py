"""The graph reads the head of every tensor the sandbox writes, and says the same about it."""

import numpy as np
import pytest

from sandbox import tensors
from swarm.graph.tensor import DTYPES, TensorHead, tensor_head


@pytest.mark.parametrize("dtype", tensors.DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(), (3,), (0,), (2, 3), (1, 2, 3, 4, 5, 1, 1, 1)], ids=str)
def test_the_sandbox_and_the_graph_agree(dtype, shape):
    name = "bool" if dtype.kind == "b" else f"{dtype.kind}{8 * dtype.itemsize}"
    assert tensor_head(tensors.encode(np.zeros(shape, dtype))) == TensorHead(name, shape)
    assert name in DTYPES


def test_there_are_no_dtypes_the_sandbox_does_not_know():
    assert len(DTYPES) == len(tensors.DTYPES)


@pytest.mark.parametrize(
    ("at", "value"), [(0, 0), (1, 0), (1, 2), (2, len(tensors.DTYPES)), (2, 0xEE), (3, 9), (3, 0xEE)]
)
def test_a_damaged_head_is_refused_by_both(at, value):
    data = bytearray(tensors.encode(np.zeros((2, 3), "f4")) + bytes(100))
    data[at] = value
    assert isinstance(tensor_head(bytes(data)), str)
    with pytest.raises(tensors.TensorError):
        tensors.decode(bytes(data))


def test_sizes_that_would_overflow_are_plain_mismatches():
    data = bytearray(tensors.encode(np.zeros((2, 3), "f4")))
    data[8:16] = b"\xff" * 8
    assert "needs" in str(tensor_head(bytes(data)))
