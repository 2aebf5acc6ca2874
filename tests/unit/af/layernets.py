"""Random networks of every kind of layer."""

import numpy as np

from af import layers as kinds
from af.network import Layer, Network, shapes_between


def with_weights(input_size, specs, seed=0):
    """A network of these layers with random weights of a size that keeps values near one."""
    random = np.random.default_rng(seed)
    layers = []
    for spec, shape in zip(specs, shapes_between(input_size, specs), strict=False):
        tensors = {}
        for name, tensor in spec.tensors(shape).items():
            fan_in = max(1, int(np.prod(tensor[1:])))
            tensors[name] = (random.standard_normal(tensor) / np.sqrt(fan_in)).astype(np.float32)
        layers.append(Layer(spec, tensors))
    return Network(input_size, tuple(layers))


def rows_for(net, count, seed=0):
    random = np.random.default_rng(seed)
    first = net.layers[0].spec
    if isinstance(first, kinds.Embedding | kinds.EmbeddingMean):
        return random.integers(0, first.vocabulary, (count, net.input_size)).astype(np.float32)
    return random.standard_normal((count, net.input_size)).astype(np.float32)


def reshape(*shape):
    return kinds.Reshape(shape=shape)


# One network for each kind, by the kind's name; all of them small.
EXAMPLES = {
    "dense": (7, [kinds.Dense(units=5, activation="gelu"), kinds.Dense(units=3, activation="softmax")]),
    "activation": (6, [reshape(2, 3), kinds.Activate(activation="softmax")]),
    "scale": (12, [reshape(3, 4), kinds.Scale()]),
    "layer_norm": (10, [reshape(2, 5), kinds.LayerNorm()]),
    "flatten": (6, [reshape(3, 2), kinds.Transpose(), kinds.Flatten(), kinds.Dense(units=2)]),
    "reshape": (12, [reshape(3, 2, 2), kinds.GlobalPool()]),
    "transpose": (6, [reshape(3, 2), kinds.Transpose(), kinds.Dense(units=4)]),
    "conv1d": (15, [reshape(3, 5), kinds.Conv1d(channels=4, kernel=3, padding=1, activation="relu")]),
    "conv2d": (50, [reshape(2, 5, 5), kinds.Conv2d(channels=4, kernel=(3, 2), stride=(2, 1), groups=2)]),
    "max_pool1d": (15, [reshape(3, 5), kinds.MaxPool1d(kernel=3, stride=2, padding=1)]),
    "max_pool2d": (32, [reshape(2, 4, 4), kinds.MaxPool2d(kernel=(2, 2), stride=(2, 2))]),
    "average_pool1d": (15, [reshape(3, 5), kinds.AveragePool1d(kernel=3, padding=1, count_padding=False)]),
    "average_pool2d": (32, [reshape(2, 4, 4), kinds.AveragePool2d(kernel=(3, 3), padding=(1, 1))]),
    "global_pool": (12, [reshape(3, 4), kinds.GlobalPool(mode="max")]),
    "embedding": (4, [kinds.Embedding(vocabulary=9, width=5), kinds.SequencePool()]),
    "embedding_mean": (4, [kinds.EmbeddingMean(vocabulary=3, width=5, padding=0)]),
    "sequence_pool": (12, [reshape(4, 3), kinds.SequencePool(mode="last")]),
    "gru": (12, [reshape(4, 3), kinds.Gru(units=5), kinds.Gru(units=3, every_step=False)]),
    "transformer_encoder": (24, [reshape(4, 6), kinds.TransformerEncoder(heads=2, feedforward=7)]),
    "residual": (6, [kinds.Residual(layers=(kinds.Dense(units=6, activation="tanh"), kinds.LayerNorm()))]),
}
