"""Promises about the source itself, checked like any other promise.

Ruff, mypy and the import contracts see to most; here is what they cannot say. Every rule names
what to do instead, and caps the tail, not the average.
"""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("swarm", "af", "sandbox")
FOLDERS = (*PACKAGES, "agents", "proto", "deploy", "docs", "tests", ".ci")
TEXTS = {".py", ".pyi", ".md", ".toml", ".yaml", ".yml", ".json", ".proto", ".service", ".sh", ".cfg", ""}

FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70
CLASS_METHODS_MAX = 20

# Pure code and drivers take time and chance from outside: from events, or through `swarm.ports`.
INSIDE = ("graph", "doors", "scheduler", "trust", "node", "coordinator")

BANNED_CALLS = {
    "time.time": "Clock.monotonic_ms for spans, Clock.wall_ms for records",
    "datetime.now": "Clock.wall_ms",
    "random.random": "a seeded Random that is passed in",
    "uuid.uuid4": "an id that an event carries",
}
BANNED_MODULES = {
    "pickle": "protobuf or JSON: unpickling runs whatever the sender likes",
    "cloudpickle": "protobuf or JSON: unpickling runs whatever the sender likes",
    "dill": "protobuf or JSON: unpickling runs whatever the sender likes",
    "marshal": "protobuf or JSON: it trusts its input",
    "shelve": "protobuf or JSON: it is pickle on a disk",
    "imp": "importlib",
}
UNBOUNDED = {
    "asyncio.Queue": "asyncio.Queue(maxsize=...): every queue has a bound",
    "asyncio.PriorityQueue": "asyncio.PriorityQueue(maxsize=...): every queue has a bound",
    "queue.Queue": "queue.Queue(maxsize=...): every queue has a bound",
    "queue.SimpleQueue": "queue.Queue(maxsize=...): every queue has a bound",
}
UNFINISHED = re.compile(r"\b(?:FIXME|TODO|XXX|HACK)\b")


def files(*folders):
    """Every file of ours; what tools generate or leave behind is not."""
    skipped = {"__pycache__", "gen", ".venv"}
    return [
        path
        for folder in folders
        for path in sorted((ROOT / folder).rglob("*"))
        if path.is_file() and not skipped.intersection(path.relative_to(ROOT).parts)
    ]


def sources(*folders):
    return [path for path in files(*folders) if path.suffix == ".py"]


@cache
def tree(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def at(path, node=None):
    return f"{path.relative_to(ROOT)}" + (f":{node.lineno}" if node else "")


def dotted(node):
    """`asyncio.Queue` for the name or attribute of a call."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""


def calls(path):
    return ((node, dotted(node.func)) for node in ast.walk(tree(path)) if isinstance(node, ast.Call))


def test_there_is_something_to_check():
    assert len(sources(*PACKAGES)) > 30


def test_no_file_is_too_long():
    long = {at(path): len(path.read_text().splitlines()) for path in sources(*PACKAGES, "agents", "tests")}
    assert {name: count for name, count in long.items() if count > FILE_LINES_MAX} == {}


def test_no_function_is_too_long():
    found = {
        f"{at(path, node)} {node.name}": node.end_lineno - node.lineno + 1
        for path in sources(*PACKAGES, "agents")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert {name: count for name, count in found.items() if count > FUNCTION_LINES_MAX} == {}


def test_no_class_does_everything():
    found = {
        f"{at(path, node)} {node.name}": sum(
            isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef) for one in node.body
        )
        for path in sources(*PACKAGES, "agents")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ClassDef)
    }
    assert {name: count for name, count in found.items() if count > CLASS_METHODS_MAX} == {}


def test_every_module_says_what_it_is():
    assert [at(path) for path in sources(*PACKAGES, "agents") if not ast.get_docstring(tree(path))] == []


def test_no_package_is_empty():
    empty = [
        at(path)
        for path in sources(*PACKAGES)
        if path.name == "__init__.py"
        and len(tree(path).body) <= 1
        and not [other for other in files(path.parent.relative_to(ROOT)) if other != path]
        and not (path.parent / "gen").exists()
    ]
    assert empty == []


@pytest.mark.parametrize("package", INSIDE)
def test_time_and_chance_come_from_outside(package):
    found = [
        f"{at(path, node)}: {name}: use {BANNED_CALLS[name]}"
        for path in sources(f"swarm/{package}")
        for node, name in calls(path)
        if name in BANNED_CALLS
    ]
    assert found == []


def test_every_queue_has_a_bound():
    found = [
        f"{at(path, node)}: use {UNBOUNDED[name]}"
        for path in sources(*PACKAGES)
        for node, name in calls(path)
        if name in UNBOUNDED and not node.args and not node.keywords
    ]
    assert found == []


def test_nothing_that_runs_its_input_is_imported():
    found = []
    for path in sources(*PACKAGES, "agents", "tests"):
        for node in ast.walk(tree(path)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            roots = {name.partition(".")[0] for name in names} & BANNED_MODULES.keys()
            found += [f"{at(path, node)}: {root}: use {BANNED_MODULES[root]}" for root in roots]
    assert found == []


def test_no_error_is_swallowed_without_a_look():
    """`except Exception: pass` hides bugs; an error that may be ignored is named."""
    found = []
    for path in sources(*PACKAGES):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ExceptHandler):
                broad = node.type is None or dotted(node.type) in {"Exception", "BaseException"}
                silent = all(isinstance(one, ast.Pass | ast.Continue) for one in node.body)
                if broad and silent:
                    found.append(at(path, node))
        for node, name in calls(path):
            suppressed = {dotted(one) for one in node.args} if name.endswith("suppress") else set()
            if suppressed & {"Exception", "BaseException"}:
                found.append(at(path, node))
    assert found == []


def test_nothing_is_left_unfinished():
    texts = [*files(*FOLDERS), *(path for path in ROOT.iterdir() if path.is_file())]
    found = []
    for path in texts:
        if path.suffix not in TEXTS or path == Path(__file__):
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            if path.suffix == ".py" and UNFINISHED.search(line):
                found.append(f"{at(path)}:{number}: {line.strip()[:80]}")
    assert found == []


def test_only_the_doors_import_for_types_alone():
    """An import under TYPE_CHECKING is one the import contracts do not see."""
    doors = {ROOT / package / "__init__.py" for package in PACKAGES}
    hidden = [at(p) for p in sources(*PACKAGES) if p not in doors and "TYPE_CHECKING" in p.read_text()]
    assert hidden == []
