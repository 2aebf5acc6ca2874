"""Networks in the FANN library itself (fann2, in double precision), where FANN has their activations.

The library takes and gives lists of Python numbers, one row at a time; weights reach it as a `.net` file,
exactly.
"""

import importlib
import tempfile
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from af.engines.engine import missing
from af.interchange.fann import write_fann
from af.network import Floats, Network


class FannEngine:
    """A FANN network; AfRefused if FANN cannot express this one."""

    name: ClassVar[str] = "fann"

    def __init__(self, network: Network, learning_rate: float | None = None) -> None:
        library = _library()
        text = write_fann(network, {}, learning_rate)
        self._net = library.neural_net()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "network.net")
            path.write_bytes(text)
            loaded = self._net.create_from_file(str(path))
        assert loaded, "FANN reads what we write"
        self._sizes = (network.input_size, network.output_size)

    def forward(self, batch: Floats) -> Floats:
        rows = np.asarray(batch, np.float64)
        assert rows.shape == (len(rows), self._sizes[0]), "FANN reads past the end of a short list"
        answers = np.empty((len(rows), self._sizes[1]), np.float32)
        for number, row in enumerate(rows.tolist()):
            answers[number] = self._net.run(row)
        return answers

    def train(self, batch: Floats, target: Floats) -> float:
        """FANN's incremental training, row by row, on its own error function."""
        rows, wanted = np.asarray(batch, np.float64), np.asarray(target, np.float64)
        assert rows.shape[1] == self._sizes[0]
        assert wanted.shape == (len(rows), self._sizes[1])
        self._net.reset_MSE()
        for row, aim in zip(rows.tolist(), wanted.tolist(), strict=True):
            self._net.train(row, aim)
        return float(self._net.get_MSE())


def _library() -> Any:
    try:
        return importlib.import_module("fann2.libfann")
    except ImportError as error:
        raise missing("fann2", "fann", error) from None
