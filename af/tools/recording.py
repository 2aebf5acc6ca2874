"""An input with everything a network made of it, to the bit, so that it can be asked again anywhere.

The answers are the compiled module's, whose arithmetic is the same on every machine: a replay that differs
means other weights, another compiler, or a machine that cannot be trusted.
"""

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from af.errors import refused
from af.limits import VALUE_ITEMS_MAX
from af.network import Floats, Network
from af.tools.facts import layer_title
from af.tools.tracing import exact_trace

RECORDING_BYTES_MAX = 64 * 1024 * 1024

_FORMAT = "af-recording-1"


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """The input rows, and the rows that every layer gives."""

    agent: str  # name
    weights: str  # sha256
    rows: Floats
    layers: tuple[tuple[str, Floats], ...]  # title and values


@dataclass(frozen=True, slots=True)
class Deviation:
    """One layer of a replay that differs from the recording."""

    layer: int
    title: str
    numbers: int
    max_difference: float


def record(name: str, network: Network, rows: Floats) -> Recording:
    titles = [layer_title(layer.spec) for layer in network.layers]
    layers = tuple(zip(titles, exact_trace(network, rows), strict=True))
    return Recording(name, _weights_digest(network), rows, layers)


def replay(recording: Recording, network: Network) -> list[Deviation]:
    """Every layer whose numbers are not the recorded ones, bit by bit; empty if all are."""
    if recording.rows.shape[1] != network.input_size or len(recording.layers) != len(network.layers):
        message = f"it was made with another network, of {len(recording.layers)} layers."
        raise refused("recording", message, "replay it with the agent it was made with.")
    deviations = []
    for number, values in enumerate(exact_trace(network, recording.rows)):
        title, expected = recording.layers[number]
        if values.shape != expected.shape:
            message = f"layer {number} gave rows of {expected.shape[1]} numbers, now {values.shape[1]}."
            raise refused("recording", message, "replay it with the agent it was made with.")
        different = int(np.count_nonzero(values.view(np.uint32) != expected.view(np.uint32)))
        if different:
            with np.errstate(invalid="ignore"):
                distance = float(np.nanmax(np.abs(values.astype(np.float64) - expected), initial=0.0))
            deviations.append(Deviation(number, title, different, distance))
    return deviations


def to_bytes(recording: Recording) -> bytes:
    document = {
        "format": _FORMAT,
        "agent": recording.agent,
        "weights_sha256": recording.weights,
        "input": _packed(recording.rows),
        "layers": [{"layer": title, **_packed(values)} for title, values in recording.layers],
    }
    data = (json.dumps(document, indent=1) + "\n").encode()
    if len(data) > RECORDING_BYTES_MAX:
        message = f"it would have {len(data)} bytes, the most is {RECORDING_BYTES_MAX}."
        raise refused("recording", message, "record fewer rows.")
    return data


def from_bytes(data: bytes) -> Recording:
    """AfRefused unless every number is where the recording says it is."""
    try:
        document = _document(data)
        layers = tuple((str(layer["layer"]), _unpacked(layer)) for layer in document["layers"])
        rows = _unpacked(document["input"])
        name, weights = str(document["agent"]), str(document["weights_sha256"])
    except (ValueError, KeyError, TypeError, RecursionError, binascii.Error) as error:
        message = f"it is not a recording of format {_FORMAT} ({error!r:.200})."
        raise refused("recording", message, "make one with `af-debug record`.") from None
    return Recording(name, weights, rows, layers)


def same_weights(recording: Recording, network: Network) -> bool:
    return recording.weights == _weights_digest(network)


def _weights_digest(network: Network) -> str:
    digest = hashlib.sha256()
    for _, tensor in network.tensors():
        digest.update(np.ascontiguousarray(tensor, "<f4").tobytes())
    return digest.hexdigest()


def _document(data: bytes) -> Any:
    document = json.loads(data)
    if document["format"] != _FORMAT:
        message = f"format {document['format']!r}"
        raise ValueError(message)
    return document


def _packed(values: Floats) -> dict[str, object]:
    data = np.ascontiguousarray(values, "<f4").tobytes()
    return {"shape": list(values.shape), "f32": base64.b64encode(data).decode("ascii")}


def _unpacked(facts: dict[str, object]) -> Floats:
    shape, text = facts["shape"], facts["f32"]
    if not isinstance(shape, list) or not isinstance(text, str) or len(shape) != 2:
        message = "no rows"
        raise ValueError(message)
    if any(not isinstance(extent, int) or not 0 <= extent <= VALUE_ITEMS_MAX for extent in shape):
        message = f"shape {shape}"
        raise ValueError(message)
    data = base64.b64decode(text, validate=True)
    if len(data) != 4 * prod(shape):
        message = f"{len(data)} bytes for shape {shape}"
        raise ValueError(message)
    return np.frombuffer(data, "<f4").reshape(shape)
