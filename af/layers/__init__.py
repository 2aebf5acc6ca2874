"""The kinds of layers a network is made of: pure descriptions, without weights and without arithmetic.

Each kind is a mapping of the header (`neural_config.layers`), told apart by its `type`. What it computes is
said once in numpy (af.engines.numpy_engine), and again for every other engine.
"""

from af.layers.activations import (
    FANN_ACTIVATIONS,
    HIDDEN_ACTIVATIONS,
    OUTPUT_ACTIVATIONS,
    Activated,
    Activation,
    FannActivation,
    HiddenActivation,
    OutputActivation,
)
from af.layers.plain import Activate, Dense, Flatten, LayerNorm, Reshape, Scale, Transpose
from af.layers.residual import LayerSpec, Residual
from af.layers.sequence import Embedding, EmbeddingMean, Gru, SequencePool, TransformerEncoder
from af.layers.spatial import (
    AveragePool1d,
    AveragePool2d,
    Conv1d,
    Conv2d,
    Convolution,
    GlobalPool,
    MaxPool1d,
    MaxPool2d,
    Pooling,
)
from af.layers.spec import Misfit, Shape

__all__ = [
    "FANN_ACTIVATIONS",
    "HIDDEN_ACTIVATIONS",
    "OUTPUT_ACTIVATIONS",
    "Activate",
    "Activated",
    "Activation",
    "AveragePool1d",
    "AveragePool2d",
    "Conv1d",
    "Conv2d",
    "Convolution",
    "Dense",
    "Embedding",
    "EmbeddingMean",
    "FannActivation",
    "Flatten",
    "GlobalPool",
    "Gru",
    "HiddenActivation",
    "LayerNorm",
    "LayerSpec",
    "MaxPool1d",
    "MaxPool2d",
    "Misfit",
    "OutputActivation",
    "Pooling",
    "Reshape",
    "Residual",
    "Scale",
    "SequencePool",
    "Shape",
    "TransformerEncoder",
    "Transpose",
]
