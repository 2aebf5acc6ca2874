"""Port values as people write them: JSON, NPY and CSV in, JSON out.

A file holds either a mapping of port names to values, or the value of the one port that must be given. A
tensor is nested lists of numbers; a single row will do where rows are expected. Bytes are
`{"base64": "..."}`. A `many` port takes a list of values.
"""

import base64
import binascii
import io
import json
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from af.errors import refused
from af.records import Capability, PortSpec
from af.tools.console import read_bytes

Array = NDArray[np.generic]
Values = dict[str, object]  # port name to value

_NUMPY_NAMES = {"f": "float", "u": "uint", "i": "int"}


def read_values(path: Path, capability: Capability) -> Values:
    """The inputs in a file; its suffix says how it is written."""
    data = read_bytes(path)
    place = str(path)
    match path.suffix:
        case ".json":
            return json_values(data.decode("utf-8", "replace"), capability, place)
        case ".npy" | ".csv":
            return as_input(capability, _read_array(data, path), place)
        case _:
            raise refused(place, f"the suffix {path.suffix!r} is unknown.", "use .json, .npy, .csv or .png.")


def as_input(capability: Capability, array: Array, place: str) -> Values:
    """An array as the value of the one port that must be given."""
    port = single_port(capability, place)
    return {port.name: _tensor(port, array, place)}


def json_values(text: str, capability: Capability, place: str) -> Values:
    """The inputs in one JSON text."""
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise refused(place, f"it is not JSON ({error}).", "correct the text.") from None
    ports = {port.name: port for port in capability.inputs}
    if not isinstance(value, dict) or not set(value) <= set(ports):
        port = single_port(capability, place)
        value = {port.name: value}
    missing = [port.name for port in capability.inputs if not port.optional and port.name not in value]
    if missing:
        raise refused(place, f"no value for the port {missing[0]}.", _mapping_remedy(capability))
    return {name: _read(ports[name], item, f"{place}, port {name}") for name, item in value.items()}


def jsonable(value: object) -> object:
    """An output value for JSON; numbers that are not finite become null."""
    match value:
        case np.ndarray():
            return jsonable(value.tolist())
        case bytes():
            return {"base64": base64.b64encode(value).decode("ascii")}
        case float():
            return value if math.isfinite(value) else None
        case list() | tuple():
            return [jsonable(item) for item in value]
        case Mapping():
            return {name: jsonable(item) for name, item in value.items()}
        case _:
            return value


def numpy_dtype(port: PortSpec) -> np.dtype[np.generic]:
    """The array type of a port; float32 where the port does not say."""
    name = port.dtype or "f32"
    if name == "bool":
        return np.dtype(np.bool_)
    return np.dtype(_NUMPY_NAMES[name[0]] + name[1:])


def single_port(capability: Capability, place: str) -> PortSpec:
    required = [port for port in capability.inputs if not port.optional]
    if len(required) != 1:
        raise refused(place, f"{capability.name} takes several inputs.", _mapping_remedy(capability))
    return required[0]


def _mapping_remedy(capability: Capability) -> str:
    names = ", ".join(f'"{port.name}": ...' for port in capability.inputs)
    return f"give JSON of the form {{{names}}}."


def _read(port: PortSpec, value: object, place: str) -> object:
    if not port.many:
        return _read_one(port, value, place)
    if not isinstance(value, list):
        raise refused(place, "it takes a list of values, one per part.", "wrap the value in a list.")
    return [_read_one(port, item, f"{place}[{number}]") for number, item in enumerate(value)]


def _read_one(port: PortSpec, value: object, place: str) -> object:
    if port.kind == "tensor":
        return _tensor(port, value, place)
    if isinstance(value, dict) and set(value) == {"base64"} and port.kind in ("bytes", "any"):
        try:
            return base64.b64decode(value["base64"], validate=True)
        except (TypeError, ValueError, binascii.Error):
            raise refused(place, "it is not base64.", "correct the text.") from None
    if port.kind == "bytes":
        raise refused(place, "it takes bytes.", 'write {"base64": "..."}.')
    return value


def _tensor(port: PortSpec, value: object, place: str) -> Array:
    try:
        array = np.asarray(value, numpy_dtype(port))
    except (TypeError, ValueError, OverflowError) as error:
        raise refused(
            place, f"it is not a tensor of {port.dtype or 'f32'} ({error}).", "give numbers."
        ) from None
    shape = port.shape
    if shape is None:
        return array
    if array.size == 0 and None in shape:
        return array.reshape([extent or 0 for extent in shape])
    if array.ndim == len(shape) - 1 and shape[0] is None:
        array = array[np.newaxis]
    if array.ndim != len(shape) or any(b not in (None, a) for a, b in zip(array.shape, shape, strict=True)):
        wanted = ", ".join("any" if extent is None else str(extent) for extent in shape)
        raise refused(place, f"its shape is {list(array.shape)}, not [{wanted}].", "reshape the input.")
    return array


def _read_array(data: bytes, path: Path) -> Array:
    try:
        if path.suffix == ".npy":
            loaded: Array = np.load(io.BytesIO(data), allow_pickle=False)
            return loaded
        return np.loadtxt(io.StringIO(data.decode("utf-8")), delimiter=",", ndmin=2)
    except (ValueError, OSError, EOFError) as error:
        raise refused(
            str(path), f"it is not readable as {path.suffix[1:]} ({error}).", "correct it."
        ) from None
