"""The section `training_data`: inputs and targets, row by row.

A 20-byte head, then all inputs row by row, then all targets row by row:

    offset  bytes  meaning
    0       4      "AFTD"
    4       2      layout version, 1 (all numbers little endian)
    6       1      item type of the inputs:  0 = u8, 1 = f32
    7       1      item type of the targets: 0 = u8, 1 = f32
    8       4      rows
    12      4      values per input row
    16      4      values per target row (1 with u8: a class label)
"""

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from af.errors import refused
from af.limits import LAYER_WIDTH_MAX, TRAINING_ROWS_MAX
from af.network import Floats
from af.sections import Section, encode_section

TRAINING = "training_data"

_TRAINING_HEAD = struct.Struct("<4sHBBIII")
_TRAINING_MAGIC = b"AFTD"
_TRAINING_VERSION = 1
_TRAINING_TYPES: tuple[np.dtype[np.uint8] | np.dtype[np.float32], ...] = (np.dtype(np.uint8), np.dtype("<f4"))


@dataclass(frozen=True, slots=True, eq=False)
class TrainingData:
    """Inputs [rows, width] and targets [rows, width], each u8 or f32."""

    inputs: NDArray[np.uint8] | Floats
    targets: NDArray[np.uint8] | Floats


def training_section(training: TrainingData) -> Section:
    """The `training_data` section, LZ4-compressed."""
    inputs, targets = training.inputs, training.targets
    assert inputs.ndim == targets.ndim == 2
    assert len(inputs) == len(targets) <= TRAINING_ROWS_MAX
    head = _TRAINING_HEAD.pack(
        _TRAINING_MAGIC,
        _TRAINING_VERSION,
        _TRAINING_TYPES.index(inputs.dtype),
        _TRAINING_TYPES.index(targets.dtype),
        len(inputs),
        inputs.shape[1],
        targets.shape[1],
    )
    return encode_section(TRAINING, head + inputs.tobytes() + targets.tobytes(), codec="lz4")


def training_from(section: Section) -> TrainingData:
    """The training data of a section; AfRefused if its head and its size disagree."""
    place = f"section {section.name}"
    remedy = "write it in the training data layout, version 1."
    if len(section.data) < _TRAINING_HEAD.size:
        raise refused(
            place, f"it has {len(section.data)} bytes, its head alone has {_TRAINING_HEAD.size}.", remedy
        )
    magic, version, input_code, target_code, rows, inputs, targets = _TRAINING_HEAD.unpack_from(section.data)
    if magic != _TRAINING_MAGIC or version != _TRAINING_VERSION:
        raise refused(place, "it does not begin with 'AFTD' and version 1.", remedy)
    if max(input_code, target_code) >= len(_TRAINING_TYPES):
        raise refused(f"{place}, byte 6", "an item type is neither 0 (u8) nor 1 (f32).", remedy)
    if rows > TRAINING_ROWS_MAX or max(inputs, targets) > LAYER_WIDTH_MAX:
        message = f"{rows} rows of {inputs} and {targets} values are more than the format allows."
        raise refused(f"{place}, byte 8", message, remedy)
    input_type, target_type = _TRAINING_TYPES[input_code], _TRAINING_TYPES[target_code]
    middle = _TRAINING_HEAD.size + rows * inputs * input_type.itemsize
    expected_bytes = middle + rows * targets * target_type.itemsize
    if len(section.data) != expected_bytes:
        message = f"it has {len(section.data)} bytes, its head announces {expected_bytes}."
        raise refused(place, message, remedy)
    return TrainingData(
        np.frombuffer(section.data[_TRAINING_HEAD.size : middle], input_type).reshape(rows, inputs),
        np.frombuffer(section.data[middle:], target_type).reshape(rows, targets),
    )
