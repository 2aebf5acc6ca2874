"""From `classify.*.image` to the ports it means.

A node and a port are joined by a dot, and both may contain dots themselves, so the nodes that
exist decide where to split; where two splits make sense, `{node: ..., port: ...}` says which.
A star stands for the number of every node that `times` made of one.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Final

from swarm import limits
from swarm.doors.document.fields import Complaints, Section
from swarm.doors.document.text import Found
from swarm.graph import Endpoint, NodeName, PortName
from swarm.graph.names import shown

END_CHARS_MAX: Final = 2 * limits.NAME_CHARS_MAX + 3
ARROW: Final = "->"
STAR: Final = ".*."


class Ends:
    """The nodes of one document, by name and by the name they were multiplied from."""

    def __init__(
        self,
        names: Mapping[NodeName, object],
        multiplied: Mapping[str, Sequence[NodeName]],
        complaints: Complaints,
    ) -> None:
        self._names = names
        self._multiplied = multiplied
        self._complaints = complaints

    def one(self, found: Found, path: str) -> Endpoint | None:
        """Exactly one port."""
        ends = self.all(found, path)
        if len(ends) > 1:
            message = f"it means {len(ends)} ports"
            self._complaints.add(
                found, path, message, "name one, or gather them in a node with a `many` port"
            )
            return None
        return ends[0] if ends else None

    def all(self, found: Found, path: str) -> list[Endpoint]:
        """Every port a text or a `{node, port}` means, in order; nothing, and a problem, if none."""
        if isinstance(found.value, dict):
            return self._explicit(found, path)
        text = self._complaints.text(found, path)
        if not text:
            return []
        if len(text) > END_CHARS_MAX or "." not in text:
            self._complaints.add(found, path, f"{shown(text)} is no port of a node", "write node.port")
            return []
        if STAR in text:
            return self._starred(found, path, text)
        ends = splits(text, self._names)
        if not ends:
            self._unknown(found, path, text)
        if len(ends) > 1:
            message = f"{shown(text)} can be split in {len(ends)} ways"
            self._complaints.add(found, path, message, "write {node: ..., port: ...}")
            return []
        return ends

    def _explicit(self, found: Found, path: str) -> list[Endpoint]:
        given = Section(found, path, self._complaints, ("node", "port"))
        for key in ("node", "port"):
            given.require(key, "{node: ..., port: ...}")
        end = Endpoint(NodeName(given.text("node")), PortName(given.text("port")))
        if end.node and end.node not in self._names:
            self._no_node(found, path, end.node)
        return [end] if end.node in self._names and end.port else []

    def _starred(self, found: Found, path: str, text: str) -> list[Endpoint]:
        base, _, port = text.partition(STAR)
        nodes = self._multiplied.get(base)
        if nodes is None:
            message = f"{shown(base)} is no node with `times`, so there is nothing for the star"
            known = self._multiplied or ("none",)
            self._complaints.add_unknown(found, path, message, base, tuple(known), code="unknown_node")
            return []
        return [Endpoint(node, PortName(port)) for node in nodes]

    def _unknown(self, found: Found, path: str, text: str) -> None:
        base, _, port = text.rpartition(".")
        if times := len(self._multiplied.get(base, ())):
            message = f"there is no node {shown(base)}: it runs {times} times"
            remedy = f"write {base}{STAR}{port} for all of them, {base}.0.{port} for the first"
            self._complaints.add(found, path, message, remedy, code="unknown_node")
        else:
            self._no_node(found, path, base)

    def _no_node(self, found: Found, path: str, name: str) -> None:
        known = tuple(self._names)
        self._complaints.add_unknown(
            found, path, f"there is no node {shown(name)}", name, known, code="unknown_node"
        )


def splits(text: str, names: Container[str]) -> list[Endpoint]:
    """Every way to read `text` as a known node, a dot and a port."""
    found: list[Endpoint] = []
    at = text.find(".")
    while at >= 0:
        node, port = text[:at], text[at + 1 :]
        if port and node in names:
            found.append(Endpoint(NodeName(node), PortName(port)))
        at = text.find(".", at + 1)
    return found
