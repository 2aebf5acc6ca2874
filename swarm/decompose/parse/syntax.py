"""CodeParser for other languages: the same steps and edges as `code`, from a tree-sitter syntax tree.

What differs between languages is a table: which kinds of node are calls, assignments and functions, and in
which fields their parts stand. Functions are read where they are called by name, never deeper than
CALLS_DEPTH_MAX; a program that does nothing outside its functions is read from `main`, or from each function
nobody calls. Branches and loops are read once, in the order they are written; a name that is assigned
in several places may have come from any of them.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from swarm.decompose.parse.steps import Given, Step, StepList, check_size, checked, constant
from swarm.errors import Mistake, NotBuilt

CALLS_DEPTH_MAX: Final = 8
NODES_MAX: Final = 200_000  # read, those of called functions counted at every call
NESTING_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class Language:
    """Names that a grammar gives to the things this parser looks for: kind of node -> fields of its parts."""

    module: str
    factory: str = "language"
    calls: Mapping[str, tuple[str, str]] = field(default_factory=dict)  # what is called, its arguments
    assigns: Mapping[str, tuple[str, str]] = field(default_factory=dict)  # what is assigned to, the value
    functions: Mapping[str, tuple[str, str]] = field(default_factory=dict)  # its parameters, its body


_SCRIPT: Final[dict[str, Any]] = {
    "calls": {"call_expression": ("function", "arguments"), "new_expression": ("constructor", "arguments")},
    "assigns": {"variable_declarator": ("name", "value"), "assignment_expression": ("left", "right")},
    "functions": {"function_declaration": ("parameters", "body")},
}
LANGUAGES: Final = {
    "javascript": Language("tree_sitter_javascript", **_SCRIPT),
    "typescript": Language("tree_sitter_typescript", "language_typescript", **_SCRIPT),
    "go": Language(
        "tree_sitter_go",
        calls={"call_expression": ("function", "arguments")},
        assigns={
            "short_var_declaration": ("left", "right"),
            "assignment_statement": ("left", "right"),
            "var_spec": ("name", "value"),
        },
        functions={"function_declaration": ("parameters", "body")},
    ),
    "java": Language(
        "tree_sitter_java",
        calls={
            "method_invocation": ("name", "arguments"),
            "object_creation_expression": ("type", "arguments"),
        },
        assigns={"variable_declarator": ("name", "value"), "assignment_expression": ("left", "right")},
        functions={"method_declaration": ("parameters", "body")},
    ),
    "rust": Language(
        "tree_sitter_rust",
        calls={"call_expression": ("function", "arguments")},
        assigns={"let_declaration": ("pattern", "value"), "assignment_expression": ("left", "right")},
        functions={"function_item": ("parameters", "body")},
    ),
}
_NAMES: Final = frozenset({"identifier", "shorthand_property_identifier_pattern"})
_NUMBERS: Final = frozenset(
    {"number", "int_literal", "float_literal", "integer_literal", "decimal_integer_literal"}
)
_TEXTS: Final = frozenset({"string", "interpreted_string_literal", "string_literal"})
_RETURNS: Final = frozenset({"return_statement", "return_expression"})


def parse_syntax(source: str, language: str) -> StepList:
    """The steps of a program in one of LANGUAGES; raises Mistake with its line, or NotBuilt."""
    check_size(source)
    spoken = LANGUAGES[language]
    tree = _grammar(spoken, language).parse(source.encode())
    if tree.root_node.has_error:
        broken = _first_error(tree.root_node)
        raise Mistake(
            f"this is not {language}", place=f"line {broken.start_point[0] + 1}", remedy="correct it"
        )
    reader = _Reader(spoken, tree.root_node)
    reader.program(tree.root_node)
    return checked(language, reader.steps)


def _grammar(spoken: Language, language: str) -> Any:
    try:
        tree_sitter = importlib.import_module("tree_sitter")
        grammar = importlib.import_module(spoken.module)
    except ImportError:
        raise NotBuilt(
            f"reading {language} needs tree-sitter",
            place="request",
            remedy="pip install 'neural-swarm[code]'",
        ) from None
    return tree_sitter.Parser(tree_sitter.Language(getattr(grammar, spoken.factory)()))


def _first_error(root: Any) -> Any:
    """The deepest node that the grammar could not read; the tree says which branches hold one."""
    node = root
    while not (node.is_error or node.is_missing):
        inner = next((child for child in node.children if child.has_error or child.is_missing), None)
        if inner is None:
            return node
        node = inner
    return node


_Givers = dict[str, tuple[str, ...]]


class _Reader:
    """Walks a tree in order and remembers which steps gave each name."""

    def __init__(self, spoken: Language, root: Any) -> None:
        self.steps: list[Step] = []
        self._spoken = spoken
        self._read = 0
        self._functions = {_text(node.child_by_field_name("name")): node for node in self._find(root)}

    def _find(self, root: Any) -> Iterator[Any]:
        waiting = [root]
        while waiting:
            node = waiting.pop()
            if node.type in self._spoken.functions:
                yield node
            waiting += node.named_children

    def program(self, root: Any) -> None:
        """What runs: what stands outside functions; without any of it `main`, or what nobody calls."""
        self._value(root, {}, 0, 0)
        if self.steps:
            return
        called = {_text(node) for function in self._functions.values() for node in self._called(function)}
        starts = ["main"] if "main" in self._functions else [n for n in self._functions if n not in called]
        for name in starts:
            self._inside(self._functions[name], [], 0, 0)

    def _called(self, root: Any) -> Iterator[Any]:
        waiting = [root]
        while waiting:
            node = waiting.pop()
            if node.type in self._spoken.calls:
                yield node.child_by_field_name(self._spoken.calls[node.type][0])
            waiting += node.named_children

    def _value(self, node: Any, givers: _Givers, depth: int, nesting: int) -> tuple[str, ...]:
        """The steps that a piece of the program gives its value from; calls in it become steps."""
        self._read += 1
        if self._read > NODES_MAX or nesting > NESTING_MAX:
            place = f"line {node.start_point[0] + 1}"
            raise Mistake("it is too long, or nested too deeply", place=place, remedy="split the work")
        if node.type in self._spoken.functions and depth == 0 and nesting:
            return ()
        if node.type in self._spoken.assigns:
            left, right = (node.child_by_field_name(name) for name in self._spoken.assigns[node.type])
            found = self._value(right, givers, depth, nesting + 1) if right is not None else ()
            for name in _identifiers(left) if left is not None else ():
                again = node.type.startswith("assignment")
                givers[name] = _unique((*givers.get(name, ()), *found)) if again and not found else found
            return found
        if node.type in self._spoken.calls:
            return self._call(node, givers, depth, nesting)
        if node.type in _NAMES:
            return givers.get(_text(node), ())
        inner: tuple[str, ...] = ()
        for child in node.named_children:
            inner += self._value(child, givers, depth, nesting + 1)
        if node.type in _RETURNS:
            givers["return"] = _unique((*givers.get("return", ()), *inner))
        return _unique(inner)

    def _call(self, node: Any, givers: _Givers, depth: int, nesting: int) -> tuple[str, ...]:
        callee, arguments = (node.child_by_field_name(name) for name in self._spoken.calls[node.type])
        handed = arguments.named_children if arguments is not None else []
        values = [(each, self._value(each, givers, depth, nesting + 1)) for each in handed]
        function = self._functions.get(_text(callee))
        if function is not None and depth < CALLS_DEPTH_MAX:
            return self._inside(function, [found for _, found in values], depth + 1, nesting + 1)
        receiver = node.child_by_field_name("object") or next(iter(callee.named_children), None)
        owner = self._value(receiver, givers, depth, nesting + 1) if receiver is not None else ()
        action = _text(callee).replace("::", ".").replace("?.", ".").removeprefix("new ")
        if node.child_by_field_name("object") is not None:
            action = f"{_text(receiver)}.{action}"
        if "(" in action:  # a chain of calls: the last one is this step
            action = action.rpartition(".")[2]
        name = f"{action.rpartition('.')[2]}_{len(self.steps) + 1}"
        needs = _unique((*owner, *(each for _, found in values for each in found)))
        given = tuple(one for each, found in values if (one := _given(each, found)))
        self.steps.append(Step(name, action, needs, node.start_point[0] + 1, given))
        return (name,)

    def _inside(
        self, function: Any, handed: Sequence[tuple[str, ...]], depth: int, nesting: int
    ) -> tuple[str, ...]:
        """The steps that a call of a known function gives its result from."""
        parameters, body = (
            function.child_by_field_name(each) for each in self._spoken.functions[function.type]
        )
        listed = parameters.named_children if parameters is not None else []
        names = [next(iter(_identifiers(each)), "") for each in listed]
        inside: _Givers = dict(zip(names, handed, strict=False))
        if body is None:
            return ()
        last: tuple[str, ...] = ()
        for child in body.named_children:
            last = self._value(child, inside, max(depth, 1), nesting + 1)
        return inside.get("return", last)


def _identifiers(node: Any) -> Iterator[str]:
    """Names that an assignment's left side gives a value to."""
    waiting = [node]
    while waiting:
        one = waiting.pop(0)
        if one.type in _NAMES:
            yield _text(one)
        waiting += one.named_children


def _given(node: Any, found: tuple[str, ...]) -> Given | None:
    if found:
        return Given("", found[0]) if len(found) == 1 else None
    text = _text(node)
    try:
        if node.type in _NUMBERS:
            return Given("", json=constant(json.loads(text)))
        if node.type in _TEXTS:
            return Given("", json=constant(text.strip("\"'")))
    except ValueError:
        return None
    return Given("", json=text) if text in {"true", "false", "null"} else None


def _text(node: Any) -> str:
    return node.text.decode(errors="replace") if node is not None else ""


def _unique(names: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
