"""Which engine understands sentences on the command line, and the models it is given."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from swarm.adapters.chat import OpenAiChat
from swarm.adapters.minilm import has_minilm, minilm
from swarm.adapters.pairscorer import shipped_scorer
from swarm.cli.lessons import Lessons
from swarm.decompose.batches import PARTS_MAX
from swarm.decompose.building import capabilities_of
from swarm.decompose.encoder.port import TextEncoder
from swarm.decompose.learn.arrays import encoder_needed
from swarm.decompose.learn.blending import MAGIC as BLEND_MAGIC
from swarm.decompose.learn.blending import split_models
from swarm.decompose.learn.codec import decode_model
from swarm.decompose.neural.codec import BYTES_MAX, MAGIC, decode_neural
from swarm.decompose.records import Capability, Engine
from swarm.decompose.strategies.adaptive import AdaptiveEngine
from swarm.decompose.strategies.heuristic import HeuristicEngine
from swarm.decompose.strategies.hybrid import HybridEngine
from swarm.decompose.strategies.llm import LlmEngine
from swarm.decompose.strategies.neural import NeuralEngine
from swarm.decompose.strategies.stacked import StackedEngine
from swarm.errors import ConfigRefused, Mistake
from swarm.graph import Catalogue
from swarm.plugins import PLUGIN_MARK, encoder_plugin, engine_plugin

MINILM: Final = "minilm"
LLM_MODEL: Final = "default"


class EngineName(StrEnum):
    """Ways to understand a sentence."""

    AUTO = "auto"
    ADAPTIVE = "adaptive"
    HEURISTIC = "heuristic"
    HYBRID = "hybrid"
    LLM = "llm"


EngineChoice = Annotated[
    EngineName,
    typer.Option(
        "--engine",
        help="heuristic: rules alone. hybrid: rules with what was learnt. llm: the language model of --llm."
        " adaptive: rules, until others were surely better on what you agreed to. auto: hybrid, until then.",
    ),
]
ModelFile = Annotated[
    Path | None,
    typer.Option(
        "--model",
        metavar="FILE",
        help="A model of `swarm decompose train`, for the capabilities it was trained on; or plugin:NAME.",
    ),
]
LlmUrl = Annotated[
    str,
    typer.Option(
        "--llm",
        envvar="SWARM_LLM",
        metavar="URL[#MODEL]",
        help="An OpenAI-compatible endpoint, e.g. https://host/v1#name; asked only with --engine llm.",
    ),
]
LlmKey = Annotated[
    str,
    typer.Option(
        "--llm-key",
        envvar="SWARM_LLM_KEY",
        metavar="REF",
        help="Its key by reference: env:NAME or file:PATH.",
    ),
]


Parts = Annotated[
    int,
    typer.Option(
        "--parts",
        min=1,
        max=PARTS_MAX,
        metavar="N",
        help="Deal the rows of steps that work row by row out in N parts, so that N of them run at once.",
    ),
]


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a sentence is to be understood."""

    engine: EngineName = EngineName.AUTO
    model: Path | None = None
    llm: str = ""
    llm_key: str = ""
    lessons: Path | None = None  # where what was learnt from agreed graphs is kept
    parts: int = 1  # that the rows of steps which work row by row are dealt out in


def engine_for(catalogue: Catalogue, wanted: Wanted) -> Engine:
    """The engine that was asked for, over what is deployed."""
    capabilities = capabilities_of(catalogue)
    if wanted.model is not None and str(wanted.model).startswith(PLUGIN_MARK):
        return engine_plugin(str(wanted.model).removeprefix(PLUGIN_MARK))(capabilities)
    match wanted.engine:
        case EngineName.HEURISTIC:
            return HeuristicEngine(capabilities)
        case EngineName.LLM:
            if not wanted.llm:
                raise Mistake(
                    "no language model is named", place="--engine llm", remedy="add --llm URL#MODEL"
                )
            url, _, model = wanted.llm.partition("#")
            return LlmEngine(capabilities, OpenAiChat(url, model or LLM_MODEL, wanted.llm_key))
        case EngineName.HYBRID:
            return _hybrid(capabilities, wanted.model)
        case EngineName.AUTO | EngineName.ADAPTIVE:
            engines = [HeuristicEngine(capabilities), _hybrid(capabilities, wanted.model)]
            meanwhile = engines[wanted.engine is EngineName.AUTO].name
            found = AdaptiveEngine(engines, meanwhile=meanwhile)
            if wanted.lessons is not None:
                Lessons(wanted.lessons).recall(found.selector)
            return found


def _hybrid(capabilities: list[Capability], model: Path | None) -> Engine:
    return _trained(capabilities, model) if model else HeuristicEngine(capabilities, shipped_scorer())


def _trained(capabilities: list[Capability], path: Path) -> Engine:
    data = _read(path)
    encoder = _encoder_of(data)
    if data.startswith(MAGIC):
        return HybridEngine(capabilities, NeuralEngine(decode_neural(data, encoder)))
    if not data.startswith(BLEND_MAGIC):
        return HybridEngine(capabilities, StackedEngine(decode_model(data, encoder)))
    first, other, second = split_models(data)
    opinion = decode_neural(other, encoder).chances
    return HybridEngine(capabilities, StackedEngine(decode_model(first, encoder), second(opinion)))


def encoder_named(name: str) -> TextEncoder | None:
    """The encoder of this name: none for an empty one, the extra's, or a plugin's."""
    if name in {"", "none"}:
        return None
    if name == MINILM:
        return minilm()
    if name.startswith(PLUGIN_MARK):
        return encoder_plugin(name.removeprefix(PLUGIN_MARK))
    raise Mistake(
        f"there is no encoder {name!r}",
        place="--encoder",
        remedy=f"say {MINILM}, or {PLUGIN_MARK}NAME; `swarm plugins list` has the names",
    )


def _encoder_of(model: bytes) -> TextEncoder | None:
    """What the model was trained with, if it is here; what is missing is told when the model is read."""
    needed = encoder_needed(model)
    if needed.startswith(PLUGIN_MARK):
        return encoder_plugin(needed.removeprefix(PLUGIN_MARK).partition("#")[0])
    return minilm() if needed and has_minilm() else None


def _read(model: Path) -> bytes:
    try:
        with model.open("rb") as file:
            return file.read(BYTES_MAX + 1)  # a decoder knows its own, smaller bound
    except OSError as error:
        raise ConfigRefused(
            f"the model cannot be read: {error.strerror or error}", place=str(model), remedy="check the path"
        ) from error
