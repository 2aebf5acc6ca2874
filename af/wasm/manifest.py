"""The manifest of a compiled network: what a host must know to feed it, and nothing else."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, Strict

from af.errors import Problem
from af.limits import BATCH_ROWS_MAX, LAYER_WIDTH_MAX, WASM_PAGE_BYTES, WASM_PAGES_MAX
from af.records import CapabilityName, Instance, Name
from af.wasm.assembly import Precision
from af.wasm.layout import F32_BYTES, Rows
from af.wasm.module import Module
from af.wasm.training import Loss, TrainingPlan

Address = Annotated[int, Strict(), Field(ge=0, le=WASM_PAGE_BYTES * WASM_PAGES_MAX, multiple_of=F32_BYTES)]
Width = Annotated[int, Strict(), Field(ge=1, le=LAYER_WIDTH_MAX)]

SETTINGS_BYTES = 12  # learning rate, momentum, status
TARGET_PORT = "target"
COMPONENT_ABI = "af-component-1"
COMPONENT_ROW_MAX = 1_048_576  # numbers


class _Mapping(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PortRows(_Mapping):
    """The rows of a port: row i begins at `offset` + 4 * `stride` * i; `size` of its `stride` items count."""

    port: Name
    offset: Address
    size: Width
    stride: Width

    @property
    def stride_bytes(self) -> int:
        return F32_BYTES * self.stride


class Span(_Mapping):
    """Bytes `start` to `end` of the memory."""

    start: Address
    end: Address


class Training(_Mapping):
    """The export `train1()`: one step from row 0 of the input and the row of `target`.

    At `settings` lie learning rate and momentum (f32, written by the host before a call) and then the status
    (i32, written by the module: 0 if it learned; otherwise no weight has moved). `state` is what a checkpoint
    holds beside the weights.
    """

    target: PortRows
    loss: Loss
    settings: Address
    state: Span
    learning_rate: Annotated[float, Strict(), Field(gt=0, le=1e6)]
    momentum: Annotated[float, Strict(), Field(ge=0, lt=1)] = 0.0


class WasmManifest(_Mapping):
    """ABI `af-wasm-1`: exports `memory`, `infer1()`, `infer(rows: i32)`; no imports; memory min = max."""

    abi: Literal["af-wasm-1"]
    capability: CapabilityName
    input: PortRows
    output: PortRows
    batch_max: Annotated[int, Strict(), Field(ge=1, le=BATCH_ROWS_MAX)]
    pages: Annotated[int, Strict(), Field(ge=1, le=WASM_PAGES_MAX)]
    weights: Span
    precision: Precision = "f32"  # of the weights; a host need not look
    instance: Instance = "kept"
    train: Training | None = None

    def to_json(self) -> dict[str, JsonValue]:
        mapping: dict[str, JsonValue] = self.model_dump(mode="json", exclude_defaults=True)
        return mapping

    def problems(self, place: str) -> list[Problem]:
        """What is wrong with the numbers taken together."""
        memory_bytes = self.pages * WASM_PAGE_BYTES
        remedy = "compile the file again."
        found = []
        for name, rows in (("input", self.input), ("output", self.output)):
            if rows.size > rows.stride:
                message = f"a row of {rows.size} items does not fit a stride of {rows.stride}."
                found.append(Problem(f"{place}.{name}", message, remedy))
            if rows.offset + self.batch_max * rows.stride_bytes > memory_bytes:
                message = f"{self.batch_max} rows end behind the memory of {self.pages} pages."
                found.append(Problem(f"{place}.{name}", message, remedy))
        if not self.weights.start <= self.weights.end <= memory_bytes:
            message = f"the span does not lie inside the memory of {self.pages} pages."
            found.append(Problem(f"{place}.weights", message, remedy))
        if self.train is not None:
            found += self._training_problems(self.train, f"{place}.train", memory_bytes)
        return found

    def _training_problems(self, train: Training, place: str, memory_bytes: int) -> Iterator[Problem]:
        target, state, remedy = train.target, train.state, "compile the file again."
        if target.size != self.output.size:
            message = f"a target of {target.size} items does not fit an output of {self.output.size}."
            yield Problem(f"{place}.target", message, remedy)
        if target.offset + target.size * F32_BYTES > memory_bytes:
            yield Problem(f"{place}.target", f"it ends behind the memory of {self.pages} pages.", remedy)
        if train.settings + SETTINGS_BYTES > memory_bytes:
            yield Problem(f"{place}.settings", f"they end behind the memory of {self.pages} pages.", remedy)
        if not state.start <= state.end <= memory_bytes:
            message = f"the span does not lie inside the memory of {self.pages} pages."
            yield Problem(f"{place}.state", message, remedy)


class ComponentPort(_Mapping):
    """A port and how many numbers a row of it has."""

    port: Name
    size: Annotated[int, Strict(), Field(ge=1, le=COMPONENT_ROW_MAX)]


class ComponentManifest(_Mapping):
    """ABI `af-component-1`: a component that exports `process-input: func(input: list<f32>) -> list<f32>`.

    It imports nothing, and its one memory grows up to `pages`.
    """

    abi: Literal["af-component-1"]
    capability: CapabilityName
    input: ComponentPort
    output: ComponentPort
    pages: Annotated[int, Strict(), Field(ge=1, le=WASM_PAGES_MAX)]
    instance: Instance = "kept"


def manifest_of(
    module: Module, capability: str, input_port: str, output_port: str, instance: Instance = "kept"
) -> WasmManifest:
    """The manifest of a generated module."""
    return WasmManifest(
        abi="af-wasm-1",
        capability=capability,
        input=_port_rows(input_port, module.input),
        output=_port_rows(output_port, module.output),
        batch_max=module.batch_max,
        pages=module.pages,
        weights=Span(start=module.weights_start, end=module.weights_end),
        precision=module.precision,
        instance=instance,
        train=None if module.training is None else _training(module.training),
    )


def _training(plan: TrainingPlan) -> Training:
    return Training(
        target=_port_rows(TARGET_PORT, plan.target),
        loss=plan.loss,
        settings=plan.settings,
        state=Span(start=plan.state_start, end=plan.state_end),
        learning_rate=plan.learning.rate,
        momentum=plan.learning.momentum,
    )


def _port_rows(port: str, rows: Rows) -> PortRows:
    return PortRows(port=port, offset=rows.address, size=rows.size, stride=rows.stride)
