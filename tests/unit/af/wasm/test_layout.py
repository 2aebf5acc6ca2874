import itertools

import numpy as np
import pytest

import af
from af.layers import Dense
from af.wasm.layout import PANEL_VECTORS_MAX, pack_weights, plan_memory, split_panels
from tests.unit.af.samples import network

SHAPES = [(1, 1), (3, 5, 2), (64, 96, 48, 10), (784, 128, 64, 32, 10), (7, 29, 113, 1)]


@pytest.mark.parametrize("vectors", range(1, 200))
def test_panels_cover_every_vector_evenly(vectors):
    panels = split_panels(vectors)
    assert sum(panels) == vectors
    assert max(panels) <= PANEL_VECTORS_MAX
    assert max(panels) - min(panels) <= 1


def regions(plan):
    """Every stretch of memory the plan hands out, as (start, end)."""
    yield plan.input.address, plan.input.address + plan.batch_max * plan.input.stride_bytes
    for layer in plan.layers:
        for panel in layer.panels:
            yield panel.weights_address, panel.weights_address + 16 * panel.vectors * layer.source.size
        yield layer.bias_address, layer.bias_address + layer.target.stride_bytes
        yield layer.target.address, layer.target.address + plan.batch_max * layer.target.stride_bytes


@pytest.mark.parametrize("widths", SHAPES)
def test_nothing_overlaps_and_everything_fits(widths):
    plan = plan_memory(widths[0], [Dense(units=units) for units in widths[1:]], 64)
    stretches = sorted(regions(plan))
    assert stretches[0][0] == plan.weights_start
    assert stretches[-1][1] <= plan.pages * 65536
    for (_, end), (start, _) in itertools.pairwise(stretches):
        assert end <= start


def test_every_weight_lies_where_the_kernel_reads_it():
    net = network((3, 29, 2), ["relu", "softmax"])
    plan = plan_memory(net.input_size, net.dense_specs, 64)
    image = np.frombuffer(pack_weights(net, plan), "<f4")
    for layer, place in zip(net.layers, plan.layers, strict=True):
        for panel in place.panels:
            start = (panel.weights_address - plan.weights_start) // 4
            block = image[start : start + 4 * panel.vectors * 3][: 4 * panel.vectors]
            outputs = layer.tensors["weight"][4 * panel.first_vector :][: 4 * panel.vectors, 0]
            np.testing.assert_array_equal(block[: len(outputs)], outputs)
            assert not block[len(outputs) :].any()
        start = (place.bias_address - plan.weights_start) // 4
        biases = image[start : start + place.target.stride]
        bias = layer.tensors["bias"]
        np.testing.assert_array_equal(biases[: len(bias)], bias)
        padding = -np.inf if layer.spec.activation == "softmax" else 0
        assert (biases[len(bias) :] == padding).all()


def test_a_network_larger_than_a_module_may_be_is_refused():
    with pytest.raises(af.AfRefused, match="make the layers narrower"):
        plan_memory(65536, [Dense(units=65536)], 64)
