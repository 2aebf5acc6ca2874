"""A Python function as a step: its source becomes an agent file, its parameters ports.

    @step
    def shout(text: str, times: int = 1) -> str:
        return text.upper() * times

What travels is source text, nothing is pickled: the function runs in a cell on some node, in a process that
never saw this one. So it must be whole in itself: modules it uses are imported there again, plain functions
and constants of its module that it names go along, and anything else it reaches for is refused, by name.
"""

from __future__ import annotations

import ast
import builtins
import functools
import hashlib
import inspect
import json
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import FunctionType, ModuleType
from typing import Any, Final, Generic, ParamSpec, TypeVar, get_type_hints, overload

import numpy as np

from swarm.client.values import inline_value
from swarm.errors import Mistake
from swarm.graph import Node, NodeName, PortName, Retry
from swarm.ids import CapabilityName

OUTPUT: Final = PortName("value")
SOURCES_MAX: Final = 100  # functions that go along with one
_NOT_A_NAME = re.compile(r"[^a-z0-9._-]+")
_CAPABILITY = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}:[a-z0-9][a-z0-9._-]{0,63}")
_CONSTANTS = (int, float, complex, str, bytes, bool, type(None))

P = ParamSpec("P")
R = TypeVar("R")

_AGENT: Final = """

class Agent:
    def process_input(self, capability, inputs):
        for port in VIEWS:
            if port in inputs:
                inputs[port] = memoryview(inputs[port])
        value = {function}(**inputs)
        return {{"value": list(value) if isinstance(value, tuple) else value}}
"""


class StepFunction(Generic[P, R]):
    """A function that is also a step. Called here, it runs here; `node` makes a step of a graph of it."""

    def __init__(self, function: Callable[P, R], capability: str, options: Mapping[str, Any]) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self._options = options
        self._source = _module(function)
        digest = hashlib.sha256(self._source.encode() + repr(sorted(options.items())).encode()).hexdigest()
        name = _NOT_A_NAME.sub("-", function.__name__.lower()).strip("-._") or "function"
        self.name = f"fn-{name[:40]}-{digest[:12]}"
        self.capability = CapabilityName(capability or f"fn:{name[:40]}-{digest[:12]}")
        if not _CAPABILITY.fullmatch(self.capability):
            raise Mistake(
                f"{self.capability!r} names no capability",
                place=function.__qualname__,
                remedy="write it as group:element, in lower case",
            )
        self._signature = inspect.signature(function)
        self._inputs = [_port(function, each) for each in self._signature.parameters.values()]
        if unknown := set(options.get("rows", ())) - {*self._signature.parameters, OUTPUT}:
            raise Mistake(
                f"rows: it has no parameter {min(unknown)!r}",
                place=function.__qualname__,
                remedy="name parameters of the function",
            )

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._function(*args, **kwargs)

    def agent(self) -> bytes:
        """The agent file: deploy it as any other."""
        header = {
            "version": "1.0",
            "name": self.name,
            "description": (inspect.getdoc(self._function) or self._function.__name__).partition("\n")[0],
            "kind": "python",
            "agent_version": "1",
            "capabilities": [
                {
                    "name": self.capability,
                    "inputs": self._inputs,
                    "outputs": [{"name": OUTPUT, "kind": "any"}],
                    "deterministic": self._options["deterministic"],
                    "effects": self._options["effects"],
                    **({"rows": self._options["rows"]} if "rows" in self._options else {}),
                }
            ],
            "resources": {"limits": {"memory_mb": self._options["memory_mb"]}},
        }
        text = "\n".join(f"{key}: {json.dumps(value)}" for key, value in header.items())
        return f"{text}\n---BINARY_SECTION:python_module---\n{self._source}".encode()

    def node(self, name: str, /, *args: object, **kwargs: object) -> Node:
        """A step of a graph. Arguments given here are constants; the others are for edges and feeds."""
        try:
            bound = self._signature.bind_partial(*args, **kwargs)
        except TypeError as error:
            raise Mistake(str(error), place=f"step {name}", remedy="see the function's parameters") from None
        literals = tuple(
            (PortName(port), inline_value(f"argument {port!r} of {name}", value))
            for port, value in bound.arguments.items()
        )
        retry = Retry(attempts_max=self._options["attempts_max"])
        return Node(NodeName(name), self.capability, literals, retry=retry)


@overload
def step(function: Callable[P, R], /) -> StepFunction[P, R]: ...


@overload
def step(
    *,
    capability: str = "",
    deterministic: bool = False,
    once: bool = False,
    attempts_max: int = 3,
    memory_mb: int = 512,
    rows: Sequence[str] = (),
) -> Callable[[Callable[P, R]], StepFunction[P, R]]: ...


def step(
    function: Callable[P, R] | None = None,
    /,
    *,
    capability: str = "",
    deterministic: bool = False,
    once: bool = False,
    attempts_max: int = 3,
    memory_mb: int = 512,
    rows: Sequence[str] = (),
) -> StepFunction[P, R] | Callable[[Callable[P, R]], StepFunction[P, R]]:
    """Make a step of a function. `once`: running it twice does harm; `deterministic`: results may be kept.

    `rows`: parameters that hold one row per item, where the function works on each row by itself and
    gives a row for each; a batch may then be dealt out in parts.

    Raises `Mistake` for a function that could not run anywhere else.
    """
    options = {
        "deterministic": deterministic,
        "effects": "once" if once else "none",
        "attempts_max": attempts_max,
        "memory_mb": memory_mb,
        **({"rows": [*rows, OUTPUT]} if rows else {}),
    }
    if function is not None:
        return StepFunction(function, capability, options)
    return lambda decorated: StepFunction(decorated, capability, options)


def _port(function: Callable[..., object], parameter: inspect.Parameter) -> dict[str, object]:
    if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
        raise Mistake(
            f"parameter {parameter} has no name of its own to be a port",
            place=function.__qualname__,
            remedy="name every parameter; pass a list or a mapping for many values",
        )
    annotation = _hints(function).get(parameter.name)
    kind = "any"
    if annotation in (bytes, bytearray, memoryview):
        kind = "bytes"
    elif annotation is np.ndarray:
        kind = "tensor"
    optional = parameter.default is not parameter.empty
    return {"name": parameter.name, "kind": kind, **({"optional": True} if optional else {})}


def _hints(function: Callable[..., object]) -> Mapping[str, object]:
    try:
        return get_type_hints(function)
    except (NameError, TypeError, AttributeError):  # annotations are for people; what they name may be gone
        return {}


# -- the source that travels --------------------------------------------------------------------


def _module(function: Callable[..., object]) -> str:
    """The source of the agent's module: the function, what it names, and an `Agent` around it."""
    plain = inspect.unwrap(function)
    if not isinstance(plain, FunctionType) or inspect.iscoroutinefunction(plain):
        raise _unfit(function, "it is no plain function", "decorate a function written with `def`")
    texts: dict[str, str] = {}
    imports: dict[str, str] = {}
    todo = [plain]
    while todo:
        one = todo.pop()
        if one.__name__ in texts:
            continue
        if len(texts) >= SOURCES_MAX:
            raise _unfit(function, f"it needs more than {SOURCES_MAX} others", "split it")
        tree = _definition(one)
        texts[one.__name__] = ast.unparse(tree)
        for name, value in _reached(one, tree):
            match value:
                case ModuleType():
                    imports[name] = f"import {value.__name__} as {name}"
                case StepFunction():
                    todo.append(inspect.unwrap(value))
                case FunctionType() if value.__module__ == one.__module__ and value.__name__ == name:
                    todo.append(value)
                case FunctionType() | type() if getattr(value, "__module__", None) not in (None, "__main__"):
                    imports[name] = f"from {value.__module__} import {value.__qualname__} as {name}"
                case _ if _is_constant(value):
                    imports[name] = f"{name} = {value!r}"
                case _:
                    raise _unfit(
                        function,
                        f"it uses {name!r}, a {type(value).__name__} that cannot go along",
                        "pass it as an argument, or make it inside the function",
                    )
    views = [name for name, hint in _hints(plain).items() if hint is memoryview and name != "return"]
    head = ["from __future__ import annotations", *imports.values(), f"VIEWS = {views!r}"]
    return "\n".join([*head, *texts.values()]) + _AGENT.format(function=plain.__name__)


def _definition(function: FunctionType) -> ast.FunctionDef:
    try:
        source = textwrap.dedent(inspect.getsource(function))
        (found,) = ast.parse(source).body
    except (OSError, SyntaxError, ValueError) as error:
        raise _unfit(
            function, f"its source cannot be read: {error}", "write it with `def` in a file"
        ) from None
    if not isinstance(found, ast.FunctionDef):
        raise _unfit(function, "it is no function written with `def`", "give it a name")
    found.decorator_list = []
    return found


def _reached(function: FunctionType, tree: ast.FunctionDef) -> Iterator[tuple[str, object]]:
    """Global names a function uses, and what they stand for."""
    if function.__closure__:
        names = ", ".join(function.__code__.co_freevars)
        raise _unfit(function, f"it closes over {names}", "pass these as arguments")
    told = {id(each) for each in _annotations(tree)}  # never evaluated over there
    used = {
        each.id
        for each in ast.walk(tree)
        if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Load) and id(each) not in told
    }
    bound = {each.arg for each in ast.walk(tree) if isinstance(each, ast.arg)}
    bound |= {
        each.id for each in ast.walk(tree) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)
    }
    bound |= {each.name for each in ast.walk(tree) if isinstance(each, ast.FunctionDef | ast.ClassDef)}
    bound |= {each.name for each in ast.walk(tree) if isinstance(each, ast.ExceptHandler) and each.name}
    for name in sorted(used - bound):
        if name in function.__globals__:
            yield name, function.__globals__[name]
        elif not hasattr(builtins, name) and name in function.__code__.co_names:
            raise _unfit(function, f"it uses {name!r}, which is nowhere", "define it before the function")


def _annotations(tree: ast.FunctionDef) -> Iterator[ast.AST]:
    """What is written in annotations, which are never evaluated over there."""
    for each in ast.walk(tree):
        for field in ("annotation", "returns"):
            if (found := getattr(each, field, None)) is not None:
                yield from ast.walk(found)


def _is_constant(value: object) -> bool:
    match value:
        case list() | tuple() | set() | frozenset():
            return all(map(_is_constant, value))
        case dict():
            return all(map(_is_constant, value)) and all(map(_is_constant, value.values()))
        case _:
            return type(value) in _CONSTANTS


def _unfit(function: Callable[..., object], why: str, remedy: str) -> Mistake:
    name = getattr(function, "__qualname__", repr(function))
    return Mistake(f"it cannot be a step: {why}", place=name, remedy=remedy)
