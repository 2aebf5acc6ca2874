"""Every kind of layer, in random shapes, on every engine: as PyTorch has it, within 1e-5 of the largest."""

import typing

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from af import layers as kinds
from af.engines import NumpyEngine, WasmEngine, open_engine
from af.errors import AfNotReady
from af.layers.residual import LayerSpec
from tests.unit.af.layernets import EXAMPLES, reshape, rows_for, with_weights

ERROR_MAX = 1e-5

WIDTHS = st.one_of(st.integers(1, 9), st.sampled_from([12, 16, 29, 33, 64]))
STEPS = st.integers(1, 9)
COUNTS = st.one_of(st.integers(1, 9), st.sampled_from([63, 64, 65]))
SEEDS = st.integers(0, 2**32 - 1)
# A threshold may fall on its other side for the last bit of a sum: those are tested on their own.
SMOOTH = [name for name in kinds.HIDDEN_ACTIVATIONS if "threshold" not in name]
ACTIVATIONS = st.sampled_from(SMOOTH)


def test_the_examples_name_every_kind():
    union = typing.get_args(LayerSpec)[0]
    assert {kind.model_fields["type"].default for kind in typing.get_args(union)} == set(EXAMPLES)


@st.composite
def windows(draw, extents):
    """Kernel, stride and padding that fit."""
    kernel = [draw(st.integers(1, min(4, extent))) for extent in extents]
    stride = [draw(st.integers(1, 3)) for _ in extents]
    padding = [draw(st.integers(0, size // 2)) for size in kernel]
    return {"kernel": kernel, "stride": stride, "padding": padding}


def single(window):
    return {name: value[0] for name, value in window.items()}


def paired(window):
    return {name: tuple(value) for name, value in window.items()}


@st.composite
def plain(draw):
    width, steps = draw(WIDTHS), draw(STEPS)
    last = draw(
        st.sampled_from(
            [
                kinds.Dense(
                    units=draw(WIDTHS), activation=draw(ACTIVATIONS), steepness=draw(st.floats(0.1, 2))
                ),
                kinds.Dense(units=draw(WIDTHS), activation="softmax"),
                kinds.Activate(activation=draw(st.sampled_from([*SMOOTH, "softmax"])), slope=0.2),
                kinds.LayerNorm(),
                kinds.Scale(),
                kinds.SequencePool(mode=draw(st.sampled_from(["mean", "max", "last"]))),
                kinds.Residual(layers=(kinds.LayerNorm(), kinds.Dense(units=width, activation="relu"))),
            ]
        )
    )
    return steps * width, [reshape(steps, width), last]


@st.composite
def spatial(draw):
    channels, outputs = draw(st.integers(1, 9)), draw(WIDTHS)
    extents = [draw(st.integers(1, 9)) for _ in range(draw(st.integers(1, 2)))]
    window = draw(windows(extents))
    arguments = single(window) if len(extents) == 1 else paired(window)
    groups = channels if draw(st.booleans()) else 1
    layers = {
        1: (kinds.Conv1d, kinds.MaxPool1d, kinds.AveragePool1d),
        2: (kinds.Conv2d, kinds.MaxPool2d, kinds.AveragePool2d),
    }[len(extents)]
    kind = draw(st.sampled_from(layers))
    if issubclass(kind, kinds.Convolution):
        layer = kind(channels=groups * outputs, groups=groups, activation=draw(ACTIVATIONS), **arguments)
    elif kind in {kinds.AveragePool1d, kinds.AveragePool2d}:
        layer = kind(count_padding=draw(st.booleans()), **arguments)
    else:
        layer = kind(**arguments)
    after = draw(
        st.sampled_from([(), (kinds.GlobalPool(),), (kinds.GlobalPool(mode="max"),), (kinds.Flatten(),)])
    )
    return channels * int(np.prod(extents)), [reshape(channels, *extents), layer, *after]


@st.composite
def sequences(draw):
    steps, heads = draw(STEPS), draw(st.integers(1, 3))
    width = heads * draw(st.integers(1, 9))
    vocabulary = draw(st.integers(1, 40))
    first = draw(
        st.sampled_from(
            [
                (steps * width, [reshape(steps, width)]),
                (steps, [kinds.Embedding(vocabulary=vocabulary, width=width)]),
            ]
        )
    )
    encoder = kinds.TransformerEncoder(
        heads=heads,
        feedforward=draw(WIDTHS),
        activation=draw(st.sampled_from(["relu", "gelu"])),
        norm=draw(st.sampled_from(["before", "after"])),
    )
    gru = kinds.Gru(units=draw(WIDTHS), every_step=draw(st.booleans()))
    bag = kinds.EmbeddingMean(
        vocabulary=vocabulary, width=width, padding=draw(st.sampled_from([None, 0, vocabulary - 1]))
    )
    size, layers = first
    return draw(st.sampled_from([(size, [*layers, encoder]), (size, [*layers, gru]), (steps, [bag])]))


def agree(shape, count, seed, reference):
    net = with_weights(*shape, seed=seed)
    rows = rows_for(net, count, seed)
    expected = reference(net, rows)
    bound = ERROR_MAX * max(float(np.abs(expected).max()), 1e-3)
    engine = WasmEngine.for_network(net)
    answers = engine.forward(rows)
    assert np.abs(answers - expected).max() <= bound
    assert np.abs(NumpyEngine(net).forward(rows) - expected).max() <= bound
    alone = np.array([engine.forward_one(row) for row in rows[:3]])
    assert alone.tobytes() == answers[:3].tobytes(), "a row's bits depend on its batch"


def exact(net, rows):
    """The definition in float64."""
    return NumpyEngine(net).compute(rows.astype(np.float64))


@settings(max_examples=40)
@given(st.one_of(plain(), spatial(), sequences()), COUNTS, SEEDS)
def test_a_layer_computes_its_definition_in_any_shape_and_batch(shape, count, seed):
    agree(shape, count, seed, exact)


@settings(max_examples=40)
@given(st.one_of(plain(), spatial(), sequences()), COUNTS, SEEDS)
def test_a_layer_computes_what_torch_computes(shape, count, seed):
    pytest.importorskip("torch", reason="torch is not installed: pip install 'neural-swarm[torch]'")
    agree(shape, count, seed, lambda net, rows: open_engine("torch", net).forward(rows))


@pytest.mark.parametrize("name", ["torch", "onnx"])
@pytest.mark.parametrize("kind", EXAMPLES)
def test_engines_agree_on_every_kind(name, kind):
    net = with_weights(*EXAMPLES[kind], seed=5)
    rows = rows_for(net, 5)
    try:
        answers = open_engine(name, net).forward(rows)
    except AfNotReady as error:
        pytest.skip(str(error))
    expected = exact(net, rows)
    assert np.abs(answers - expected).max() <= ERROR_MAX * np.abs(expected).max()


@pytest.mark.parametrize("activation", kinds.FANN_ACTIVATIONS)
@pytest.mark.parametrize("steepness", [0.25, 0.5, 1.0])
def test_fann_itself_computes_the_same(activation, steepness):
    layers = [kinds.Dense(units=units, activation=activation, steepness=steepness) for units in (9, 3)]
    net = with_weights(7, layers, seed=1)
    rows = rows_for(net, 9)
    try:
        expected = open_engine("fann", net).forward(rows)
    except AfNotReady as error:
        pytest.skip(str(error))
    for engine in (WasmEngine.for_network(net), NumpyEngine(net)):
        np.testing.assert_allclose(engine.forward(rows), expected, atol=ERROR_MAX)
