"""The names of activation functions, and which parameters each one heeds."""

from typing import Annotated, Literal, get_args

from pydantic import Field, Strict

from af.mappings import HeaderMapping

FannActivation = Literal[
    "fann_linear",
    "fann_threshold",
    "fann_threshold_symmetric",
    "fann_sigmoid",
    "fann_sigmoid_stepwise",
    "fann_sigmoid_symmetric",
    "fann_sigmoid_symmetric_stepwise",
    "fann_gaussian",
    "fann_gaussian_symmetric",
    "fann_elliot",
    "fann_elliot_symmetric",
    "fann_linear_piece",
    "fann_linear_piece_symmetric",
    "fann_sin",
    "fann_sin_symmetric",
    "fann_cos",
    "fann_cos_symmetric",
]
PlainActivation = Literal["relu", "leaky_relu", "gelu", "gelu_tanh", "sigmoid", "tanh", "linear"]
HiddenActivation = PlainActivation | FannActivation
OutputActivation = HiddenActivation | Literal["softmax"]
Activation = OutputActivation

FANN_ACTIVATIONS: tuple[FannActivation, ...] = get_args(FannActivation)
HIDDEN_ACTIVATIONS: tuple[HiddenActivation, ...] = (*get_args(PlainActivation), *FANN_ACTIVATIONS)
OUTPUT_ACTIVATIONS: tuple[OutputActivation, ...] = (*HIDDEN_ACTIVATIONS, "softmax")

Slope = Annotated[float, Strict(), Field(ge=-1e3, le=1e3)]
Steepness = Annotated[float, Strict(), Field(gt=1e-3, le=1e3)]


class Activated(HeaderMapping):
    """A mapping that names an activation function.

    `gelu` is the exact one, x times the normal distribution (by erf); `gelu_tanh` the tanh approximation of
    it. `slope` is leaky_relu's for x < 0. `steepness` multiplies the sum before a FANN function, which then
    clips it to 150 / steepness on both sides, as FANN does.
    """

    activation: Activation = "linear"
    slope: Slope = 0.01
    steepness: Steepness = 0.5
