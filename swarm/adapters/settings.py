"""Settings files: YAML of an operator read into a checked model, or refused with every place and remedy.

A settings file is small, written by hand and read once. So it is read strictly -- no aliases, no duplicate
or unknown keys, no value of another type than asked for -- and everything wrong with it is said at once, each
with the line it stands on.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Hashable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, ValidationError, ValidationInfo
from pydantic_core import ErrorDetails

from swarm import limits
from swarm.errors import ConfigRefused, Mistake, Problem
from swarm.sections import Section as Section
from swarm.sections import wrong as wrong

SETTINGS_BYTES_MAX = 64 * limits.KIB
SETTINGS_DEPTH_MAX = 16
PORT_MAX = 65_535

_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?", re.ASCII)
_REMEDIES = {
    "extra_forbidden": "remove it",
    "missing": "add it",
    "int_type": "write a whole number",
    "string_type": "write text; put it in quotes if it looks like a number",
    "dict_type": "write `key: value` lines under it",
    "model_type": "write `key: value` lines under it",
    "path_type": "write a path",
    "enum": "write one of them",
    "literal_error": "write what is expected",
}

Model = TypeVar("Model", bound=Section)


def _address(text: str) -> str:
    host, _, port = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not _is_host(bare, bracketed=bare != host):
        raise wrong(f"{text[:80]!r} is no address", "write HOST:PORT, e.g. 127.0.0.1:7101 or [::1]:7101")
    if not (port.isascii() and port.isdigit() and 1 <= int(port[:6]) <= PORT_MAX):
        raise wrong(f"{text[:80]!r} has no usable port", f"write HOST:PORT with a port from 1 to {PORT_MAX}")
    return text


def _is_host(host: str, *, bracketed: bool) -> bool:
    if bracketed:
        try:
            return ipaddress.ip_address(host).version == 6
        except ValueError:
            return False
    return _HOST.fullmatch(host) is not None


def _resolved(path: Path, info: ValidationInfo) -> Path:
    base = (info.context or {}).get("directory", Path())
    return (Path(base) / path.expanduser()).absolute()


Address = Annotated[str, AfterValidator(_address)]
"""`HOST:PORT`, the port not 0."""

FilePath = Annotated[Path, Field(strict=False), AfterValidator(_resolved)]
"""A path; a relative one is relative to the settings file."""


_SPAN = re.compile(r"([1-9][0-9]{0,5})([smhd])", re.ASCII)
_UNIT: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def span(text: str) -> timedelta:
    """A span of time as people write it: 90s, 30m, 1h, 7d. Raises `Mistake`."""
    found = _SPAN.fullmatch(text)
    if found is None:
        raise Mistake(
            f"{text[:40]!r} is no span of time", place="span", remedy="write e.g. 90s, 30m, 1h or 7d"
        )
    return timedelta(**{_UNIT[found[2]]: int(found[1])})


def _span(value: object) -> object:
    try:
        return span(value) if isinstance(value, str) else value
    except Mistake as error:
        raise wrong(error.message, error.remedy) from None


Span = Annotated[timedelta, BeforeValidator(_span)]
"""A span of time: 90s, 30m, 1h, 7d."""

EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - recognised in order to refuse or translate them
"""Hosts that mean every interface of this machine, and where such a listener is reached from it."""


def host_of(address: str) -> str:
    """The host of an `Address`, without brackets."""
    return address.rpartition(":")[0].strip("[]")


def load_settings(path: Path, model: type[Model], what: str) -> Model:
    """The settings in the file at `path`; `what` names the kind of file in messages."""
    try:
        with path.open("rb") as file:
            data = file.read(SETTINGS_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigRefused(
            f"the {what} cannot be read: {error.strerror or error}",
            place=str(path),
            remedy="check the path and who may read it",
        ) from error
    if len(data) > SETTINGS_BYTES_MAX:
        raise ConfigRefused(
            f"no {what} is larger than {SETTINGS_BYTES_MAX} bytes", place=str(path), remedy="check the path"
        )
    tree, lines = _parse(path, data, what)
    try:
        found = model.model_validate(tree, context={"directory": path.absolute().parent})
    except ValidationError as error:
        details = sorted(error.errors(include_url=False), key=lambda detail: _line(lines, detail["loc"]))
        problems = [_problem(path, model, lines, detail) for detail in details]
        raise ConfigRefused(
            f"the {what} is not valid", place=str(path), remedy=problems[0].remedy, problems=problems
        ) from None
    problems = [
        Problem("refused", _place(path, lines, one.place), one.message, one.remedy) for one in found.misfits()
    ]
    if problems:
        raise ConfigRefused(
            f"the {what} is not valid", place=str(path), remedy=problems[0].remedy, problems=problems
        )
    return found


# -- YAML -------------------------------------------------------------------------------------

_Place = tuple[Hashable, ...]


class _Loader(yaml.SafeLoader):
    """The safe loader without aliases: a settings file has no use for them."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(problem="an alias; write the value out", problem_mark=self.get_mark())
        return super().compose_node(parent, index)


def _parse(path: Path, data: bytes, what: str) -> tuple[object, dict[_Place, int]]:
    """The tree in YAML text, and the line each of its keys stands on."""
    lines: dict[_Place, int] = {}
    loader: _Loader | None = None
    try:
        loader = _Loader(data.decode("utf-8"))
        root = loader.get_single_node()
        tree = {} if root is None else _build(loader, root, (), lines)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        message = f"this is not readable YAML: {error.problem or error.context}"
        raise ConfigRefused(message, place=place, remedy="repair the text there") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        message = f"the {what} is not readable YAML: {error}"
        raise ConfigRefused(message, place=str(path), remedy="repair the text") from None
    finally:
        if loader is not None:
            loader.dispose()
    return tree, lines


def _build(loader: _Loader, node: yaml.Node, place: _Place, lines: dict[_Place, int]) -> object:
    lines.setdefault(place, node.start_mark.line + 1)
    if len(place) > SETTINGS_DEPTH_MAX:
        raise yaml.MarkedYAMLError(problem="nested too deeply", problem_mark=node.start_mark)
    match node:
        case yaml.MappingNode():
            found: dict[Hashable, object] = {}
            for key_node, value_node in node.value:
                key = loader.construct_object(key_node, deep=True)
                if not isinstance(key, str):
                    raise yaml.MarkedYAMLError(
                        problem=f"the key {key!r} is not text", problem_mark=key_node.start_mark
                    )
                if key in found:
                    raise yaml.MarkedYAMLError(
                        problem=f"the key {key!r} appears twice", problem_mark=key_node.start_mark
                    )
                lines[(*place, key)] = key_node.start_mark.line + 1
                found[key] = _build(loader, value_node, (*place, key), lines)
            return found
        case yaml.SequenceNode():
            return [_build(loader, item, (*place, i), lines) for i, item in enumerate(node.value)]
        case _:
            return loader.construct_object(node)


# -- what is wrong ------------------------------------------------------------------------------


def _problem(path: Path, model: type[BaseModel], lines: dict[_Place, int], detail: ErrorDetails) -> Problem:
    location = detail["loc"]
    remedy = str(detail.get("ctx", {}).get("remedy", "")) or _REMEDIES.get(detail["type"], "")
    if detail["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(location[-1]), list(_keys(model, location[:-1])), n=1)
        remedy = f"did you mean {near[0]!r}?" if near else remedy
        message = "there is no such key"
    elif detail["type"] == "missing":
        message = "this key is missing"
    else:
        message = detail["msg"]
    return Problem(detail["type"], _place(path, lines, location), message, remedy)


def _place(path: Path, lines: dict[_Place, int], location: _Place) -> str:
    place = f"{path}:{_line(lines, location)}"
    return f"{place}: {'.'.join(map(str, location))}" if location else place


def _line(lines: dict[_Place, int], location: _Place) -> int:
    while location and location not in lines:  # a missing key has no line: its parent's
        location = location[:-1]
    return lines.get(location, 1)


def _keys(model: type[BaseModel], location: tuple[int | str, ...]) -> Iterator[str]:
    """The keys a model knows at a place inside it."""
    current: Any = model
    for part in location:
        if not (isinstance(current, type) and issubclass(current, BaseModel)):
            return
        field = current.model_fields.get(str(part))
        current = field.annotation if field else None
    if isinstance(current, type) and issubclass(current, BaseModel):
        yield from current.model_fields
