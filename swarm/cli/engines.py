"""Which engine understands sentences on the command line, and the model it is given."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from swarm.decompose.building import capabilities_of
from swarm.decompose.learn.arrays import MODEL_BYTES_MAX
from swarm.decompose.learn.codec import decode_model
from swarm.decompose.records import Engine
from swarm.decompose.strategies.heuristic import HeuristicEngine
from swarm.decompose.strategies.hybrid import HybridEngine
from swarm.decompose.strategies.stacked import StackedEngine
from swarm.errors import ConfigRefused
from swarm.graph import Catalogue
from swarm.plugins import engine_plugin

PLUGIN_MARK: Final = "plugin:"


def engine_for(catalogue: Catalogue, model: Path | None) -> Engine:
    """The model with the rules where a model is given, the rules alone otherwise."""
    capabilities = capabilities_of(catalogue)
    if model is not None and str(model).startswith(PLUGIN_MARK):
        return engine_plugin(str(model).removeprefix(PLUGIN_MARK))(capabilities)
    if model is None:
        return HeuristicEngine(capabilities)
    return HybridEngine(capabilities, StackedEngine(decode_model(_read(model))))


def _read(model: Path) -> bytes:
    try:
        with model.open("rb") as file:
            return file.read(MODEL_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigRefused(
            f"the model cannot be read: {error.strerror or error}", place=str(model), remedy="check the path"
        ) from error
