"""The manifest of a wasm agent, read and held against itself: where its host writes and reads.

The manifest comes with the module, from the same stranger. Every offset is checked against the memory once,
here, so that whoever holds a layout can make views of the memory without looking again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sandbox.errors import AgentFailed

ABI: Final = "af-wasm-1"
KEPT: Final = "kept"
PER_REQUEST: Final = "per_request"
PAGE_BYTES: Final = 65536
PAGES_MAX: Final = 65536  # all a 32-bit memory can have
BATCH_MAX: Final = 65536
RATE_MAX: Final = 1e6
SETTINGS_BYTES: Final = 12  # learning rate, momentum, status
_ITEM_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class Rows:
    """Where the rows of one port lie in the module's memory; size and stride count f32 items."""

    port: str
    offset: int
    size: int
    stride: int


@dataclass(frozen=True, slots=True)
class TrainLayout:
    """Of an agent that learns: the target's row, the cells of `train1`, and its state beside the weights."""

    target: Rows
    settings: int
    state: tuple[int, int]
    learning_rate: float
    momentum: float


@dataclass(frozen=True, slots=True)
class Layout:
    """A manifest that has been checked against itself."""

    capability: str
    input: Rows
    output: Rows
    batch_max: int
    pages: int
    weights: tuple[int, int]
    train: TrainLayout | None
    fresh: bool

    @classmethod
    def check(cls, name: str, manifest: Mapping[str, Any]) -> Layout:
        """Read a manifest; raises `AgentFailed` that says what is wrong with it."""
        try:
            _known_abi(manifest["abi"])
            pages = within("pages", manifest["pages"], 1, PAGES_MAX)
            memory = pages * PAGE_BYTES
            layout = cls(
                capability=str(manifest["capability"]),
                input=_rows(manifest["input"]),
                output=_rows(manifest["output"]),
                batch_max=within("batch_max", manifest["batch_max"], 1, BATCH_MAX),
                pages=pages,
                weights=_span("weights", manifest["weights"], memory),
                train=_train(manifest.get("train"), memory),
                fresh=known_instance(manifest.get("instance", KEPT)) == PER_REQUEST,
            )
            for rows in (layout.input, layout.output):
                end = rows.offset + _ITEM_BYTES * (rows.stride * (layout.batch_max - 1) + rows.size)
                within(f"the end of {rows.port}", end, 0, memory)
            if layout.train is not None:
                within("train.target.size", layout.train.target.size, layout.output.size, layout.output.size)
        except (KeyError, TypeError, ValueError) as error:
            reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            raise AgentFailed(f"the manifest is refused: {reason}", place=f"{name}.manifest") from error
        return layout


def _known_abi(abi: object) -> None:
    if abi != ABI:
        raise ValueError(f"abi is {abi!r}, this host runs {ABI!r}")


def known_instance(instance: object) -> object:
    """The manifest's `instance`; raises `ValueError` for what is none."""
    if instance not in (KEPT, PER_REQUEST):
        raise ValueError(f"instance is {instance!r}, this host knows {KEPT!r} and {PER_REQUEST!r}")
    return instance


def _rows(value: Mapping[str, Any]) -> Rows:
    size = within("size", value["size"], 1, PAGES_MAX * PAGE_BYTES // _ITEM_BYTES)
    stride = within("stride", value["stride"], size, PAGES_MAX * PAGE_BYTES // _ITEM_BYTES)
    return Rows(str(value["port"]), _offset("offset", value["offset"]), size, stride)


def _offset(what: str, value: Any) -> int:
    offset = within(what, value, 0, PAGES_MAX * PAGE_BYTES)
    if offset % _ITEM_BYTES:
        raise ValueError(f"{what} {offset} is no multiple of {_ITEM_BYTES}")
    return offset


def _span(what: str, value: Mapping[str, Any], memory: int) -> tuple[int, int]:
    start = within(f"{what}.start", value["start"], 0, memory)
    return start, within(f"{what}.end", value["end"], start, memory)


def _train(value: Mapping[str, Any] | None, memory: int) -> TrainLayout | None:
    if value is None:
        return None
    layout = TrainLayout(
        target=_rows(value["target"]),
        settings=_offset("train.settings", value["settings"]),
        state=_span("train.state", value["state"], memory),
        learning_rate=rate_within("train.learning_rate", value["learning_rate"]),
        momentum=_share("train.momentum", value.get("momentum", 0.0)),
    )
    within("the end of train.target", layout.target.offset + _ITEM_BYTES * layout.target.size, 0, memory)
    within("the end of train.settings", layout.settings + SETTINGS_BYTES, 0, memory)
    return layout


def within(what: str, value: Any, low: int, high: int) -> int:
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"{what} is {value!r}, allowed: {low} to {high}")
    return value


def rate_within(what: str, value: Any) -> float:
    """A learning rate; raises `ValueError` for what is none."""
    if type(value) not in {int, float} or not math.isfinite(value) or not 0 < value <= RATE_MAX:
        raise ValueError(f"{what} is {value!r}, allowed: above 0 up to {RATE_MAX:g}")
    return float(value)


def _share(what: str, value: Any) -> float:
    if type(value) not in {int, float} or not 0 <= value < 1:
        raise ValueError(f"{what} is {value!r}, allowed: 0 up to, not including, 1")
    return float(value)
