"""What programs and documents of steps are read into: named actions and who needs whose result."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

from swarm.errors import Mistake, TooLarge

SOURCE_CHARS_MAX: Final = 1_000_000
STEPS_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class Given:
    """One argument of a step: a constant, or a part of the result of another step."""

    port: str  # the name it is given under; empty where only its place among the others tells
    source: str = ""  # the step whose result it is; empty for a constant
    field: str = ""  # which part of that result; empty for all of it
    json: str = ""  # a constant, as JSON


@dataclass(frozen=True, slots=True)
class Step:
    """One action; `needs` names earlier steps, `line` is where it stands (0 where lines mean nothing)."""

    name: str
    action: str
    needs: tuple[str, ...] = ()
    line: int = 0
    given: tuple[Given, ...] = ()

    @property
    def place(self) -> str:
        """Where it stands, for a person."""
        return f"line {self.line}" if self.line else f"step {self.name}"


@dataclass(frozen=True, slots=True)
class StepList:
    """Steps in the order they are written, and the form they were written in."""

    form: str
    steps: tuple[Step, ...]

    @property
    def edges(self) -> tuple[tuple[str, str], ...]:
        return tuple((need, step.name) for step in self.steps for need in step.needs)


def constant(value: object) -> str:
    """A constant as JSON, written in one way only; raises ValueError or TypeError if JSON cannot say it."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def check_size(source: str) -> None:
    """Raises TooLarge above SOURCE_CHARS_MAX."""
    if len(source) > SOURCE_CHARS_MAX:
        raise TooLarge(
            f"{len(source)} characters, at most {SOURCE_CHARS_MAX}", place="request", remedy="split the work"
        )


def checked(form: str, steps: list[Step]) -> StepList:
    """The list, once every name is told apart and every need is met; raises Mistake or TooLarge."""
    if len(steps) > STEPS_MAX:
        raise TooLarge(f"{len(steps)} steps, at most {STEPS_MAX}", place="request", remedy="split the work")
    if not steps:
        raise Mistake("it holds no steps", place="request", remedy="name at least one action")
    names: set[str] = set()
    for step in steps:
        if step.name in names:
            raise Mistake(
                "two steps have this name", place=f"step {step.name!r}", remedy="rename one of them"
            )
        names.add(step.name)
    for step in steps:
        for need in step.needs:
            if need not in names:
                raise Mistake(
                    f"it needs {need!r}, which is no step", place=f"step {step.name!r}", remedy="add it"
                )
    return StepList(form, tuple(steps))
