"""From a sentence on the command line to a graph over what is deployed, and how that is shown.

`swarm plan` and `swarm submit` share it, so what is agreed to is what runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from swarm.cli.output import Output, table
from swarm.client import AgentInfo
from swarm.decompose.building import build_graph, capabilities_of
from swarm.decompose.learn.codec import MODEL_BYTES_MAX, decode_model
from swarm.decompose.optimizing import optimize
from swarm.decompose.records import Decomposition, Engine
from swarm.decompose.strategies.heuristic import HeuristicEngine
from swarm.decompose.strategies.hybrid import HybridEngine
from swarm.decompose.strategies.stacked import StackedEngine
from swarm.errors import ConfigRefused, GraphRefused
from swarm.graph import Catalogue, Graph, problems, unsupported

TITLE_CHARS = 60

ModelFile = Annotated[
    Path | None,
    typer.Option("--model", metavar="FILE", help="A model of `swarm decompose train`; without it, rules."),
]


@dataclass(frozen=True, slots=True)
class Understood:
    """A sentence, what it was taken to ask for, and the graph that would run."""

    decomposition: Decomposition
    graph: Graph
    left_out: tuple[str, ...]
    changes: tuple[str, ...]


def catalogue_of(agents: list[AgentInfo]) -> Catalogue:
    """What can be asked for at the moment."""
    return {capability.name: capability for agent in agents for capability in agent.capabilities}


def understand(sentence: str, catalogue: Catalogue, model: Path | None) -> Understood:
    """The graph of a sentence; raises if nothing of it can be mapped or the graph could not run."""
    decomposition = _engine(catalogue, model).decompose(sentence)
    built = build_graph(decomposition, catalogue, _title(sentence))
    better = optimize(built.graph, catalogue)
    wrong = [*problems(better.graph, catalogue), *unsupported(better.graph)]
    if wrong:
        raise GraphRefused(
            "the graph of this request cannot run", place="request", remedy=wrong[0].remedy, problems=wrong
        )
    return Understood(decomposition, better.graph, built.left_out, better.changes)


def document_of(found: Understood) -> dict[str, object]:
    """What was understood, for a program."""
    graph, decomposition = found.graph, found.decomposition
    sure = {step.capability: step for step in decomposition.subtasks}
    return {
        "request": decomposition.request,
        "engine": decomposition.engine,
        "confidence": round(decomposition.confidence, 3),
        "steps": [
            {
                "step": node.name,
                "capability": node.capability,
                "words": sure[node.capability].words,
                "confidence": round(sure[node.capability].confidence, 3),
            }
            for node in graph.nodes
        ],
        "edges": [[str(edge.source), str(edge.target)] for edge in graph.edges],
        "inputs": sorted({feed.name for feed in graph.feeds}),
        "outputs": [outlet.name for outlet in graph.outlets],
        "left_out": found.left_out,
        "changes": found.changes,
    }


def show(out: Output, found: Understood) -> None:
    """What was understood, for a person."""
    graph = found.graph
    out.console.print(_steps(found))
    out.say(f"takes {', '.join(sorted({feed.name for feed in graph.feeds})) or 'nothing'}")
    out.say(f"gives {', '.join(outlet.name for outlet in graph.outlets) or 'nothing'}")
    for change in found.changes:
        out.say(f"better: {change}")
    for text in found.left_out:
        out.say(f"not mapped: {text}", "yellow")


def _steps(found: Understood) -> Table:
    words = {step.capability: step for step in found.decomposition.subtasks}
    rows = []
    for node in found.graph.nodes:
        step = words[node.capability]
        takes = [
            f"{edge.target.port} of {edge.source}"
            for edge in found.graph.edges
            if edge.target.node == node.name
        ]
        takes += [f"input {feed.name}" for feed in found.graph.feeds if feed.target.node == node.name]
        rows.append((node.name, node.capability, ", ".join(takes), f"{step.confidence:.0%}", step.words))
    return table("step", "capability", "takes", "sure#", "because of", rows=rows)


def _engine(catalogue: Catalogue, model: Path | None) -> Engine:
    capabilities = capabilities_of(catalogue)
    if model is None:
        return HeuristicEngine(capabilities)
    try:
        with model.open("rb") as file:
            data = file.read(MODEL_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigRefused(
            f"the model cannot be read: {error.strerror or error}", place=str(model), remedy="check the path"
        ) from error
    return HybridEngine(capabilities, StackedEngine(decode_model(data)))


def _title(sentence: str) -> str:
    text = " ".join(word for word in sentence.split() if word.isprintable())
    return text[:TITLE_CHARS].strip() or "request"
