"""A compiled network run directly by wasmtime, for tools and tests; nodes serve agents in the sandbox."""

from dataclasses import dataclass
from typing import Any, ClassVar, Self, assert_never

import numpy as np
from numpy.typing import NDArray

from af.errors import AfError, AfNotReady, Problem
from af.network import Floats, Network
from af.wasm.assembly import Precision
from af.wasm.layout import F32_BYTES
from af.wasm.manifest import SETTINGS_BYTES, PortRows, Training, WasmManifest, manifest_of
from af.wasm.module import generate
from af.wasm.training import Learning, Loss, learning_problems


@dataclass(frozen=True, slots=True)
class _Trainer:
    """The module's training step, and where it reads and writes."""

    step: Any  # wasmtime.Func
    target: Floats
    settings: NDArray[np.uint8]
    plan: Training


class WasmEngine:
    """One instance of a compiled module. Batches longer than the module takes are fed in pieces."""

    name: ClassVar[str] = "wasm"

    def __init__(self, code: bytes, manifest: WasmManifest) -> None:
        import wasmtime  # noqa: PLC0415 - it cannot be loaded in every cell that imports this package

        self._trainer: _Trainer | None = None
        engine = wasmtime.Engine()
        self._store = wasmtime.Store(engine)
        exports = wasmtime.Instance(self._store, wasmtime.Module(engine, code), []).exports(self._store)
        infer1, infer, memory = exports["infer1"], exports["infer"], exports["memory"]
        assert isinstance(infer1, wasmtime.Func)
        assert isinstance(infer, wasmtime.Func)
        assert isinstance(memory, wasmtime.Memory)
        self._infer1, self._infer, self._memory = infer1, infer, memory
        self._batch_max = manifest.batch_max
        self._inputs = self._view(manifest.input, manifest.batch_max)
        self._outputs = self._view(manifest.output, manifest.batch_max)
        if manifest.train is not None:
            train1 = exports["train1"]
            assert isinstance(train1, wasmtime.Func)
            settings = self._memory_bytes()[manifest.train.settings :][:SETTINGS_BYTES]
            self._trainer = _Trainer(
                train1, self._view(manifest.train.target, 1)[0], settings, manifest.train
            )

    @classmethod
    def for_network(
        cls, network: Network, precision: Precision = "f32", learning: Learning | None = None
    ) -> Self:
        """Compile and load a network that is not in a file; it learns if its layers do."""
        if learning is None and precision == "f32" and not any(learning_problems(network.specs)):
            learning = Learning()
        module = generate(network, precision=precision, learning=learning)
        return cls(module.binary(), manifest_of(module, "tools:network", "input", "output"))

    def forward(self, batch: Floats) -> Floats:
        rows = np.asarray(batch, np.float32)
        results = np.empty((len(rows), self._outputs.shape[1]), np.float32)
        for first in range(0, len(rows), self._batch_max):
            piece = rows[first : first + self._batch_max]
            self._inputs[: len(piece)] = piece
            self._infer(self._store, len(piece))
            results[first : first + len(piece)] = self._outputs[: len(piece)]
        return results

    def forward_one(self, row: Floats) -> Floats:
        """A single row through the module's entry point for single rows."""
        self._inputs[0] = row
        self._infer1(self._store)
        answer: Floats = self._outputs[0].copy()
        return answer

    def train(self, batch: Floats, target: Floats) -> float:
        """One step per row, in their order; the mean of the losses, each before its step."""
        trainer = self._trainer
        if trainer is None:
            message = "this module was compiled without a training step."
            raise AfNotReady([Problem("engine", message, "compile it with `learns: true`, or use torch.")])
        losses: list[float] = []
        for row, wanted in zip(np.asarray(batch, np.float32), np.asarray(target, np.float32), strict=True):
            self._inputs[0], trainer.target[:] = row, wanted
            trainer.settings.view(np.float32)[:2] = trainer.plan.learning_rate, trainer.plan.momentum
            trainer.step(self._store)
            if trainer.settings.view(np.int32)[2]:
                message = f"row {len(losses)} was not learned: a number is not finite, or a step too long."
                raise AfError((Problem("engine", message, "look at the row, or learn at a lower rate."),))
            losses.append(_loss(self._outputs[0], wanted, trainer.plan.loss))
        return float(np.mean(losses))

    def _memory_bytes(self) -> NDArray[np.uint8]:
        """All of the module's memory, which never moves: its size is fixed."""
        return np.ctypeslib.as_array(self._memory.get_buffer_ptr(self._store))

    def _view(self, rows: PortRows, count: int) -> Floats:
        block = self._memory_bytes()[rows.offset : rows.offset + count * rows.stride * F32_BYTES]
        return block.view(np.float32).reshape(count, rows.stride)[:, : rows.size]


def _loss(answer: Floats, target: Floats, kind: Loss) -> float:
    given, wanted = answer.astype(np.float64), target.astype(np.float64)
    match kind:
        case "cross_entropy":
            logarithms = np.log(np.maximum(given, np.finfo(np.float32).tiny))
            return float(-(wanted * logarithms).sum())
        case "mean_squares":
            return float(np.square(given - wanted).mean())
        case _:
            assert_never(kind)
