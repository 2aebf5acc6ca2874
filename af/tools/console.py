"""What the tools share: reading an agent from a path, and telling a person or a program what is wrong.

Exit codes: 0 done, 1 the file or the run failed, 2 wrong usage, 3 this machine is not ready for it.
"""

import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

import typer

from af.agentfile import AgentFile, parse
from af.errors import AfError, AfNotReady, Problem, refused
from af.limits import FILE_BYTES_MAX, MIB
from af.records import Capability
from af.source import build

INPUT_BYTES_MAX = 64 * MIB

EXIT_FAILED = 1
EXIT_NOT_READY = 3

_SOURCE_SUFFIXES = frozenset({".yaml", ".yml"})


def read_agent(path: Path) -> AgentFile:
    """The agent in an .af file, or the one a YAML source describes."""
    if path.suffix in _SOURCE_SUFFIXES:
        return build(path)
    return parse(read_bytes(path, FILE_BYTES_MAX))


def read_bytes(path: Path, bytes_max: int = INPUT_BYTES_MAX) -> bytes:
    """A whole file, if it is not larger than allowed."""
    try:
        with path.open("rb") as file:
            data = file.read(bytes_max + 1)
    except OSError as error:
        raise refused(str(path), f"it is not readable ({error.strerror}).", "correct the path.") from None
    if len(data) > bytes_max:
        raise refused(str(path), f"it has more than {bytes_max} bytes.", "give a smaller file.")
    return data


def write_file(path: Path, data: bytes) -> None:
    """Write a file whole or not at all: whoever reads `path` meets the old content or the new."""
    target = path.resolve()
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        if target.exists() and not target.is_file():  # a device or a pipe has no content to replace
            target.write_bytes(data)
            return
        try:
            temporary.write_bytes(data)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise refused(str(path), f"it is not writable ({error.strerror}).", "correct the path.") from None


def choose_capability(agent: AgentFile, name: str | None) -> Capability:
    """The capability a tool is to ask for: the named one, or the only one."""
    offered = {capability.name: capability for capability in agent.header.capabilities}
    if name is None and len(offered) == 1:
        return next(iter(offered.values()))
    if name is None or name not in offered:
        message = "say which one." if name is None else f"{name} is not offered."
        raise refused("--capability", message, f"use one of {', '.join(offered)}.")
    return offered[name]


def print_json(facts: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(facts, ensure_ascii=False, allow_nan=False) + "\n")


def as_facts(problems: Iterable[Problem]) -> list[dict[str, str]]:
    return [
        {"place": problem.place, "message": problem.message, "remedy": problem.remedy} for problem in problems
    ]


def print_problems(subject: str, problems: Iterable[Problem]) -> None:
    for problem in problems:
        typer.echo(f"{subject}: {problem.place}: {problem.message}\n    {problem.remedy}", err=True)


def fail(file: Path, error: AfError, *, as_json: bool) -> NoReturn:
    """Say every problem and leave with the code that tells what kind of failure it is."""
    if as_json:
        print_json({"file": str(file), "ok": False, "problems": as_facts(error.problems)})
    else:
        print_problems(str(file), error.problems)
        count = len(error.problems)
        typer.echo(f"{count} problem{'s' if count > 1 else ''}.", err=True)
    raise typer.Exit(EXIT_NOT_READY if isinstance(error, AfNotReady) else EXIT_FAILED)
