"""Images as inputs of networks: one picture is one row of numbers from 0 (black) to `white`.

The network says what it takes: a port [any, n] takes a grey picture of n pixels, or a coloured one of n / 3,
channel after channel, as PyTorch orders them. Pictures are never resized: that would be a guess about how the
network was trained. Pillow reads them, and only the formats named here; the size is looked at before a pixel.
"""

from io import BytesIO
from pathlib import Path

import numpy as np

from af.errors import AfNotReady, Problem, refused
from af.records import Capability
from af.tools.console import read_bytes
from af.tools.values import Values, as_input, single_port

IMAGE_SUFFIXES = frozenset({".png", ".pgm", ".ppm", ".jpg", ".jpeg"})
PIXELS_MAX = 16 * 1024 * 1024

_FORMATS = ("PNG", "PPM", "JPEG")  # PPM stands for all of PBM, PGM and PPM
_COLOURS = 3
_GREY_LEVELS_MAX = 255.0


def read_image(path: Path, capability: Capability, white: float) -> Values:
    """The picture as the input of the one port that must be given."""
    place = str(path)
    port = single_port(capability, place)
    size = port.shape[-1] if port.shape else None
    if port.kind != "tensor" or size is None:
        message = f"the port {port.name} takes no rows of a known width."
        raise refused(place, message, "write the input as JSON.")
    try:
        from PIL import Image, UnidentifiedImageError  # noqa: PLC0415 - an extra
    except ImportError:
        message = "pictures need the package Pillow, which is not installed."
        raise AfNotReady([Problem(place, message, "run `pip install 'neural-swarm[images]'`.")]) from None
    data = read_bytes(path)
    try:
        with Image.open(BytesIO(data), formats=_FORMATS) as picture:
            pixels = picture.width * picture.height
            if pixels > PIXELS_MAX or size not in (pixels, _COLOURS * pixels):
                extent = f"{picture.width} x {picture.height} pixels"
                message = f"it has {extent}; the port {port.name} takes {size} numbers."
                raise refused(place, message, "give a picture of the size the network was trained on.")
            grey = np.asarray(picture.convert("L" if size == pixels else "RGB"), np.float32)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        message = f"it is not a readable picture ({error})."
        raise refused(place, message, "use PNG, PGM, PPM or JPEG.") from None
    values = grey if grey.ndim == 2 else grey.transpose(2, 0, 1)
    return as_input(capability, values.reshape(1, -1) * np.float32(white / _GREY_LEVELS_MAX), place)
