"""Python values to payloads and back: arrays are tensors, bytes are bytes, anything else is JSON.

Sizes are checked before anything is copied or sent, so that a mistake with a gigabyte in it costs nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from sandbox import tensors
from swarm import limits
from swarm.errors import Mistake, ProtocolBroken, TooLarge
from swarm.graph import Items, Payload


class Large(NamedTuple):
    """A value that is uploaded before it is submitted: its bytes in pieces, of which none is a copy."""

    kind: str
    parts: tuple[bytes | memoryview, ...]

    @property
    def size_bytes(self) -> int:
        return sum(map(len, self.parts))


def encode_inputs(inputs: Mapping[str, object]) -> dict[str, Payload | Large]:
    """The feeds of one run; raises `TooLarge` or `Mistake` naming the input."""
    encoded: dict[str, Payload | Large] = {}
    left = limits.RUN_INPUT_BYTES_MAX
    for name, value in inputs.items():
        payload = encoded[name] = encode_value(f"input {name!r}", value)
        left -= len(payload.data) if isinstance(payload, Payload) else 0
        if left < 0:
            raise TooLarge(
                f"the small inputs have more than {limits.RUN_INPUT_BYTES_MAX} bytes together",
                place=f"input {name!r}",
                remedy="put several into one value, or submit several smaller runs",
            )
    return encoded


def encode_value(place: str, value: object) -> Payload | Large:
    """One value as it travels; `place` names it in errors."""
    match value:
        case Payload():
            return _sized(place, value.kind, value.data)
        case np.ndarray() | np.generic():
            _check_size(place, value.nbytes)
            return _tensor(place, np.asarray(value))
        case bytes():
            return _sized(place, "bytes", value)
        case bytearray() | memoryview():
            _check_size(place, memoryview(value).nbytes)
            return _sized(place, "bytes", bytes(value))
        case _:
            return _sized(place, "json", _json(place, value))


def inline_value(place: str, value: object) -> Payload:
    """One value that travels with a call, or stands in a graph; raises `TooLarge`."""
    payload = encode_value(place, value)
    if isinstance(payload, Payload):
        return payload
    if payload.size_bytes > limits.LITERAL_BYTES_MAX:
        raise TooLarge(
            f"{payload.size_bytes} bytes, here at most {limits.LITERAL_BYTES_MAX} travel inline",
            place=place,
            remedy="pass it as an input of a run: those are uploaded",
        )
    return Payload(payload.kind, b"".join(payload.parts))


def _check_size(place: str, size_bytes: int) -> None:
    """Raise `TooLarge` for a value over the bound of one payload."""
    if size_bytes > limits.VALUE_BYTES_MAX:
        raise TooLarge(
            f"{size_bytes} bytes, one value has at most {limits.VALUE_BYTES_MAX}",
            place=place,
            remedy="split it over several inputs or runs",
        )


def _sized(place: str, kind: str, data: bytes) -> Payload | Large:
    _check_size(place, len(data))
    return Payload(kind, data) if len(data) <= limits.PAYLOAD_INLINE_BYTES_MAX else Large(kind, (data,))


def decode_items(place: str, items: Items) -> object:
    """What a port carried: one value, or a list of them where the port is `many`."""
    if isinstance(items, Payload):
        return _decode(place, items)
    return [_decode(place, payload) for payload in items]


def decode_outputs(outputs: Iterable[tuple[str, Items]]) -> dict[str, object]:
    """The values of a graph's outlets."""
    return {name: decode_items(f"outlet {name!r}", items) for name, items in outputs}


def _tensor(place: str, array: tensors.Array) -> Payload | Large:
    try:
        if array.nbytes < limits.PAYLOAD_INLINE_BYTES_MAX:
            return _sized(place, "tensor", tensors.encode(array))
        encoded = tensors.Encoded(array)
    except tensors.TensorError as error:
        raise Mistake(str(error), place=place, remedy="convert the array first") from None
    _check_size(place, len(encoded))
    return Large("tensor", encoded.parts)


def _json(place: str, value: object) -> bytes:
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise Mistake(
            f"{type(value).__name__} cannot be sent: {error}",
            place=place,
            remedy="pass a numpy array, bytes, or what JSON can express",
        ) from None


def _decode(place: str, payload: Payload) -> object:
    try:
        match payload.kind:
            case "json":
                value: object = json.loads(payload.data)
                return value
            case "tensor":
                return tensors.decode(payload.data)
            case "bytes":
                return payload.data
            case _:
                raise ProtocolBroken(f"a payload of kind {payload.kind!r}", place=place)
    except ValueError as error:
        raise ProtocolBroken(f"a {payload.kind} payload that is none: {error}", place=place) from error
