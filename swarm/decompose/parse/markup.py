"""XML of steps as the mappings that JSON would give: attributes and children by name, repeated ones as lists.

A document with a DOCTYPE is refused before it is read: entities are how a small file becomes a large one. In
Pegasus' form (`adag`) parents stand apart from the jobs, under `child`; they are moved to the jobs here.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any, Final

from swarm.errors import Mistake

ELEMENTS_MAX: Final = 100_000
DEPTH_MAX: Final = 32
_STEPS: Final = frozenset({"step", "task", "job", "node"})


def parse_markup(source: str) -> Any:
    """A mapping with the steps under `steps`; raises Mistake with the place where it is broken."""
    if "<!DOCTYPE" in source or "<!ENTITY" in source:
        raise Mistake("it declares a DOCTYPE", place="document", remedy="leave the declaration out")
    try:
        root = ET.fromstring(source)  # noqa: S314 - no DOCTYPE gets here, hence no entity
    except ET.ParseError as error:
        line = error.position[0]
        raise Mistake(f"this is not XML: {error}", place=f"line {line}", remedy="correct it") from None
    _check(root)
    if _name(root) == "adag":
        return {"steps": _pegasus(root)}
    found = next((each for each in root.iter() if any(_name(child) in _STEPS for child in each)), None)
    if found is None:
        raise Mistake(
            "it holds no steps",
            place=f"<{_name(root)}>",
            remedy="write <steps><step .../></steps>",
        )
    return {"steps": [_value(child) for child in found if _name(child) in _STEPS]}


def _check(root: ET.Element) -> None:
    waiting, count = [(root, 0)], 0
    while waiting:
        element, depth = waiting.pop()
        count += 1
        if depth > DEPTH_MAX or count > ELEMENTS_MAX:
            raise Mistake("it is nested too deeply, or too long", place="document", remedy="split the work")
        waiting += [(child, depth + 1) for child in element]


def _name(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2].lower()


def _value(element: ET.Element) -> Any:
    """Its text if it has nothing else, otherwise a mapping."""
    text = (element.text or "").strip()
    if not element.attrib and not len(element):
        return text
    found: dict[str, Any] = {key.rpartition("}")[2]: value for key, value in element.attrib.items()}
    for child in element:
        name, value = _name(child), _value(child)
        found[name] = value if name not in found else [*_listed(found[name]), value]
    if text:
        found.setdefault("action", text)
    for key in ("depends_on", "needs", "after", "dependencies", "parents"):
        if isinstance(found.get(key), str):
            found[key] = found[key].replace(",", " ").split()
    return found


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _pegasus(root: ET.Element) -> list[dict[str, Any]]:
    jobs = {
        job.get("id", ""): {"id": job.get("id", ""), "action": job.get("name", ""), "parents": []}
        for job in root
        if _name(job) == "job"
    }
    for child in root:
        if _name(child) != "child":
            continue
        if child.get("ref", "") not in jobs:
            raise Mistake(
                "it is no job", place=f"<child ref={child.get('ref', '')!r}>", remedy="name a job's id"
            )
        parents = [each.get("ref", "") for each in child if _name(each) == "parent"]
        jobs[child.get("ref", "")]["parents"] = parents
    return list(jobs.values())
