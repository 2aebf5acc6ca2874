"""A network in the class that serves compiled agents in cells, as an engine: what calls on a node cost."""

from typing import ClassVar

import numpy as np

from af.engines.engine import ForwardOnly
from af.network import Floats, Network
from af.wasm.assembly import Precision
from af.wasm.manifest import manifest_of
from af.wasm.module import generate
from sandbox.wasm import WasmAgent

DEADLINE_MS = 60_000


class ServedEngine(ForwardOnly):
    """One agent, called without a cell around it; under a deadline, as in one."""

    name: ClassVar[str] = "wasm"

    def __init__(
        self, network: Network, precision: Precision = "f32", kind: type[WasmAgent] = WasmAgent
    ) -> None:
        module = generate(network, precision=precision)
        manifest = manifest_of(module, "tools:network", "input", "output").to_json()
        self.agent = kind("tools", module.binary(), manifest, deadline_ms=DEADLINE_MS)

    def forward(self, batch: Floats) -> Floats:
        rows = np.asarray(batch, np.float32)
        if len(rows) == 1:
            return self.forward_one(rows[0])[np.newaxis]
        answers: Floats = self.agent.infer_rows(rows)
        return answers

    def forward_one(self, row: Floats) -> Floats:
        answer: Floats = self.agent.infer(row).copy()
        return answer
