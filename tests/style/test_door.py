"""The door is small, loads nothing until asked, and says the same to people and to tools."""

import ast
import importlib
import pathlib
import subprocess
import sys

import pytest

import swarm

NAMES_MAX = 32
SOURCE = pathlib.Path(swarm.__file__)


def seen_by_type_checkers():
    """Names the type checker finds at the door, and where it finds them."""
    found = {}
    for node in ast.parse(SOURCE.read_text()).body:
        if isinstance(node, ast.If):
            for statement in node.body:
                for alias in statement.names:
                    found[alias.asname or alias.name] = (statement.module, alias.name)
    return found


def test_the_door_stays_small():
    assert len(swarm.__all__) <= NAMES_MAX


def test_every_name_is_there_and_is_what_type_checkers_think_it_is():
    static = seen_by_type_checkers()
    assert sorted(static) == sorted(swarm.__all__) == sorted(dir(swarm))
    for name, (module, attribute) in static.items():
        assert getattr(swarm, name) is getattr(importlib.import_module(module), attribute), name


def test_another_name_is_refused_as_python_does():
    with pytest.raises(AttributeError, match="Swram"):
        _ = swarm.Swram


def test_knocking_loads_nothing():
    code = (
        "import sys, swarm; print([m for m in ('grpc', 'numpy', 'pydantic', 'asyncio') if m in sys.modules])"
    )
    root = str(SOURCE.parents[1])
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True, timeout=60
    )
    assert found.stdout.strip() == "[]"
