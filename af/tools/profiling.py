"""Where a network's time goes: by layer, by engine and by kind of instance.

The time of a layer is the difference between the module that ends with it and the module that ends before it;
the cost of calling, of writing the input and reading the output is in both and goes away. What is left for
the module without any layer is that cost, reported as `call`. Differences smaller than the noise are zero.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from af.engines import ENGINES, AutoEngine, Engine, usable_engines
from af.errors import AfError
from af.layers import Flatten
from af.network import Floats, Layer, Network
from af.tools.facts import layer_title
from af.tools.instances import InstanceCosts, fuel_of, instance_costs
from af.tools.served import ServedEngine
from af.tools.timing import Timing, measure
from af.wasm.manifest import WasmManifest, manifest_of
from af.wasm.module import generate

_F32_BYTES = 4


@dataclass(frozen=True, slots=True)
class LayerCost:
    """One layer for one row, in the compiled module."""

    layer: int
    title: str
    time_us: float
    fuel: int
    weights_bytes: int
    output_bytes: int


@dataclass(frozen=True, slots=True)
class EngineCost:
    """One engine for one batch; or why it did not run."""

    engine: str
    batch: int
    timing: Timing | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Profile:
    """Everything that was measured of one network."""

    name: str
    layers: tuple[LayerCost, ...]
    call_us: float
    module_bytes: int
    memory_bytes: int
    instances: InstanceCosts
    engines: tuple[EngineCost, ...]


def profile(name: str, network: Network, row: Floats, batch: int, seconds: float) -> Profile:
    """Measure; the three parts share the time."""
    code, manifest = _compiled(network)
    part_s = seconds / 3
    layers, call_us = _layer_costs(network, row, part_s)
    return Profile(
        name=name,
        layers=layers,
        call_us=call_us,
        module_bytes=len(code),
        memory_bytes=manifest.pages * 65_536,
        instances=instance_costs(code, manifest, row, part_s),
        engines=_engine_costs(network, row, batch, part_s),
    )


def _layer_costs(network: Network, row: Floats, seconds: float) -> tuple[tuple[LayerCost, ...], float]:
    prefixes = [Network(network.input_size, (Layer(Flatten()),))]
    prefixes += [
        Network(network.input_size, network.layers[:stop]) for stop in range(1, len(network.layers) + 1)
    ]
    candidates: dict[str, Callable[[], object]] = {}
    fuels = []
    for number, prefix in enumerate(prefixes):
        candidates[str(number)] = functools.partial(ServedEngine(prefix).forward_one, row)
        fuels.append(fuel_of(*_compiled(prefix), row))
    times = [timing.median_us for timing in measure(candidates, seconds).values()]
    costs = []
    for number, layer in enumerate(network.layers):
        costs.append(
            LayerCost(
                layer=number,
                title=layer_title(layer.spec),
                time_us=max(0.0, times[number + 1] - times[number]),
                fuel=max(0, fuels[number + 1] - fuels[number]),
                weights_bytes=_F32_BYTES * sum(tensor.size for tensor in layer.tensors.values()),
                output_bytes=_F32_BYTES * int(np.prod(network.shapes[number + 1])),
            )
        )
    return tuple(costs), times[0]


def _engine_costs(network: Network, row: Floats, batch: int, seconds: float) -> tuple[EngineCost, ...]:
    candidates: dict[str, Callable[[], object]] = {}
    failed: dict[str, str] = {}
    served: dict[str, Callable[[Network], Engine]] = {"wasm": ServedEngine}
    makers = ENGINES | served | {"auto": lambda net: AutoEngine(net, usable_engines(net, served))}
    for name, make in makers.items():
        try:
            engine = make(network)
            for rows in sorted({1, batch}):
                block = np.repeat(row[np.newaxis], rows, axis=0)
                engine.forward(block)
                candidates[f"{name} {rows}"] = functools.partial(engine.forward, block)
        except AfError as error:
            failed[name] = error.problems[0].message
    costs = []
    for title, timing in measure(candidates, seconds).items():
        name, _, rows_text = title.partition(" ")
        costs.append(EngineCost(name, int(rows_text), timing))
    costs += [EngineCost(name, batch, None, reason) for name, reason in failed.items()]
    return tuple(costs)


def _compiled(network: Network) -> tuple[bytes, WasmManifest]:
    module = generate(network)
    return module.binary(), manifest_of(module, "tools:network", "input", "output")
