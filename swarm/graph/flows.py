"""Does data flow only where it may? The contexts of a graph's nodes, held against its edges."""

from __future__ import annotations

from collections.abc import Mapping

from swarm import limits
from swarm.graph.contexts import PLAIN, dominates
from swarm.graph.model import Catalogue, Graph, Node, NodeName
from swarm.graph.names import NAME_RULE, is_name, shown
from swarm.graph.report import Report


def check_contexts(
    graph: Graph, nodes: Mapping[NodeName, Node], catalogue: Catalogue | None, report: Report
) -> None:
    """Every context is one, and every edge leads to a context that dominates the one it leaves.

    What an agent may let out of its context only the catalogue knows; without one nothing is said of that.
    """
    marked = [node for node in graph.nodes if node.context is not PLAIN and node.context != PLAIN]
    for node in marked:
        _check_names(node, report)
    if catalogue is None or not marked:
        return
    for edge in graph.edges:
        source, target = nodes.get(edge.source.node), nodes.get(edge.target.node)
        if source is None or target is None or dominates(target.context, source.context):
            continue
        offered = catalogue.get(source.capability)
        if offered is None or any(one.allows(source.context, target.context) for one in offered.switches):
            continue
        message = f"what is in ({source.context}) may not flow to ({target.context})"
        remedy = (
            "let the target's context dominate the source's, or put an agent between them that the policy "
            "lets switch contexts"
        )
        report.add("forbidden_flow", edge, message, remedy)


def _check_names(node: Node, report: Report) -> None:
    context = node.context
    for what, name in (("domain", context.domain), ("tenant", context.tenant)):
        if name and not is_name(name):
            report.add("bad_name", node, f"{shown(name)} is no name for a {what}", f"use {NAME_RULE}")
    for name in sorted(name for name in context.permissions if not is_name(name)):
        report.add("bad_name", node, f"{shown(name)} is no name for a permission", f"use {NAME_RULE}")
    if (count := len(context.permissions)) > limits.CONTEXT_PERMISSIONS_MAX:
        report.add_out_of_bounds(node, "permissions", count, 0, limits.CONTEXT_PERMISSIONS_MAX)
