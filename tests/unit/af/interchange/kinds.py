"""One small network of every kind of layer, with random weights."""

import numpy as np

from af import layers as k
from af.layers import FANN_ACTIVATIONS
from af.network import Layer, Network


def made(input_size, *specs, seed=0):
    """A network of these layers with small random weights."""
    random = np.random.default_rng(seed)
    layers, shape = [], (input_size,)
    for spec in specs:
        tensors = {
            name: np.float32(random.standard_normal(extents) / np.sqrt(max(1, np.prod(extents[1:]))))
            for name, extents in spec.tensors(shape).items()
        }
        layers.append(Layer(spec, tensors))
        shape = spec.output_shape(shape)
    return Network(input_size, tuple(layers))


def signal(*specs):
    return made(24, k.Reshape(shape=(4, 6)), *specs)


def image(*specs):
    return made(98, k.Reshape(shape=(2, 7, 7)), *specs)


KINDS = {
    "dense": made(7, k.Dense(units=5, activation="relu"), k.Dense(units=3, activation="softmax")),
    "dense over steps": signal(k.Dense(units=5, activation="tanh"), k.Activate(activation="softmax")),
    "scale": image(k.Scale()),
    "layer norm": signal(k.LayerNorm(epsilon=1e-3)),
    "transpose": signal(k.Transpose(), k.Dense(units=3)),
    "conv1d": signal(k.Conv1d(channels=6, kernel=3, stride=2, padding=1, groups=2, activation="gelu")),
    "conv2d": image(k.Conv2d(channels=4, kernel=(3, 2), stride=(2, 1), padding=(1, 0), activation="relu")),
    "max pool": image(
        k.MaxPool2d(kernel=(2, 3), stride=(2, 2), padding=(1, 1)), k.Flatten(), k.Dense(units=3)
    ),
    "max pool 1d": signal(k.MaxPool1d(kernel=2, stride=2)),
    "average pool": image(k.AveragePool2d(kernel=(3, 3), stride=(2, 2), padding=(1, 1), count_padding=False)),
    "average pool 1d": signal(k.AveragePool1d(kernel=3, padding=1)),
    "global mean": image(k.GlobalPool()),
    "global max": signal(k.GlobalPool(mode="max")),
    "sequence mean": signal(k.SequencePool()),
    "sequence max": signal(k.SequencePool(mode="max")),
    "sequence last": signal(k.SequencePool(mode="last")),
    "gru": signal(k.Gru(units=5)),
    "gru last": signal(k.Gru(units=5, every_step=False), k.Dense(units=2)),
    "transformer after": signal(k.TransformerEncoder(heads=2, feedforward=9)),
    "transformer before": signal(
        k.TransformerEncoder(heads=3, feedforward=9, activation="gelu", norm="before")
    ),
    "residual": signal(k.Residual(layers=(k.LayerNorm(), k.Dense(units=6, activation="gelu_tanh")))),
    "embedding": made(5, k.Embedding(vocabulary=9, width=4), k.Gru(units=3, every_step=False)),
    "embedding mean": made(5, k.EmbeddingMean(vocabulary=9, width=4)),
    "embedding mean padded": made(5, k.EmbeddingMean(vocabulary=9, width=4, padding=2)),
} | {
    name: made(7, k.Dense(units=5, activation=name, steepness=0.8), k.Dense(units=4, activation=name))
    for name in (*FANN_ACTIVATIONS, "leaky_relu", "gelu", "gelu_tanh", "sigmoid", "tanh")
}


def rows_for(network, count=6, seed=1):
    random = np.random.default_rng(seed)
    first = network.layers[0].spec
    if isinstance(first, k.Embedding | k.EmbeddingMean):
        return random.integers(0, first.vocabulary, (count, network.input_size)).astype(np.float32)
    return random.standard_normal((count, network.input_size)).astype(np.float32)
