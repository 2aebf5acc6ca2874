"""Ways to compute a network behind one Protocol, so that they can be compared and exchanged.

`open_engine(name, network)` gives one by name; `auto` measures those that are installed and takes the
cheapest for each batch.
"""

from af.engines.auto import AutoEngine
from af.engines.engine import Engine
from af.engines.numpy_engine import NumpyEngine
from af.engines.registry import ENGINE_NAMES, ENGINES, open_engine, usable_engines
from af.engines.wasm_engine import WasmEngine

__all__ = [
    "ENGINES",
    "ENGINE_NAMES",
    "AutoEngine",
    "Engine",
    "NumpyEngine",
    "WasmEngine",
    "open_engine",
    "usable_engines",
]
