"""A network layer by layer: what each one gives, what that is like, and where to stop."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from af.engines import WasmEngine
from af.engines.numpy_engine import applied
from af.errors import refused, shown
from af.network import Floats, Network
from af.tools.facts import Spread, layer_title, spread

Breakpoint = Callable[["LayerValues"], str | None]

_BARS = " ▁▂▃▄▅▆▇█"
_BINS = 24


@dataclass(frozen=True, slots=True, eq=False)
class LayerValues:
    """What one layer made of a batch. `number` -1 is the input itself."""

    number: int
    kind: str
    title: str
    values: Floats  # [rows, *shape]

    @property
    def spread(self) -> Spread:
        return spread(self.values)


def trace(network: Network, rows: Floats) -> Iterator[LayerValues]:
    """The input and the activations of every layer, in the reference engine, as they are asked for."""
    values = rows
    yield LayerValues(-1, "input", "input", values)
    for number, layer in enumerate(network.layers):
        with np.errstate(all="ignore"):  # an overflow is what the trace is there to show
            values = applied(layer, values)
        yield LayerValues(number, layer.spec.type, layer_title(layer.spec), values)


def exact_trace(network: Network, rows: Floats) -> Iterator[Floats]:
    """The activations of every layer as the compiled module computes them, the same bits on any machine.

    A module gives its last layer's numbers, so each layer is asked of a module that ends with it.
    """
    for stop in range(1, len(network.layers) + 1):
        part = Network(network.input_size, network.layers[:stop])
        yield WasmEngine.for_network(part).forward(rows)


def breakpoints(texts: Sequence[str]) -> list[Breakpoint]:
    """What --break can say: a layer's number or type, `nan`, or `range:LOW:HIGH`."""
    return [_breakpoint(text) for text in texts]


def reason_to_stop(layer: LayerValues, points: Sequence[Breakpoint]) -> str | None:
    """Why to stop at a layer, by the first breakpoint that says so."""
    return next((reason for point in points if (reason := point(layer)) is not None), None)


def histogram(values: Floats) -> str:
    """A line of bars: how the finite numbers lie between the least and the greatest."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return ""
    counts, _ = np.histogram(finite.astype(np.float64), _BINS)
    return "".join(_BARS[-(-int(count) * (len(_BARS) - 1) // int(counts.max()))] for count in counts)


def as_rows(value: object, network: Network) -> Floats:
    """An input value as the rows the network takes."""
    array = np.asarray(value, np.float32)
    if array.ndim != 2 or array.shape[1] != network.input_size:
        message = f"its shape is {list(array.shape)}; the network takes rows of {network.input_size} numbers."
        raise refused("input", message, "reshape the input.")
    return array


def _breakpoint(text: str) -> Breakpoint:
    name, _, rest = text.partition(":")
    if name == "nan" and not rest:
        return _at_not_finite
    if name == "range":
        low, _, high = rest.partition(":")
        try:
            return _out_of_range(float(low), float(high))
        except ValueError:
            raise _unknown(text) from None
    if rest or not text:
        raise _unknown(text)
    return lambda layer: f"layer {text}" if text in (str(layer.number), layer.kind) else None


def _at_not_finite(layer: LayerValues) -> str | None:
    bad = layer.spread.not_finite
    if not bad:
        return None
    first = int(np.flatnonzero(~np.isfinite(layer.values))[0])
    row, place = divmod(first, prod(layer.values.shape[1:]))
    return f"{bad} numbers are not finite; the first is number {place} of row {row}"


def _out_of_range(low: float, high: float) -> Breakpoint:
    def point(layer: LayerValues) -> str | None:
        outside = int(np.count_nonzero((layer.values < low) | (layer.values > high)))
        return f"{outside} numbers are outside of {low:g} to {high:g}" if outside else None

    return point


def _unknown(text: str) -> Exception:
    message = f"the breakpoint {shown(text)} is unknown."
    return refused("--break", message, "use a layer's number or type, nan, or range:LOW:HIGH.")
