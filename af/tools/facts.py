"""Small facts about networks and arrays that several tools show."""

from dataclasses import asdict, dataclass

import numpy as np
from pydantic import JsonValue

from af.agentfile import AgentFile
from af.errors import refused
from af.layers import LayerSpec
from af.network import Floats, Network
from af.weights import WEIGHTS, network_from


@dataclass(frozen=True, slots=True)
class Spread:
    """What the numbers of an array are like; least, greatest, mean and deviation are of the finite ones."""

    count: int
    min: float | None
    max: float | None
    mean: float | None
    std: float | None
    zeros: int
    not_finite: int


def spread(values: Floats) -> Spread:
    finite = values[np.isfinite(values)].astype(np.float64)
    zeros, lost = int(np.count_nonzero(values == 0)), int(values.size - finite.size)
    if not finite.size:
        return Spread(int(values.size), None, None, None, None, zeros, lost)
    least, most = float(finite.min()), float(finite.max())
    return Spread(int(values.size), least, most, float(finite.mean()), float(finite.std()), zeros, lost)


def tensor_facts(values: Floats) -> dict[str, JsonValue]:
    facts: dict[str, JsonValue] = {"shape": list(values.shape)}
    return facts | asdict(spread(values))


def layer_title(spec: LayerSpec) -> str:
    """A layer in a few words: its type and what was said of it."""
    said = spec.model_dump(mode="json", exclude_defaults=True)
    said.pop("type", None)
    parts = [f"{name} {value}" for name, value in said.items() if not isinstance(value, list | dict)]
    parts += [f"{name} {value}" for name, value in said.items() if _is_extents(value)]
    return " ".join([spec.type, *parts])


def network_of(agent: AgentFile) -> Network | None:
    """The network of a neural agent that has one to show; None otherwise. AfRefused if its weights misfit."""
    config, weights = agent.header.neural_config, agent.section(WEIGHTS)
    if agent.header.kind != "neural" or config is None or weights is None:
        return None
    return network_from(config, weights)


def needed_network(agent: AgentFile) -> Network:
    """The network of an agent that must be neural."""
    network = network_of(agent)
    if network is None:
        message = f"this agent is of kind {agent.header.kind} and has no network to look into."
        raise refused("header: kind", message, "give a neural agent with weights.")
    return network


def _is_extents(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, int) for item in value)
