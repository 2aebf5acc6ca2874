"""From what stands on the command line to a graph over what is deployed, and how that is shown.

A task is a sentence, a program, or a document: our own form of a graph keeps its door, every other list of
steps is read by what it says. `swarm plan` and `swarm submit` share this, so what is agreed to is what runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.table import Table

from swarm.cli.check import read_graph
from swarm.cli.engines import Wanted, engine_for
from swarm.cli.forecast import Forecast, forecast, measured_ms, nodes_of
from swarm.cli.output import Output, table
from swarm.client import AgentInfo
from swarm.client.blocking import BlockingSwarm
from swarm.decompose.analysis.describe import Analysis, analyze, describe
from swarm.decompose.analysis.describe import document_of as analysis_document
from swarm.decompose.building import build_graph
from swarm.decompose.parse.code import parse_code
from swarm.decompose.parse.steps import SOURCE_CHARS_MAX, StepList
from swarm.decompose.parse.structured import Form, load_structured, parse_structured
from swarm.decompose.parse.syntax import parse_syntax
from swarm.decompose.records import Engine
from swarm.decompose.stepgraph import build_steps
from swarm.decompose.taskgraph import TaskGraph, finished, title_of
from swarm.errors import ConfigRefused, Mistake, TooLarge
from swarm.graph import Catalogue, Graph, NodeName

LANGUAGE_OF: Final = {
    ".js": "javascript",
    ".mjs": "javascript",
    ".ts": "typescript",
    ".go": "go",
    ".java": "java",
    ".rs": "rust",
}
FORM_OF: Final[dict[str, Form]] = {
    ".json": "",
    ".yaml": "",
    ".yml": "",
    ".xml": "xml",
    ".dax": "xml",
    ".csv": "csv",
}
NATIVE_KEYS: Final = frozenset({"graph", "nodes"})  # of a document in our own form

TaskText = Annotated[
    str,
    typer.Argument(
        metavar="TASK",
        help="A sentence, or a file: a graph or any list of steps (YAML, JSON, XML, CSV), or a program"
        " (.py, .js, .ts, .go, .java, .rs).",
    ),
]


@dataclass(frozen=True, slots=True)
class Understood:
    """A task that was understood, and over what."""

    found: TaskGraph
    catalogue: Catalogue
    engine: Engine | None = None  # that understood a sentence
    took: Mapping[str, float] = field(default_factory=dict)  # milliseconds, by capability, as far as measured
    forecast: Forecast | None = None

    @property
    def graph(self) -> Graph:
        return self.found.graph

    def analysis(self) -> Analysis:
        """What the analysis layer says of it."""
        found = self.found
        spoken = found.spoken is not None
        return analyze(found.task, found.graph, self.catalogue, spoken=spoken, measured_ms=self.took)

    def foreseen(self, swarm: BlockingSwarm, agents: list[AgentInfo]) -> Understood:
        """The same, with what it will probably take by what ran lately, on the nodes there are."""
        took = measured_ms(swarm)
        return replace(self, took=took, forecast=forecast(self.graph, agents, nodes_of(swarm), took))

    def explanation(self) -> list[str]:
        """All that is known of it, for people."""
        return describe(self.analysis()) + (self.forecast.lines() if self.forecast else [])

    def explained(self) -> dict[str, object]:
        """The same for a program."""
        return {**analysis_document(self.analysis()), "schedule": self.forecast}


def catalogue_of(agents: list[AgentInfo]) -> Catalogue:
    """What can be asked for at the moment."""
    return {capability.name: capability for agent in agents for capability in agent.capabilities}


def is_sentence(task: str) -> bool:
    """Words with spaces between them that name no file."""
    suffix = Path(task).suffix
    named = suffix in FORM_OF or suffix in LANGUAGE_OF or suffix == ".py"
    return " " in task.strip() and not named and not Path(task).is_file()


def native_graph(task: str) -> Graph | None:
    """The graph of a document in our own form; None if the task is anything else."""
    path = Path(task)
    if is_sentence(task) or path.suffix in LANGUAGE_OF or path.suffix in {".py", ".xml", ".dax", ".csv"}:
        return None
    if path.suffix in FORM_OF and path.is_file():
        try:
            document = load_structured(_source(path))
        except (Mistake, TooLarge):
            return read_graph(path)  # says where it is broken
        if isinstance(document, list) or (isinstance(document, dict) and not NATIVE_KEYS & document.keys()):
            return None
    return read_graph(path)


def understand(task: str, catalogue: Catalogue, wanted: Wanted) -> Understood:
    """The graph of a task; raises if nothing of it can be mapped or the graph could not run."""
    if graph := native_graph(task):
        return Understood(TaskGraph(task, "document", 1.0, graph), catalogue)
    if is_sentence(task):
        engine = engine_for(catalogue, wanted)
        said = engine.decompose(task)
        built = build_graph(said, catalogue, title_of(task))
        sure, parts = said.confidence, wanted.parts
        found = finished(task, said.engine, sure, built, catalogue, parts=parts, spoken=said)
        return Understood(found, catalogue, engine)
    path = Path(task)
    steps = _steps(path)
    built = build_steps(steps, catalogue, title_of(path.stem))
    sure = min(each.confidence for each in built.origins.values())
    return Understood(finished(task, steps.form, sure, built, catalogue, parts=wanted.parts), catalogue)


def _steps(path: Path) -> StepList:
    source = _source(path)
    try:
        if path.suffix == ".py":
            return parse_code(source)
        if language := LANGUAGE_OF.get(path.suffix):
            return parse_syntax(source, language)
        return parse_structured(source, FORM_OF.get(path.suffix, ""))
    except (Mistake, TooLarge) as error:
        error.place = f"{path}, {error.place}"
        raise


def _source(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(4 * SOURCE_CHARS_MAX + 1).decode("utf-8")
    except OSError as error:
        raise ConfigRefused(
            f"the task cannot be read: {error.strerror or error}", place=str(path), remedy="check the path"
        ) from error
    except UnicodeDecodeError as error:
        raise Mistake(
            f"byte {error.start} is not UTF-8 text", place=str(path), remedy="save it as UTF-8"
        ) from error


def document_of(understood: Understood, *, explained: bool = False) -> dict[str, object]:
    """What was understood, for a program."""
    found, graph = understood.found, understood.graph
    document: dict[str, object] = {
        "request": found.task,
        "engine": found.engine,
        "confidence": round(found.confidence, 3),
        "steps": [
            {"step": node.name, "capability": node.capability, **_origin(found, node.name)}
            for node in graph.nodes
        ],
        "edges": [[str(edge.source), str(edge.target)] for edge in graph.edges],
        "inputs": sorted({feed.name for feed in graph.feeds}),
        "outputs": [outlet.name for outlet in graph.outlets],
        "left_out": found.left_out,
        "changes": found.changes,
    }
    return document | ({"analysis": understood.explained()} if explained else {})


def _origin(found: TaskGraph, name: NodeName) -> dict[str, Any]:
    origin = found.origins.get(name)
    return {"words": origin.words, "confidence": round(origin.confidence, 3)} if origin else {}


def show(out: Output, understood: Understood, *, explained: bool = False) -> None:
    """What was understood, for a person."""
    found, graph = understood.found, understood.graph
    out.console.print(_table(found))
    out.say(f"takes {', '.join(sorted({feed.name for feed in graph.feeds})) or 'nothing'}")
    out.say(f"gives {', '.join(outlet.name for outlet in graph.outlets) or 'nothing'}")
    for change in found.changes:
        out.say(f"better: {change}")
    for text in found.left_out:
        out.say(f"not mapped: {text}", "yellow")
    for line in understood.explanation() if explained else ():
        out.say(line)


def _table(found: TaskGraph) -> Table:
    rows = []
    for node in found.graph.nodes:
        origin = found.origins.get(node.name)
        takes = [
            f"{edge.target.port} of {edge.source}"
            for edge in found.graph.edges
            if edge.target.node == node.name
        ]
        takes += [f"input {feed.name}" for feed in found.graph.feeds if feed.target.node == node.name]
        takes += [f"{port} given" for port, _ in node.literals]
        sure, words = (f"{origin.confidence:.0%}", origin.words) if origin else ("", "")
        rows.append((node.name, node.capability, ", ".join(takes), sure, words))
    return table("step", "capability", "takes", "sure#", "because of", rows=rows)
