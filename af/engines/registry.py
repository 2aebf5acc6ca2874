"""Engines by name. What an engine needs is imported when it is opened, and not before."""

import importlib
from collections.abc import Callable, Mapping

from af.engines.auto import AutoEngine
from af.engines.engine import Engine
from af.engines.numpy_engine import NumpyEngine
from af.engines.wasm_engine import WasmEngine
from af.errors import AfError, AfNotReady, refused
from af.network import Network

Opener = Callable[[Network], Engine]


def _torch(network: Network) -> Engine:
    opened: Engine = importlib.import_module("af.engines.torch_engine").TorchEngine(network)
    return opened


def _onnx(network: Network) -> Engine:
    opened: Engine = importlib.import_module("af.engines.onnx_engine").OnnxEngine(network)
    return opened


def _fann(network: Network) -> Engine:
    opened: Engine = importlib.import_module("af.engines.fann_engine").FannEngine(network)
    return opened


def _auto(network: Network) -> Engine:
    return AutoEngine(network, usable_engines(network))


# `auto` does not choose FANN: it computes in double precision, and only its own functions.
_CHOSEN_FROM: dict[str, Opener] = {
    "wasm": WasmEngine.for_network,
    "numpy": NumpyEngine,
    "onnx": _onnx,
    "torch": _torch,
}
ENGINES: dict[str, Opener] = {**_CHOSEN_FROM, "fann": _fann, "auto": _auto}
ENGINE_NAMES = tuple(ENGINES)


def open_engine(name: str, network: Network) -> Engine:
    """The engine of this name; AfNotReady without its library, AfRefused if it cannot do the network."""
    opener = ENGINES.get(name)
    if opener is None:
        raise refused("engine", f"{name} is none.", f"use one of {', '.join(ENGINE_NAMES)}.")
    return opener(network)


def usable_engines(network: Network, others: Mapping[str, Opener] | None = None) -> dict[str, Engine]:
    """All engines `auto` may choose for a network on this machine; `others` add to or replace them."""
    usable = {}
    for name, opener in {**_CHOSEN_FROM, **(others or {})}.items():
        try:
            usable[name] = opener(network)
        except AfNotReady:
            continue
        except AfError:
            if name == "wasm":  # a network that cannot be compiled has other engines
                continue
            raise
    return usable
