"""What became of a task: the graph that would run, and in plain words what of the task it leaves out.

Everything that understands a task ends here: what was built is made better, and checked as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from swarm.decompose.building import Built
from swarm.decompose.optimizing import optimize
from swarm.decompose.records import Decomposition, SubTask
from swarm.errors import GraphRefused
from swarm.graph import Catalogue, Graph, NodeName, problems, unsupported

TITLE_CHARS: Final = 60


@dataclass(frozen=True, slots=True)
class TaskGraph:
    """A task, and the graph that would run for it."""

    task: str
    engine: str  # what understood it: an engine for sentences, the form of a document, a language
    confidence: float
    graph: Graph
    origins: Mapping[NodeName, SubTask] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()  # what of the task it does not do, in plain words
    changes: tuple[str, ...] = ()  # what the optimizer did
    spoken: Decomposition | None = None  # what was made of a sentence, which may have been misunderstood


def finished(
    task: str,
    engine: str,
    confidence: float,
    built: Built,
    catalogue: Catalogue,
    *,
    parts: int = 1,
    spoken: Decomposition | None = None,
) -> TaskGraph:
    """The task with its graph made better; raises GraphRefused if it could not run."""
    better = optimize(built.graph, catalogue, parts)
    if wrong := [*problems(better.graph, catalogue), *unsupported(better.graph)]:
        raise GraphRefused(
            "the graph of this task cannot run", place="task", remedy=wrong[0].remedy, problems=wrong
        )
    return TaskGraph(
        task, engine, confidence, better.graph, built.origins, built.left_out, better.changes, spoken
    )


def title_of(task: str) -> str:
    """A graph's name for a task in words."""
    text = " ".join(word for word in task.split() if word.isprintable())
    return text[:TITLE_CHARS].strip() or "task"
