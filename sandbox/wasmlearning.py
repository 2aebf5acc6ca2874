"""How a wasm agent learns: its module's `train1`, row after row, all of a feedback or nothing.

Feedback is a list of two or three payloads: a tensor of inputs, a tensor of targets, and optionally a
learning rate (JSON). One row is [n] with a target [m], several are [rows, n] with [rows, m]; a whole number
in place of a target row is a class. The rows are learned one after the other, in their order. Before the
first of them, weights and learning state are copied; whatever goes wrong on the way, they are put back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from sandbox import tensors
from sandbox.errors import AgentFailed
from sandbox.payload import Items, Payload, parse_json
from sandbox.wasmlayout import Layout, TrainLayout, rate_within

_F32: Final = np.dtype("<f4")
_SETTINGS: Final = 2  # learning rate and momentum; the status follows
_PAYLOADS: Final = (2, 3)
_FORM: Final = "feedback is [inputs, targets] or [inputs, targets, learning rate]"


@dataclass(frozen=True, slots=True)
class Lesson:
    """Rows to learn from, of the right widths, and how fast."""

    inputs: tensors.Array
    targets: tensors.Array
    rate: float


class Trainer:
    """Learning in one module's memory; the calls go through `step`, which knows the deadline."""

    def __init__(
        self, name: str, layout: Layout, plan: TrainLayout, memory: tensors.Array, step: Callable[[], None]
    ) -> None:
        self._name = name
        self._sizes = layout.input.size, layout.output.size
        self._plan = plan
        self._step = step
        # Views of the module's own memory, which neither moves nor grows.
        self._input = _items(memory, layout.input.offset, layout.input.size)
        self._target = _items(memory, plan.target.offset, plan.target.size)
        self._settings = _items(memory, plan.settings, _SETTINGS)
        self._status = _items(memory, plan.settings, _SETTINGS + 1)[_SETTINGS:].view("<i4")
        self._weights = memory[slice(*layout.weights)]
        self.state = memory[slice(*plan.state)]
        self._kept_weights, self._kept_state = np.empty_like(self._weights), np.empty_like(self.state)

    def lesson(self, feedback: Items) -> Lesson:
        """Feedback as rows; raises `AgentFailed` that says what does not fit."""
        if not isinstance(feedback, list) or len(feedback) not in _PAYLOADS:
            raise self._refused(_FORM)
        inputs, targets = self._decoded("inputs", feedback[0]), self._decoded("targets", feedback[1])
        rate = self._rate(feedback[2]) if len(feedback) == max(_PAYLOADS) else self._plan.learning_rate
        size, _ = self._sizes
        if inputs.ndim not in {1, 2} or inputs.shape[-1] != size:
            raise self._refused(f"inputs are [{size}] or [rows, {size}], got {list(inputs.shape)}")
        return Lesson(inputs.reshape(-1, size), self._target_rows(targets, inputs.shape[:-1]), rate)

    def learn(self, lesson: Lesson) -> None:
        """All rows, or the weights as they were and an error."""
        np.copyto(self._kept_weights, self._weights)
        np.copyto(self._kept_state, self.state)
        settings = lesson.rate, self._plan.momentum
        try:
            for number, (row, target) in enumerate(zip(lesson.inputs, lesson.targets, strict=True)):
                self._input[:], self._target[:], self._settings[:] = row, target, settings
                self._learn_row(number)
        except BaseException:
            np.copyto(self._weights, self._kept_weights)
            np.copyto(self.state, self._kept_state)
            raise

    def _learn_row(self, number: int) -> None:
        self._step()
        if self._status[0]:
            raise AgentFailed(
                f"row {number} was not learned: a number is not finite, or a step would be too long",
                place=self._name,
                remedy="look at the row, or learn at a lower rate",
            )

    def _target_rows(self, targets: tensors.Array, rows: tuple[int, ...]) -> tensors.Array:
        _, size = self._sizes
        if targets.shape == (*rows, size):
            return targets.reshape(-1, size)
        if targets.shape != rows or targets.dtype.kind not in "iu" or size == 1:
            wanted = [*map(str, rows), str(size)]
            raise self._refused(
                f"targets are [{', '.join(wanted)}] or whole numbers (classes), got {list(targets.shape)} "
                f"of {targets.dtype.name}"
            )
        classes = targets.reshape(-1)
        if len(classes) and not 0 <= classes.min() <= classes.max() < size:
            raise self._refused(f"a class is not between 0 and {size - 1}")
        return np.eye(size, dtype=_F32)[classes]

    def _decoded(self, what: str, payload: Payload) -> tensors.Array:
        kind, data = payload
        if kind != "tensor":
            raise self._refused(f"{what} are a tensor, got {kind}")
        try:
            return tensors.decode(data)
        except tensors.TensorError as error:
            raise self._refused(f"{what}: {error}") from error

    def _rate(self, payload: Payload) -> float:
        kind, data = payload
        if kind != "json":
            raise self._refused(f"the learning rate is JSON, got {kind}")
        try:
            return rate_within("the learning rate", parse_json(data))
        except ValueError as error:
            raise self._refused(str(error)) from error

    def _refused(self, reason: str) -> AgentFailed:
        return AgentFailed(f"feedback is refused: {reason}", place=self._name, remedy=_FORM)


def _items(memory: tensors.Array, offset: int, count: int) -> tensors.Array:
    return memory[offset : offset + count * _F32.itemsize].view(_F32)
