"""How two agent files, or two checkpoints of one network, differ: header, sections, weights."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from af.agentfile import AgentFile
from af.errors import refused
from af.network import Floats, Network
from af.tools.facts import network_of
from sandbox import checkpoints

_MISSING = "(not there)"
_VALUE_CHARS_MAX = 60
_F32_BYTES = 4


@dataclass(frozen=True, slots=True)
class Change:
    """One place that differs."""

    place: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class TensorChange:
    """One tensor whose numbers differ."""

    name: str
    count: int
    changed: int
    max_difference: float
    mean_difference: float


@dataclass(frozen=True, slots=True)
class Differences:
    """Everything that differs; nothing at all if all three are empty."""

    header: tuple[Change, ...] = ()
    sections: tuple[Change, ...] = ()
    weights: tuple[TensorChange, ...] = ()

    @property
    def any(self) -> bool:
        return bool(self.header or self.sections or self.weights)


def file_differences(before: AgentFile, after: AgentFile) -> Differences:
    headers = [dict(_flat("", agent.header.to_mapping())) for agent in (before, after)]
    sections = [
        {s.name: f"{len(s.data)} bytes, {s.entry.sha256[:12]}..." for s in a.sections}
        for a in (before, after)
    ]
    networks = network_of(before), network_of(after)
    weights: tuple[TensorChange, ...] = ()
    if networks[0] is not None and networks[1] is not None:
        weights = tuple(_weight_changes(networks[0], networks[1]))
    return Differences(
        tuple(_changes(headers[0], headers[1])), tuple(_changes(sections[0], sections[1])), weights
    )


def checkpoint_differences(before: bytes, after: bytes) -> Differences:
    """Two checkpoints of a module: the float32 numbers of its weights and learning state, with padding."""
    before, after = checkpoints.content(before), checkpoints.content(after)
    if len(before) != len(after) or len(before) % _F32_BYTES:
        message = f"{len(before)} and {len(after)} bytes are not two checkpoints of one network."
        raise refused("checkpoints", message, "give two checkpoints of the same agent, or two .af files.")
    first, second = np.frombuffer(before, "<f4"), np.frombuffer(after, "<f4")
    change = _tensor_change("all weights", first, second)
    return Differences(weights=() if change is None else (change,))


def _weight_changes(before: Network, after: Network) -> Iterator[TensorChange]:
    """Of the tensors both have; tensors of another shape show in the header."""
    known = dict(before.tensors())
    for name, tensor in after.tensors():
        old = known.get(name)
        if old is not None and old.shape == tensor.shape:
            change = _tensor_change(name, old, tensor)
            if change is not None:
                yield change


def _tensor_change(name: str, before: Floats, after: Floats) -> TensorChange | None:
    changed = int(np.count_nonzero(before.view(np.uint32) != after.view(np.uint32)))
    if not changed:
        return None
    with np.errstate(invalid="ignore"):
        distance = np.abs(after.astype(np.float64) - before)
    return TensorChange(name, before.size, changed, float(distance.max()), float(distance.mean()))


def _changes(before: dict[str, str], after: dict[str, str]) -> Iterator[Change]:
    for place in dict.fromkeys((*before, *after)):
        old, new = before.get(place, _MISSING), after.get(place, _MISSING)
        if old != new:
            yield Change(place, old, new)


def _flat(place: str, value: object) -> Iterator[tuple[str, str]]:
    """Every leaf of a header with its place."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flat(f"{place}.{key}" if place else str(key), inner)
    elif isinstance(value, list) and any(isinstance(inner, dict) for inner in value):
        for number, inner in enumerate(value):
            yield from _flat(f"{place}[{number}]", inner)
    else:
        text = repr(value)
        yield place, text if len(text) <= _VALUE_CHARS_MAX else text[:_VALUE_CHARS_MAX] + "..."
