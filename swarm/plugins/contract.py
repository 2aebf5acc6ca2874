"""What a plugin is, and what makes one fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from swarm.decompose.encoder.port import TextEncoder
from swarm.decompose.records import Capability, Engine

API: Final = (1, 0)  # of this contract: the first number changes when what stands below changes its meaning
GROUPS: Final = {"decompose": "neural_swarm.decompose", "neural": "neural_swarm.neural"}

Kind: TypeAlias = Literal["decompose", "neural"]


@dataclass(frozen=True, slots=True)
class DecompositionPlugin:
    """An engine that understands tasks. `engine` makes one for the capabilities that are offered."""

    name: str
    version: str
    api: tuple[int, int]
    provides: tuple[str, ...]  # what it can do, in its own words: `sentence`, `german`
    engine: Callable[[Sequence[Capability]], Engine]


@dataclass(frozen=True, slots=True)
class NeuralPlugin:
    """Pretrained weights that turn texts into vectors; what a trained model may have been trained with."""

    name: str
    version: str
    api: tuple[int, int]
    provides: tuple[str, ...]
    encoder: Callable[[], TextEncoder]


Plugin: TypeAlias = DecompositionPlugin | NeuralPlugin

CLASSES: Final[dict[str, type[DecompositionPlugin | NeuralPlugin]]] = {
    "decompose": DecompositionPlugin,
    "neural": NeuralPlugin,
}


def misfit(kind: Kind, name: str, found: object) -> str:
    """Why this object is no plugin of that kind and name that we can run; empty if it is."""
    if not isinstance(found, CLASSES[kind]):
        return f"it is a {type(found).__name__}, not a {CLASSES[kind].__name__}"
    plugin: Any = found  # what its author wrote into the fields, nobody has checked
    if plugin.name != name:
        return f"its entry point calls it {name!r}, it calls itself {str(plugin.name)[:64]!r}"
    api = plugin.api
    if not (isinstance(api, tuple) and len(api) == 2 and all(type(each) is int for each in api)):
        return f"its `api` is {api!r}, not two whole numbers"
    if api[0] != API[0] or api[1] > API[1]:
        return (
            f"it was written for version {api[0]}.{api[1]} of the plugin contract, this is {API[0]}.{API[1]}"
        )
    if not isinstance(plugin.provides, tuple):
        return "its `provides` is no tuple"
    if not all(isinstance(each, str) for each in (plugin.version, *plugin.provides)):
        return "its `version` and each of its `provides` must be text"
    factory = plugin.engine if isinstance(found, DecompositionPlugin) else plugin.encoder
    return "" if callable(factory) else "what should make its engine cannot be called"
