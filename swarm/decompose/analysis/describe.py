"""What the analysis of a request found, for a person and for a program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from swarm.decompose.analysis.complexity import Complexity, analyze_complexity
from swarm.decompose.analysis.intent import Intents, recognize_intents
from swarm.decompose.analysis.semantics import Semantics, analyze_semantics
from swarm.graph import Catalogue, Graph


@dataclass(frozen=True, slots=True)
class Analysis:
    """The analysis layer's findings; a program or a document of steps has no semantics and no intents."""

    semantics: Semantics | None
    intents: Intents | None
    complexity: Complexity


def analyze(
    request: str,
    graph: Graph,
    catalogue: Catalogue,
    *,
    spoken: bool = True,
    measured_ms: Mapping[str, float] | None = None,
) -> Analysis:
    """All three analysers over a request and the graph it became."""
    return Analysis(
        analyze_semantics(request) if spoken else None,
        recognize_intents(request) if spoken else None,
        analyze_complexity(graph, catalogue, measured_ms=measured_ms),
    )


def describe(found: Analysis) -> list[str]:
    """The findings in plain lines."""
    lines: list[str] = []
    if found.intents is not None:
        lines.append(f"intent: {found.intents.main} ({found.intents.confidence:.0%})")
        lines += [f"  {each.intent}: {each.words}" for each in found.intents.clauses]
    if found.semantics is not None:
        lines += _meaning(found.semantics)
    work = found.complexity
    lines.append(
        f"complexity: {work.level}; {work.steps} steps, {work.edges} edges, breadth {work.breadth}, "
        f"depth {work.depth}"
    )
    known = "" if work.volume_known else " and what nobody knows yet"
    lines.append(f"data: {work.volume_bytes} bytes{known}")
    lines.append(
        f"cost: about {work.cost_ms:.0f} ms of steps, {work.path_ms:.0f} ms at least "
        f"({work.cost_known:.0%} of the steps were measured before)"
    )
    return lines


def _meaning(found: Semantics) -> list[str]:
    lines = [f"data named: {', '.join(found.kinds) or 'none'}"]
    lines += [f"  {each.kind}: {each.text}" for each in found.entities]
    for at, action in enumerate(found.actions):
        turn = f" ({action.takes} to {action.gives})" if action.takes else ""
        each = ", for each" if action.for_each else ""
        lines.append(f"does: {action.verb} {' '.join(action.objects)}{turn}{each}".rstrip())
        if at < len(found.relations):
            lines.append(f"  {found.relations[at]}")
    return lines


def document_of(found: Analysis) -> dict[str, object]:
    """The findings for a program."""
    return asdict(found)
