"""StructuredDataParser: JSON, YAML, XML and CSV documents of steps, in the forms people already have.

    wfformat   WfCommons workflows: tasks with parents
    actions    GitHub Actions: jobs with `needs`; a job's steps follow each other
    argo       Argo workflows: templates with `dag.tasks` and their `dependencies`
    calls      lists of calls with `label` and `arguments` that mention `$label.field$`
    steps      lists, or mappings by name, of steps with `depends_on`, `needs` or `after`

The form is told by what the document has, most particular first. XML and CSV become the same mappings first
(`tables`, `markup`). YAML is read by its safe loader, and a document that refers to itself or is nested too
deeply is refused. Arguments of a step (`with`, `arguments`, `inputs`) are kept: constants, and which part of
which other step's result goes where.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

import yaml

from swarm.decompose.parse.markup import parse_markup
from swarm.decompose.parse.steps import Given, Step, StepList, check_size, checked, constant
from swarm.decompose.parse.tables import parse_table
from swarm.errors import Mistake

DEPTH_MAX: Final = 32
VALUES_MAX: Final = 500_000  # aliases of YAML counted wherever they stand
_REFERENCE: Final = re.compile(
    r"\$?\{\{-?\s*(?:tasks|steps|needs|jobs)\.(?P<task>[\w-]+)(?:\.[\w.-]*?)?(?:\.(?P<part>[\w-]+))?\s*\}\}"
    r"|\$\{?(?P<name>[A-Za-z_][\w-]*)(?:\.(?P<field>[\w.-]*[\w-]))?[^$\s}]*\}?\$?"
)
_NEEDS: Final = ("depends_on", "dependsOn", "needs", "after", "dependencies", "parents")
_ACTIONS: Final = (
    "capability",
    "action",
    "uses",
    "run",
    "tool",
    "call",
    "template",
    "task",
    "program",
    "name",
)
_NAMES: Final = ("id", "label", "name", "step")
_ARGUMENTS: Final = ("arguments", "args", "with", "inputs", "parameters", "params", "input")
_LISTS: Final = ("steps", "tasks", "nodes", "jobs")

_Record = Mapping[str, Any]
Form = Literal["", "xml", "csv"]


def parse_structured(source: str, form: Form = "") -> StepList:
    """The steps of a document; raises Mistake or TooLarge. Without a form, the first character tells."""
    check_size(source)
    document = load_structured(source, form)
    _check_depth(document)
    return _read(document)


def _read(document: Any) -> StepList:
    if isinstance(document, dict):
        if isinstance(tasks := _at(document, "workflow", "specification", "tasks"), list):
            return checked("wfformat", _steps(tasks))
        if isinstance(templates := _at(document, "spec", "templates"), list):
            found = [task for each in templates for task in _at(each, "dag", "tasks") or ()]
            return checked("argo", _steps(found))
        jobs = document.get("jobs")
        if isinstance(jobs, dict) and any(isinstance(job, dict) and "steps" in job for job in jobs.values()):
            return checked("actions", _jobs(jobs))
        for key in _LISTS:
            if key in document:
                return checked("steps", _steps(document[key]))
        if document and all(isinstance(each, dict) for each in document.values()):
            return checked("steps", _steps(document))
    if isinstance(document, list):
        calls = any(isinstance(each, dict) and "label" in each and "arguments" in each for each in document)
        return checked("calls" if calls else "steps", _steps(document))
    raise Mistake("it is no list of steps", place="document", remedy="put the steps under `steps`")


def load_structured(source: str, form: Form = "") -> Any:
    """The values of a document; raises Mistake with the place where it is broken."""
    match form or ("xml" if source.lstrip()[:1] == "<" else ""):
        case "xml":
            return parse_markup(source)
        case "csv":
            return parse_table(source)
        case _:
            return _loaded(source)


def _loaded(source: str) -> Any:
    try:
        return json.loads(source) if source.lstrip()[:1] in ("{", "[") else yaml.safe_load(source)
    except (ValueError, RecursionError) as error:
        message, place = str(error), "document"
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        message, place = (
            str(getattr(error, "problem", error)),
            f"line {mark.line + 1}" if mark else "document",
        )
    raise Mistake(f"this is neither JSON nor YAML: {message}", place=place, remedy="correct it")


def _check_depth(document: Any) -> None:
    waiting = [(document, 0)]
    count = 0
    while waiting:
        value, depth = waiting.pop()
        count += 1
        if depth > DEPTH_MAX or count > VALUES_MAX:
            raise Mistake(
                "it is nested too deeply, or refers to itself", place="document", remedy="flatten it"
            )
        inner: Iterable[Any] = ()
        if isinstance(value, dict):
            inner = value.values()
        elif isinstance(value, list):
            inner = value
        waiting += [(each, depth + 1) for each in inner]


def _at(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _steps(listed: Any) -> list[Step]:
    """Steps of a list or of a mapping by name; needs are those said and those mentioned by reference."""
    records = _records(listed)
    names = {name for name, _ in records}
    found = []
    for name, record in records:
        needs = [need for key in _NEEDS for need in _listed(record.get(key), name)]
        mentioned = [each for each in _references(record) if each in names and each != name]
        action, given = _first(record, _ACTIONS) or name, tuple(_arguments(record, names))
        found.append(Step(name, action, tuple(dict.fromkeys(needs + mentioned)), 0, given))
    return found


def _records(listed: Any) -> list[tuple[str, _Record]]:
    if isinstance(listed, dict):
        pairs: Iterable[tuple[Any, Any]] = listed.items()
    elif isinstance(listed, list):
        pairs = enumerate(listed, start=1)
    else:
        raise Mistake(
            "the steps are neither a list nor a mapping", place="document", remedy="make them a list"
        )
    found: list[tuple[str, _Record]] = []
    for key, record in pairs:
        if isinstance(record, str) and isinstance(listed, list):
            record = {"action": record}  # noqa: PLW2901 - a bare text is an action
        if not isinstance(record, dict):
            raise Mistake("it is no mapping", place=f"step {key!r}", remedy="give it a name and an action")
        name = str(key) if isinstance(listed, dict) else _first(record, _NAMES) or f"step_{key}"
        found.append((name, record))
    return found


def _jobs(jobs: _Record) -> list[Step]:
    """Steps of each job in a line; the first waits for the last of every job that its job needs."""
    records = {name: _records(job.get("steps") or []) for name, job in jobs.items() if isinstance(job, dict)}
    last = {name: f"{name}.{len(steps)}" for name, steps in records.items() if steps}
    found = []
    for name, steps in records.items():
        before = []
        for need in _listed(jobs[name].get("needs"), name):
            if need not in last:
                raise Mistake(f"it needs {need!r}, which is no job", place=f"job {name!r}", remedy="add it")
            before.append(last[need])
        for at, (_, record) in enumerate(steps, start=1):
            action = _first(record, ("uses", "run", "name")) or name
            found.append(Step(f"{name}.{at}", action, tuple(before), 0, tuple(_arguments(record, set()))))
            before = [f"{name}.{at}"]
    return found


def _listed(value: Any, name: str) -> list[str]:
    if value is None:
        return []
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):  # as in Compose: needs by name, with conditions
        return [str(each) for each in value]
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return list(value)
    raise Mistake("its needs are not names of steps", place=f"step {name!r}", remedy="list the names")


def _first(record: _Record, keys: Iterable[str]) -> str:
    return next((str(record[key]) for key in keys if isinstance(record.get(key), str | int)), "")


def _arguments(record: _Record, names: set[str]) -> Iterable[Given]:
    """The arguments of a step that are one constant, or one reference to another step."""
    found: Any = next((record[key] for key in _ARGUMENTS if isinstance(record.get(key), dict | list)), {})
    listed = found.get("parameters") if isinstance(found, dict) else found
    if isinstance(listed, list):  # as in Argo: [{name, value}]
        found = {
            str(each["name"]): each.get("value")
            for each in listed
            if isinstance(each, dict) and "name" in each
        }
    for port, value in found.items() if isinstance(found, dict) else ():
        whole = _REFERENCE.fullmatch(value) if isinstance(value, str) else None
        if whole and (whole["task"] or whole["name"]) in names:
            part = whole["part"] or whole["field"] or ""
            yield Given(str(port), whole["task"] or whole["name"], part)
        elif not names.intersection(_references(value)):
            yield Given(str(port), json=constant(value))


def _references(value: Any) -> list[str]:
    """Names mentioned as `$name.field$`, `${name.field}`, `$name` or `{{tasks.name...}}` anywhere inside."""
    if isinstance(value, str):
        return [found["task"] or found["name"] for found in _REFERENCE.finditer(value)]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [name for each in inner for name in _references(each)]
