"""What every kind of layer answers: which shape it makes of which, and which weights it has.

A shape is that of one row of the batch, without the batch itself: (features,), (steps, features) for
sequences, (channels, length) for signals and (channels, height, width) for images: PyTorch's conventions, as
are the names and shapes of the weights, so a state_dict maps onto a layer by its names.
"""

from math import prod

from pydantic import JsonValue, SerializerFunctionWrapHandler, model_serializer

from af.limits import LAYER_TENSOR_ITEMS_MAX, LAYER_WIDTH_MAX, VALUE_ITEMS_MAX
from af.mappings import HeaderMapping

Shape = tuple[int, ...]


class Misfit(ValueError):
    """A layer cannot stand where it stands; `remedy` says what would do."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


class Spec(HeaderMapping):
    """The base of all layer kinds. Both methods raise Misfit where the layer does not fit its input."""

    type: str

    @model_serializer(mode="wrap")
    def _type_first(self, handler: SerializerFunctionWrapHandler) -> dict[str, JsonValue]:
        """Written even where it is a default: the reader tells the kinds apart by it."""
        return {"type": self.type} | self._spread(handler(self))

    def output_shape(self, shape: Shape) -> Shape:
        raise NotImplementedError

    def tensors(self, shape: Shape) -> dict[str, Shape]:
        """Names and shapes of the weights, in the order in which a file holds them."""
        del shape
        return {}


def expect_rank(shape: Shape, ranks: tuple[int, ...], wanted: str) -> None:
    if len(shape) not in ranks:
        message = f"it takes {wanted}, and gets {list(shape)}"
        raise Misfit(message, "reshape, transpose or flatten before it.")


def bounded(shape: Shape) -> Shape:
    """The shape, if its extents and their product are within limits."""
    if not all(1 <= extent <= VALUE_ITEMS_MAX for extent in shape) or prod(shape) > VALUE_ITEMS_MAX:
        message = f"its output {list(shape)} is empty or has more than {VALUE_ITEMS_MAX} numbers"
        raise Misfit(message, "change its window, or make the layer narrower.")
    return shape


def bounded_tensors(tensors: dict[str, Shape]) -> dict[str, Shape]:
    for name, shape in tensors.items():
        if prod(shape) > LAYER_TENSOR_ITEMS_MAX or max(shape) > LAYER_WIDTH_MAX:
            message = f"its {name} {list(shape)} is larger than a layer may be"
            raise Misfit(message, "make the layer narrower.")
    return tensors
