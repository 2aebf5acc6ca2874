"""CodeParser: a Python program as steps, one per call, and as edges, one per result that is handed on.

Nothing is run. Names are followed from assignment to use: `b = f(a)` makes the step of `f` need the
step that gave `a`. Where branches assign one name, any of their steps may have given it. A call inside
a call, and the object a method is called on, are needs too. Bodies of functions are read when they are called
by name, never deeper than CALLS_DEPTH_MAX; a loop's body is read once.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

from swarm.decompose.parse.steps import Given, Step, StepList, check_size, checked, constant
from swarm.errors import Mistake

CALLS_DEPTH_MAX: Final = 8
STATEMENTS_MAX: Final = 20_000  # read, those of called functions counted at every call

_Givers: TypeAlias = dict[str, tuple[str, ...]]


def parse_code(source: str) -> StepList:
    """The steps of a program; raises Mistake with the line if it is not Python."""
    check_size(source)
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None) or 1
        raise Mistake(f"this is not Python: {error}", place=f"line {line}", remedy="correct it") from None
    reader = _Reader(tree)
    try:
        reader.block(tree.body, {}, 0)
    except RecursionError:
        raise Mistake("it is nested too deeply", place="request", remedy="flatten it") from None
    return checked("python", reader.steps)


class _Reader:
    """Walks statements in order and remembers which steps gave each name."""

    def __init__(self, tree: ast.Module) -> None:
        self.steps: list[Step] = []
        self._read = 0
        self._imported: dict[str, str] = {}
        self._functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}

    def block(self, body: Sequence[ast.stmt], givers: _Givers, depth: int) -> tuple[str, ...]:
        """Reads statements, changes `givers`; gives the steps that a `return` in it hands back."""
        returned: tuple[str, ...] = ()
        for statement in body:
            self._read += 1
            if self._read > STATEMENTS_MAX:
                raise Mistake(
                    f"more than {STATEMENTS_MAX} statements",
                    place=f"line {statement.lineno}",
                    remedy="split the work",
                )
            returned += self._statement(statement, givers, depth)
        return _unique(returned)

    def _statement(self, statement: ast.stmt, givers: _Givers, depth: int) -> tuple[str, ...]:
        match statement:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                return ()
            case ast.Import(names=names):
                self._imported |= {
                    each.asname or each.name.split(".")[0]: each.name for each in names if each.asname
                }
                return ()
            case ast.ImportFrom(module=module, names=names):
                self._imported |= {each.asname or each.name: f"{module or ''}.{each.name}" for each in names}
                return ()
            case ast.Return(value=value) if value is not None:
                return self._value(value, givers, depth)
            case ast.Assign(targets=targets, value=value):
                self._give(targets, self._value(value, givers, depth), givers)
                return ()
            case ast.AnnAssign(target=target, value=value) if value is not None:
                self._give([target], self._value(value, givers, depth), givers)
                return ()
            case ast.AugAssign(target=target, value=value):
                old = self._value(target, givers, depth)
                self._give([target], _unique(old + self._value(value, givers, depth)), givers)
                return ()
            case _:
                return self._compound(statement, givers, depth)

    def _compound(self, statement: ast.stmt, givers: _Givers, depth: int) -> tuple[str, ...]:
        """Loops, branches, `with` and the rest: what they ask first, then each body on its own copy."""
        for name, field in ast.iter_fields(statement):
            found: tuple[str, ...] = ()
            for part in field if isinstance(field, list) else [field]:
                match part:
                    case ast.expr() if name != "target":
                        found = self._value(part, givers, depth)
                    case ast.withitem(context_expr=value, optional_vars=target):
                        found = self._value(value, givers, depth)
                        self._give([target] if target else [], found, givers)
                    case _:
                        pass
            if name == "iter":
                self._give([statement.target], found, givers)  # type: ignore[attr-defined]  # loops have both
        returned: tuple[str, ...] = ()
        bodies = [getattr(statement, name, []) for name in ("body", "orelse", "finalbody")]
        bodies += [handler.body for handler in getattr(statement, "handlers", [])]
        before = dict(givers)
        for body in bodies:
            branch = dict(before)
            returned += self.block(body, branch, depth)
            for name, given in branch.items():
                if given != before.get(name):
                    givers[name] = _unique(givers.get(name, ()) + given)
        return returned

    def _give(self, targets: Iterable[ast.expr], given: tuple[str, ...], givers: _Givers) -> None:
        for target in targets:
            for node in ast.walk(target):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    givers[node.id] = given
                elif isinstance(node, ast.Name):  # `a.b = ...` and `a[0] = ...` add to what `a` holds
                    givers[node.id] = _unique(givers.get(node.id, ()) + given)

    def _value(self, node: ast.expr, givers: _Givers, depth: int) -> tuple[str, ...]:
        """The steps a value comes from; a call in it becomes a step."""
        match node:
            case ast.Name(id=name):
                return givers.get(name, ())
            case ast.Call():
                return self._call(node, givers, depth)
            case _:
                found: tuple[str, ...] = ()
                for child in ast.walk(node) if isinstance(node, ast.Lambda) else ast.iter_child_nodes(node):
                    if isinstance(child, ast.comprehension):
                        found += self._value(child.iter, givers, depth)
                    elif isinstance(child, ast.expr) and child is not node:
                        found += self._value(child, givers, depth)
                return _unique(found)

    def _call(self, node: ast.Call, givers: _Givers, depth: int) -> tuple[str, ...]:
        receiver = node.func.value if isinstance(node.func, ast.Attribute) else None
        needs = self._value(receiver, givers, depth) if receiver is not None else ()
        handed = [self._value(each, givers, depth) for each in node.args]
        named = {each.arg or "": self._value(each.value, givers, depth) for each in node.keywords}
        function = self._functions.get(node.func.id) if isinstance(node.func, ast.Name) else None
        if function is not None and depth < CALLS_DEPTH_MAX:
            inside: _Givers = (
                dict(zip([each.arg for each in function.args.args], handed, strict=False)) | named
            )
            return self.block(function.body, inside, depth + 1)
        for each in (*handed, *named.values()):
            needs += each
        action = self._action(node.func)
        name = f"{action.rpartition('.')[2]}_{len(self.steps) + 1}"
        values = [("", each, found) for each, found in zip(node.args, handed, strict=True)]
        values += [(each.arg or "", each.value, named[each.arg or ""]) for each in node.keywords]
        given = tuple(one for port, each, found in values if (one := _given(port, each, found)))
        self.steps.append(Step(name, action, _unique(needs), node.lineno, given))
        return (name,)

    def _action(self, function: ast.expr) -> str:
        """The name of what is called, with what it was imported as spelt out."""
        parts: list[str] = []
        while isinstance(function, ast.Attribute):
            parts.append(function.attr)
            function = function.value
        if isinstance(function, ast.Name):
            parts.append(self._imported.get(function.id, function.id))
        return ".".join(reversed(parts)) or "call"


def _given(port: str, node: ast.expr, steps: tuple[str, ...]) -> Given | None:
    """What is known of an argument: it is one step's result, or a constant that JSON can say."""
    if steps:
        return Given(port, steps[-1]) if len(steps) == 1 else None
    try:
        return Given(port, json=constant(ast.literal_eval(node)))
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None  # a name nothing was assigned to: it becomes an input


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
