"""Convolution and pooling over signals (channels, length) and images (channels, height, width).

Both ranks go through one description: a window, its stride and a padding per spatial axis. An output extent
is floor((extent + 2 padding - window) / stride) + 1; what does not fill a window is left out.
"""

from typing import Annotated, Literal

from pydantic import Field, Strict

from af.layers.activations import Activated
from af.layers.spec import Misfit, Shape, Spec, bounded, bounded_tensors, expect_rank
from af.limits import WINDOW_MAX
from af.mappings import Width

Window = Annotated[int, Strict(), Field(ge=1, le=WINDOW_MAX)]
Padding = Annotated[int, Strict(), Field(ge=0, le=WINDOW_MAX)]
Pair = tuple[Window, Window]
PaddingPair = tuple[Padding, Padding]

_SIGNAL = "[channels, length]"
_IMAGE = "[channels, height, width]"


class Windowed(Spec):
    """What convolution and pooling share. `window`, `steps` and `pads` have one item per spatial axis."""

    @property
    def window(self) -> Shape:
        raise NotImplementedError

    @property
    def steps(self) -> Shape:
        raise NotImplementedError

    @property
    def pads(self) -> Shape:
        raise NotImplementedError

    def spatial(self, shape: Shape) -> Shape:
        """The spatial extents of the output."""
        axes = len(self.window)
        expect_rank(shape, (1 + axes,), _SIGNAL if axes == 1 else _IMAGE)
        extents = []
        for extent, window, step, pad in zip(shape[1:], self.window, self.steps, self.pads, strict=True):
            if window > extent + 2 * pad:
                message = f"its window {list(self.window)} is larger than the padded input {list(shape[1:])}"
                raise Misfit(message, "use a smaller window or more padding.")
            extents.append((extent + 2 * pad - window) // step + 1)
        return tuple(extents)


class Windowed1d(Windowed):
    """One spatial axis; the header writes single numbers."""

    kernel: Window
    stride: Window = 1
    padding: Padding = 0

    @property
    def window(self) -> Shape:
        return (self.kernel,)

    @property
    def steps(self) -> Shape:
        return (self.stride,)

    @property
    def pads(self) -> Shape:
        return (self.padding,)


class Windowed2d(Windowed):
    """Two spatial axes, height first; the header writes pairs."""

    kernel: Pair
    stride: Pair = (1, 1)
    padding: PaddingPair = (0, 0)

    @property
    def window(self) -> Shape:
        return self.kernel

    @property
    def steps(self) -> Shape:
        return self.stride

    @property
    def pads(self) -> Shape:
        return self.padding


class Convolution(Activated, Windowed):
    """The parts of a convolution that do not depend on its rank. Padding is with zeros."""

    channels: Width
    groups: Width = 1

    def output_shape(self, shape: Shape) -> Shape:
        spatial = self.spatial(shape)
        if shape[0] % self.groups or self.channels % self.groups:
            message = f"{self.groups} groups divide neither or only one of {shape[0]} and {self.channels}"
            raise Misfit(message, "choose groups that divide the channels on both sides.")
        if self.activation == "softmax":
            message = "softmax goes over features, not over the channels of an image or signal"
            raise Misfit(message, "put it behind a flatten or transpose.")
        return bounded((self.channels, *spatial))

    def tensors(self, shape: Shape) -> dict[str, Shape]:
        weight = (self.channels, shape[0] // self.groups, *self.window)
        return bounded_tensors({"weight": weight, "bias": (self.channels,)})


class Conv1d(Windowed1d, Convolution):
    """Convolution over a signal."""

    type: Literal["conv1d"] = "conv1d"


class Conv2d(Windowed2d, Convolution):
    """Convolution over an image."""

    type: Literal["conv2d"] = "conv2d"


class Pooling(Windowed):
    """The largest or the mean number of each window, channel by channel."""

    def output_shape(self, shape: Shape) -> Shape:
        spatial = self.spatial(shape)
        if any(2 * pad > window for pad, window in zip(self.pads, self.window, strict=True)):
            message = "its padding is more than half of its window"
            raise Misfit(message, "use less padding: a window of padding alone has no value.")
        return bounded((shape[0], *spatial))


class MaxPool1d(Windowed1d, Pooling):
    """The largest number of each window; padding never wins."""

    type: Literal["max_pool1d"] = "max_pool1d"


class MaxPool2d(Windowed2d, Pooling):
    """The largest number of each window; padding never wins."""

    type: Literal["max_pool2d"] = "max_pool2d"


class AveragePool1d(Windowed1d, Pooling):
    """The mean of each window; with `count_padding` the padding counts as zeros."""

    type: Literal["average_pool1d"] = "average_pool1d"
    count_padding: Annotated[bool, Strict()] = True


class AveragePool2d(Windowed2d, Pooling):
    """The mean of each window; with `count_padding` the padding counts as zeros."""

    type: Literal["average_pool2d"] = "average_pool2d"
    count_padding: Annotated[bool, Strict()] = True


class GlobalPool(Spec):
    """One number per channel, over all its positions."""

    type: Literal["global_pool"] = "global_pool"
    mode: Literal["mean", "max"] = "mean"

    def output_shape(self, shape: Shape) -> Shape:
        expect_rank(shape, (2, 3), f"{_SIGNAL} or {_IMAGE}")
        return (shape[0],)
