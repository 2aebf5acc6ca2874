"""Python values to payloads and back: arrays are tensors, bytes are bytes, anything else is JSON.

Sizes are checked before anything is copied or sent, so that a mistake with a gigabyte in it costs nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

import numpy as np

from sandbox import tensors
from swarm import limits
from swarm.errors import Mistake, ProtocolBroken, TooLarge
from swarm.graph import Items, Payload


def encode_inputs(inputs: Mapping[str, object]) -> dict[str, Payload]:
    """The feeds of one run; raises `TooLarge` or `Mistake` naming the input."""
    encoded: dict[str, Payload] = {}
    left = limits.RUN_INPUT_BYTES_MAX
    for name, value in inputs.items():
        payload = encoded[name] = encode_value(f"input {name!r}", value)
        left -= len(payload.data)
        if left < 0:
            raise TooLarge(
                f"the inputs have more than {limits.RUN_INPUT_BYTES_MAX} bytes together",
                place=f"input {name!r}",
                remedy="submit several smaller runs",
            )
    return encoded


def encode_value(place: str, value: object) -> Payload:
    """One value as it travels; `place` names it in errors."""
    match value:
        case Payload():
            check_size(place, len(value.data))
            return value
        case np.ndarray() | np.generic():
            check_size(place, value.nbytes)
            return _checked(place, "tensor", _tensor(place, np.asarray(value)))
        case bytes():
            check_size(place, len(value))
            return Payload("bytes", value)
        case bytearray() | memoryview():
            check_size(place, memoryview(value).nbytes)
            return Payload("bytes", bytes(value))
        case _:
            return _checked(place, "json", _json(place, value))


def check_size(place: str, size_bytes: int) -> None:
    """Raise `TooLarge` for a value over the bound of one payload."""
    if size_bytes > limits.PAYLOAD_INLINE_BYTES_MAX:
        raise TooLarge(
            f"{size_bytes} bytes, one value has at most {limits.PAYLOAD_INLINE_BYTES_MAX}",
            place=place,
            remedy="split it over several inputs or runs, or pass a reference the agent can resolve",
        )


def decode_items(place: str, items: Items) -> object:
    """What a port carried: one value, or a list of them where the port is `many`."""
    if isinstance(items, Payload):
        return _decode(place, items)
    return [_decode(place, payload) for payload in items]


def decode_outputs(outputs: Iterable[tuple[str, Items]]) -> dict[str, object]:
    """The values of a graph's outlets."""
    return {name: decode_items(f"outlet {name!r}", items) for name, items in outputs}


def _checked(place: str, kind: str, data: bytes) -> Payload:
    check_size(place, len(data))
    return Payload(kind, data)


def _tensor(place: str, array: tensors.Array) -> bytes:
    try:
        return tensors.encode(array)
    except tensors.TensorError as error:
        raise Mistake(str(error), place=place, remedy="convert the array first") from None


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
