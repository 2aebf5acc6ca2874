"""Activation functions in ONNX operators; FANN's are put together from simpler ones."""

from collections.abc import Callable

from af.interchange.onnx_graph import GraphBuilder
from af.layers import Activated
from af.layers.fann import FANN_CLIP, STEPWISE

Compose = Callable[[GraphBuilder, str], str]


def activated(graph: GraphBuilder, values: str, by: Activated) -> str:
    """One activation function over values; softmax is over their last axis."""
    match by.activation:
        case "linear":
            return values
        case "softmax":
            return graph.call("Softmax", values, axis=-1)
        case "leaky_relu":
            return graph.call("LeakyRelu", values, alpha=by.slope)
        case "gelu" | "gelu_tanh":
            approximate = "tanh" if by.activation == "gelu_tanh" else "none"
            return graph.call("Gelu", values, approximate=approximate)
        case "relu" | "sigmoid" | "tanh":
            return graph.call(by.activation.capitalize(), values)
        case _:
            limit = FANN_CLIP / by.steepness
            steep = graph.call("Mul", values, graph.floats(by.steepness))
            clipped = graph.call("Clip", steep, graph.floats(-limit), graph.floats(limit))
            return _FANN[by.activation](graph, clipped)


def _threshold(below: float) -> Compose:
    def compose(graph: GraphBuilder, x: str) -> str:
        is_below = graph.call("Less", x, graph.floats(0))
        return graph.call("Where", is_below, graph.floats(below), graph.floats(1))

    return compose


def _sigmoid(graph: GraphBuilder, x: str) -> str:
    return graph.call("Sigmoid", graph.call("Mul", x, graph.floats(2)))


def _gaussian(graph: GraphBuilder, x: str) -> str:
    return graph.call("Exp", graph.call("Neg", graph.call("Mul", x, x)))


def _elliot(graph: GraphBuilder, x: str) -> str:
    return graph.call("Div", x, graph.call("Add", graph.call("Abs", x), graph.floats(1)))


def _clipped(below: float) -> Compose:
    return lambda graph, x: graph.call("Clip", x, graph.floats(below), graph.floats(1))


def _operator(operator: str) -> Compose:
    return lambda graph, x: graph.call(operator, x)


def _halved(inner: Compose) -> Compose:
    """A function of -1 to 1, moved to 0 to 1."""

    def compose(graph: GraphBuilder, x: str) -> str:
        half = graph.call("Mul", inner(graph, x), graph.floats(0.5))
        return graph.call("Add", half, graph.floats(0.5))

    return compose


def _doubled(inner: Compose) -> Compose:
    """A function of 0 to 1, moved to -1 to 1."""

    def compose(graph: GraphBuilder, x: str) -> str:
        double = graph.call("Mul", inner(graph, x), graph.floats(2))
        return graph.call("Sub", double, graph.floats(1))

    return compose


def _stepwise(name: str) -> Compose:
    """Straight pieces: each adds its slope times the part of x that lies in it."""
    places, heights, (below, above) = STEPWISE[name]

    def compose(graph: GraphBuilder, x: str) -> str:
        total = graph.floats(heights[0])
        for number, place in enumerate(places[:-1]):
            length = places[number + 1] - place
            slope = (heights[number + 1] - heights[number]) / length
            moved = graph.call("Sub", x, graph.floats(place))
            part = graph.call("Clip", moved, graph.floats(0), graph.floats(length))
            total = graph.call("Add", total, graph.call("Mul", part, graph.floats(slope)))
        is_below = graph.call("Less", x, graph.floats(places[0]))
        is_above = graph.call("GreaterOrEqual", x, graph.floats(places[-1]))
        inside = graph.call("Where", is_above, graph.floats(above), total)
        return graph.call("Where", is_below, graph.floats(below), inside)

    return compose


_FANN: dict[str, Compose] = {
    "fann_linear": lambda _, x: x,
    "fann_threshold": _threshold(0),
    "fann_threshold_symmetric": _threshold(-1),
    "fann_sigmoid": _sigmoid,
    "fann_sigmoid_stepwise": _stepwise("fann_sigmoid_stepwise"),
    "fann_sigmoid_symmetric": _operator("Tanh"),
    "fann_sigmoid_symmetric_stepwise": _stepwise("fann_sigmoid_symmetric_stepwise"),
    "fann_gaussian": _gaussian,
    "fann_gaussian_symmetric": _doubled(_gaussian),
    "fann_elliot": _halved(_elliot),
    "fann_elliot_symmetric": _elliot,
    "fann_linear_piece": _clipped(0),
    "fann_linear_piece_symmetric": _clipped(-1),
    "fann_sin": _halved(_operator("Sin")),
    "fann_sin_symmetric": _operator("Sin"),
    "fann_cos": _halved(_operator("Cos")),
    "fann_cos_symmetric": _operator("Cos"),
}
