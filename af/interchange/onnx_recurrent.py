"""ONNX's GRU, which works on steps before rows, as a layer that works on rows.

Exporters turn the first two axes around before it and back after it, and take away the axis of directions in
between. While they are turned, `Chain.order` says so, and no other operator may come.

    rows [n, steps, f] -Transpose-> steps [steps, n, f] -GRU-> every [steps, 1, n, h], or last [1, n, h]
    every -Squeeze-> steps -Transpose-> rows              last -Squeeze or Gather-> rows
    every -Transpose-> turned [steps, n, 1, h] -Reshape-> steps
"""

import numpy as np
from numpy.typing import NDArray

from af import layers as kinds
from af.interchange.imported import make_spec
from af.interchange.onnx_chain import Chain, Node
from af.interchange.onnx_probe import Probe
from af.network import Floats

TURNED = [1, 0, 2]  # the order of axes that puts steps before rows

_GATES = 3
_LENGTHS, _INITIAL = 4, 5  # inputs that may be left out
DIRECTIONS_LAST = [0, 2, 1, 3]  # the order of axes that puts the one direction behind the rows
_STEPS_ONLY = frozenset({"GRU", "Gather", "Reshape", "Squeeze", "Transpose"})


def expect_order(chain: Chain, node: Node) -> None:
    """Between the turns only what belongs to the recurrent layer may come."""
    if chain.order != "rows" and node.proto.op_type not in _STEPS_ONLY:
        raise node.refusal("it stands inside of a recurrent layer, whose steps come before its rows.")


def turn(chain: Chain, node: Node) -> None:
    """Exchange rows and steps."""
    if len(chain.shape) != 2 or chain.order not in ("rows", "steps"):
        raise node.refusal(f"it exchanges rows and steps of {list(chain.shape)}.")
    chain.order = "steps" if chain.order == "rows" else "rows"


def squeeze_directions(chain: Chain, node: Node, axes: list[int]) -> None:
    """Take away the axis of the one direction."""
    if chain.order == "every" and axes == [1]:
        chain.order = "steps"
    elif chain.order == "last" and axes == [0]:
        chain.order = "rows"
    else:
        raise node.refusal(f"it takes the axes {axes} from the answer of a recurrent layer.")


def join_directions(chain: Chain, node: Node) -> None:
    """Take away the axis of the one direction where it stands behind the rows."""
    steps, units = chain.shape
    if chain.order == "turned" and chain.has(node, 1):
        rows = chain.batch or 2
        answer = np.zeros((steps, rows, 1, units), np.float32)  # the shape may be computed, of this one
        probe = Probe(node.place, chain.producers, chain.constants, {node.value: answer})
        told = probe.value(node.proto.input[1]).reshape(-1).tolist()
        if len(told) == len(TURNED) and np.reshape(answer, _copied(told, answer)).shape == (
            steps,
            rows,
            units,
        ):
            chain.order = "steps"
            return
    raise node.refusal("it gives the answer of a recurrent layer another shape.")


def _copied(shape: list[int], answer: Floats) -> list[int]:
    """A Reshape's zeros stand for the extents that were there."""
    whole = [answer.shape[axis] if extent == 0 else extent for axis, extent in enumerate(shape)]
    known = np.prod([extent for extent in whole if extent != -1])
    fits = whole.count(-1) <= 1 and all(extent >= -1 for extent in whole)
    return whole if fits and known and answer.size % known == 0 else [answer.size]


def take_direction(chain: Chain, node: Node, index: NDArray[np.generic]) -> None:
    """Take the one direction of the last state."""
    if chain.order != "last" or node.whole("axis", 0) != 0 or index.shape or int(index) not in (0, -1):
        raise node.refusal("of the answer of a recurrent layer, only the last state can be taken.")
    chain.order = "rows"


def gru(chain: Chain, node: Node) -> None:
    node.expect_first()
    if chain.order != "steps":
        raise node.refusal("its steps do not come before its rows.", "export the layer with batch_first.")
    node.expect("linear_before_reset", 0, 1)
    node.expect("layout", 0, 0)
    direction, functions = node.attribute("direction", "forward"), node.attribute("activations", None)
    if direction != "forward" or functions is not None or node.attribute("clip", None) is not None:
        raise node.refusal("its direction, activations or clip are not the usual ones.")
    if chain.has(node, _LENGTHS) or not _starts_at_zero(chain, node):
        raise node.refusal("its sequences have lengths of their own, or do not start from zeros.")
    inputs, states = chain.floats(node, 1), chain.floats(node, 2)
    units = states.shape[-1] if states.ndim == _GATES else 0
    if inputs.shape != (1, _GATES * units, chain.shape[1]) or states.shape != (1, _GATES * units, units):
        message = f"its weights {list(inputs.shape)}, {list(states.shape)} are not one direction's."
        raise node.refusal(message)
    biases = chain.floats(node, 3) if chain.has(node, 3) else np.zeros((1, 2 * _GATES * units), np.float32)
    if biases.shape != (1, 2 * _GATES * units):
        raise node.refusal(f"its biases {list(biases.shape)} do not fit {units} units.")
    every = node.result == node.proto.output[0]
    tensors = {
        "weight_ih": _reset_first(inputs[0]),
        "weight_hh": _reset_first(states[0]),
        "bias_ih": _reset_first(biases[0, : _GATES * units]),
        "bias_hh": _reset_first(biases[0, _GATES * units :]),
    }
    chain.add(make_spec(kinds.Gru, {"units": units, "every_step": every}, node.place), tensors)
    chain.order = "every" if every else "last"


def _starts_at_zero(chain: Chain, node: Node) -> bool:
    if not chain.has(node, _INITIAL) or node.proto.input[_INITIAL] in chain.zeros:
        return True
    return not chain.floats(node, _INITIAL).any()


def _reset_first(gates: Floats) -> Floats:
    """ONNX has the gates in the order update, reset, new; here and in torch, reset comes first."""
    update, reset, new = np.split(gates, _GATES)
    return np.concatenate([reset, update, new])
