"""A network that learns through PyTorch, as its cell runs it (see af.onlinelearning).

Feedback means the same as for a compiled network: rows are learned one after another, all of them or none. A
checkpoint is laid out like one of a compiled network too (SPEC.md).
"""

import base64
import hashlib
import math
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from af.engines.torch_engine import TorchEngine, torch
from af.errors import refused
from af.header import NeuralConfig
from af.network import Floats
from af.onlinelearning import TorchManifest
from af.sections import encode_section
from af.wasm.training import STEP_MAX
from af.weights import WEIGHTS, network_from

_CHECKPOINT = struct.Struct("<4sHHII32s32s")
_MAGIC, _VERSION = b"AFCK", 1
_FORM = "feedback is [inputs, targets] or [inputs, targets, learning rate]."
_PAYLOADS = (2, 3)
_ANOTHER = "restore a checkpoint of this very agent, unchanged."


class TorchAgent:
    """The five calls over a network in PyTorch, on one thread. The module of an agent derives from it."""

    network: ClassVar[str]
    manifest: ClassVar[str]
    weights: ClassVar[str]

    def __init__(self) -> None:
        torch().set_num_threads(1)
        self._manifest = TorchManifest.model_validate_json(self.manifest)
        config = NeuralConfig.model_validate_json(self.network)
        weights = base64.b64decode(self.weights)
        self._engine = TorchEngine(network_from(config, encode_section(WEIGHTS, weights)))
        self._state: dict[str, Any] = {}
        if self._manifest.momentum:
            zeros = torch().zeros_like
            self._state = {name: zeros(tensor) for name, tensor in self._engine.parameters.items()}
        self._identity = hashlib.sha256(self.network.encode() + weights).digest()

    def process_input(self, capability: str, inputs: Mapping[str, Any]) -> dict[str, Floats]:
        ask, answer = self._manifest.input, self._manifest.output
        if capability != self._manifest.capability or set(inputs) != {ask.port}:
            message = f"{capability} with ports {sorted(inputs)} is not offered."
            raise refused("input", message, f"ask {self._manifest.capability} with the port {ask.port}.")
        rows = _rows("input", inputs[ask.port], ask.size)
        with _no_machine_code():
            answers = self._engine.forward(rows.reshape(-1, ask.size))
        return {answer.port: answers.reshape(*rows.shape[:-1], answer.size)}

    def get_metadata(self) -> dict[str, object]:
        return {
            "engine": f"torch {torch().__version__}",
            "learns": True,
            "weights_bytes": len(self._bytes(self._engine.parameters)),
        }

    def update_weights(self, feedback: object) -> None:
        """Learn from all rows in order; whatever goes wrong on the way, the weights are as they were."""
        inputs, targets, rate = self._lesson(feedback)
        kept, kept_state = _copies(self._engine.parameters), _copies(self._state)
        try:
            with _no_machine_code():
                for number, (row, target) in enumerate(zip(inputs, targets, strict=True)):
                    self._learn_row(number, row, target, rate)
        except BaseException:
            self._engine.parameters, self._state = kept, kept_state
            raise

    def checkpoint(self) -> bytes:
        weights, state = self._bytes(self._engine.parameters), self._bytes(self._state)
        body = weights + state
        digests = self._identity, hashlib.sha256(body).digest()
        return _CHECKPOINT.pack(_MAGIC, _VERSION, 0, len(weights), len(state), *digests) + body

    def restore(self, data: bytes) -> None:
        weights, state = self._bytes(self._engine.parameters), self._bytes(self._state)
        head, body = data[: _CHECKPOINT.size], data[_CHECKPOINT.size :]
        digests = self._identity, hashlib.sha256(body).digest()
        expected = _CHECKPOINT.pack(_MAGIC, _VERSION, 0, len(weights), len(state), *digests)
        if head != expected or len(body) != len(weights) + len(state):
            raise refused("checkpoint", f"it is {_misfit(head, expected)}.", _ANOTHER)
        self._engine.parameters = _tensors(self._engine.parameters, body[: len(weights)])
        self._state = _tensors(self._state, body[len(weights) :])

    def _learn_row(self, number: int, row: Floats, target: Floats, rate: float) -> None:
        library = torch()
        parameters = {
            name: tensor.detach().requires_grad_(requires_grad=True)
            for name, tensor in self._engine.parameters.items()
        }
        self._engine.parameters = parameters
        given, wanted = library.from_numpy(row[np.newaxis]), library.from_numpy(target[np.newaxis])
        loss = self._engine.loss(given, wanted)
        gradients = dict(
            zip(
                parameters,
                library.autograd.grad(loss, list(parameters.values()), allow_unused=True),
                strict=True,
            )
        )
        moved, longest = {}, 0.0
        with library.no_grad():
            for name, tensor in parameters.items():
                step = gradients[name] if gradients[name] is not None else library.zeros_like(tensor)
                if self._state:
                    step = self._state[name] = self._manifest.momentum * self._state[name] + step
                length = float((rate * step).abs().max())
                longest = length if math.isnan(length) else max(longest, length)
                moved[name] = tensor.detach() - rate * step
        if not longest <= STEP_MAX or not math.isfinite(float(loss.detach())):
            message = f"row {number} was not learned: a number is not finite, or a step would be too long."
            raise refused("feedback", message, "look at the row, or learn at a lower rate.")
        self._engine.parameters = moved

    def _lesson(self, feedback: object) -> tuple[Floats, Floats, float]:
        if not isinstance(feedback, list) or len(feedback) not in _PAYLOADS:
            raise refused("feedback", "it is no list of two or three.", _FORM)
        size, width = self._manifest.input.size, self._manifest.output.size
        inputs = _rows("feedback: inputs", feedback[0], size)
        targets = np.asarray(feedback[1])
        if targets.shape == inputs.shape[:-1] and targets.dtype.kind in "iu" and width > 1:
            classes = targets.reshape(-1)
            if len(classes) and not 0 <= classes.min() <= classes.max() < width:
                raise refused("feedback: targets", f"a class is not between 0 and {width - 1}.", _FORM)
            targets = np.eye(width, dtype=np.float32)[classes]
        elif targets.shape != (*inputs.shape[:-1], width) or targets.dtype.kind not in "fiu":
            found = f"{list(targets.shape)} of {targets.dtype.name}"
            wanted = f"{[*inputs.shape[:-1], width]}, or whole numbers (classes)"
            raise refused("feedback: targets", f"they are {found}, not {wanted}.", _FORM)
        rate = feedback[2] if len(feedback) == max(_PAYLOADS) else self._manifest.learning_rate
        if type(rate) not in {int, float} or not 0 < rate <= STEP_MAX:
            raise refused("feedback: learning rate", f"{rate!r} is none.", "give a number above 0.")
        rows = targets.reshape(-1, width).astype(np.float32)
        return inputs.reshape(-1, size), rows, float(rate)

    @staticmethod
    def _bytes(tensors: Mapping[str, Any]) -> bytes:
        return b"".join(tensor.detach().numpy().astype("<f4").tobytes() for tensor in tensors.values())


@contextmanager
def _no_machine_code() -> Iterator[None]:
    """Without oneDNN, which writes its kernels into executable memory: in a cell there is none."""
    backend = torch().backends.mkldnn
    before, backend.enabled = backend.enabled, False
    try:
        yield
    finally:
        backend.enabled = before


def _rows(place: str, value: object, size: int) -> Floats:
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiub":
        raise refused(place, "it is no tensor of numbers.", f"give [{size}] or [rows, {size}].")
    if value.ndim not in {1, 2} or value.shape[-1] != size:
        raise refused(place, f"it is {list(value.shape)}.", f"give [{size}] or [rows, {size}].")
    return np.array(value, np.float32)


def _copies(tensors: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


def _tensors(like: Mapping[str, Any], data: bytes) -> dict[str, Any]:
    """Tensors of the same names and shapes, out of bytes of the right length."""
    values: NDArray[np.float32] = np.frombuffer(data, "<f4")
    found, start = {}, 0
    for name, tensor in like.items():
        stop = start + tensor.numel()
        found[name] = torch().tensor(values[start:stop].reshape(tuple(tensor.shape)))
        start = stop
    return found


def _misfit(head: bytes, expected: bytes) -> str:
    if len(head) < len(expected) or head[:4] != _MAGIC:
        return "no checkpoint of a network"
    if head[4:8] != expected[4:8]:
        return f"of version {int.from_bytes(head[4:6], 'little')}, this host reads {_VERSION}"
    if head[8:48] != expected[8:48]:
        return "of another agent"
    return "cut or changed"
