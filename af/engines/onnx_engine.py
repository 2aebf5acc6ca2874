"""Networks in onnxruntime, on the processor with one thread: usually the fastest for a few rows and more."""

import importlib
from typing import Any, ClassVar

import numpy as np

from af.engines.engine import ForwardOnly, missing
from af.network import Floats, Network


class OnnxEngine(ForwardOnly):
    """A session over the network written as an ONNX model."""

    name: ClassVar[str] = "onnx"

    def __init__(self, network: Network, threads: int = 1) -> None:
        runtime, writer = _libraries()
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        model = writer.write_onnx(network)
        self._session = runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name
        self._width = network.output_size

    def forward(self, batch: Floats) -> Floats:
        rows = np.ascontiguousarray(batch, np.float32)
        if not len(rows):
            return np.empty((0, self._width), np.float32)
        answers: Floats = self._session.run(None, {self._input: rows})[0]
        return answers


def _libraries() -> tuple[Any, Any]:
    """The runtime, and our writer, which needs the package onnx."""
    try:
        runtime = importlib.import_module("onnxruntime")
        writer = importlib.import_module("af.interchange.onnx_writer")
    except ImportError as error:
        raise missing("onnxruntime or onnx", "onnx", error) from None
    return runtime, writer
