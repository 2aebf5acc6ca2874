"""Ways to compute a network behind one Protocol, so that they can be compared and exchanged."""

from collections.abc import Callable
from typing import Protocol

from af.engines.numpy_engine import NumpyEngine
from af.engines.wasm_engine import WasmEngine
from af.network import Floats, Network


class Engine(Protocol):
    """A network ready to compute: float32 rows in, float32 rows out."""

    def forward(self, batch: Floats) -> Floats: ...


ENGINES: dict[str, Callable[[Network], Engine]] = {"numpy": NumpyEngine, "wasm": WasmEngine.for_network}

__all__ = ["ENGINES", "Engine", "NumpyEngine", "WasmEngine"]
