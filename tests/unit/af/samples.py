"""Small agents to test with, and the float64 definition every engine is measured against."""

import numpy as np

import af
from af.header import Header
from af.network import dense, feedforward
from af.weights import weights_section

PYTHON_SOURCE = (
    b"class Agent:\n    def process_input(self, capability, inputs):\n        return dict(inputs)\n"
)


def network(widths, activations, seed=0, scale=1.0):
    random = np.random.default_rng(seed)
    layers = []
    for inputs, outputs, activation in zip(widths, widths[1:], activations, strict=False):
        weights = random.standard_normal((outputs, inputs)) * scale / np.sqrt(inputs)
        layers.append(dense(weights, random.standard_normal(outputs), activation))
    return feedforward(layers)


def neural_header(widths=(3, 5, 2), **changes):
    mapping = {
        "version": "1.0",
        "name": "sample",
        "capabilities": [
            {
                "name": "test:sample",
                "inputs": [{"name": "x", "kind": "tensor", "dtype": "f32", "shape": [None, widths[0]]}],
                "outputs": [{"name": "y", "kind": "tensor", "dtype": "f32", "shape": [None, widths[-1]]}],
            }
        ],
        "neural_config": {
            "input_size": widths[0],
            "hidden_layers": list(widths[1:-1]),
            "output_size": widths[-1],
            "output_activation": "softmax",
        },
    }
    return Header.model_validate(mapping | changes)


def neural_agent(widths=(3, 5, 2), **changes):
    activations = ["relu"] * (len(widths) - 2) + ["softmax"]
    return af.AgentFile(neural_header(widths, **changes), (weights_section(network(widths, activations)),))


def python_agent(source=PYTHON_SOURCE, **changes):
    mapping = {
        "version": "1.0",
        "name": "echo",
        "kind": "python",
        "capabilities": [
            {
                "name": "test:echo",
                "inputs": [{"name": "x", "kind": "any"}],
                "outputs": [{"name": "x", "kind": "any"}],
            }
        ],
    }
    section = af.encode_section("python_module", source)
    return af.AgentFile(Header.model_validate(mapping | changes), (section,))


def exact(net, rows):
    """The network in float64."""
    values = np.asarray(rows, np.float64)
    for layer in net.layers:
        values = exact_activation(
            values @ layer.tensors["weight"].T.astype(np.float64) + layer.tensors["bias"],
            layer.spec.activation,
        )
    return values


def exact_activation(values, activation):
    match activation:
        case "linear":
            return values
        case "relu":
            return np.maximum(values, 0)
        case "tanh":
            return np.tanh(values)
        case "sigmoid":
            return np.where(values < 0, np.exp(-np.abs(values)), 1) / (1 + np.exp(-np.abs(values)))
        case "softmax":
            shares = np.exp(values - values.max(axis=-1, keepdims=True))
            return shares / shares.sum(axis=-1, keepdims=True)
        case _:
            raise AssertionError(activation)


def texts(problems):
    return "\n".join(str(problem) for problem in problems)
