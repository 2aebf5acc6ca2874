"""From text to plain values that know their line, however hostile the text.

YAML is read event by event, so nothing is built that was not counted first: depth, values and
characters are bounded *after* aliases are expanded (a few lines of aliases can mean gigabytes, and
deep nesting crashes the parser's own tree builder). Plain words follow YAML 1.2: `no`, `on` and
dates are text. Tags, merge keys, keys that are no text or stand twice are refused.
"""

from __future__ import annotations

import enum
import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

import yaml

from swarm import limits
from swarm.errors import GraphRefused, Problem, TooLarge
from swarm.graph.names import shown

DEPTH_MAX: Final = 32  # of mappings and lists inside each other
VALUES_MAX: Final = 2_000_000  # aliases expanded
CHARS_MAX: Final = limits.GRAPH_BYTES_MAX  # aliases expanded

Scalar: TypeAlias = str | int | float | bool | None

_INT64: Final = 1 << 63


class Tag(enum.StrEnum):
    """What a word without quotes can be, other than text."""

    NULL = "tag:yaml.org,2002:null"
    BOOL = "tag:yaml.org,2002:bool"
    INT = "tag:yaml.org,2002:int"
    FLOAT = "tag:yaml.org,2002:float"


# The tag, the words, the characters they may start with.
PLAIN: Final = (
    (Tag.NULL, re.compile(r"(?:~|null|Null|NULL|)\Z"), ("~", "n", "N", "")),
    (Tag.BOOL, re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z"), tuple("tTfF")),
    (Tag.INT, re.compile(r"(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)\Z"), tuple("-+0123456789")),
    (
        Tag.FLOAT,
        re.compile(
            r"(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
            r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z"
        ),
        tuple("-+.0123456789"),
    ),
)
_STARTS = frozenset(first for _, _, starts in PLAIN for first in starts)


Value: TypeAlias = "Scalar | list[Found] | dict[str, Found]"


@dataclass(frozen=True, slots=True)
class Found:
    """A value of the document, and the line it is on (its key's, if it has one; 0: unknown)."""

    value: Value
    line: int = 0

    def plain(self) -> Any:
        """The value without its lines; no deeper than DEPTH_MAX."""
        match self.value:
            case dict():
                return {key: inner.plain() for key, inner in self.value.items()}
            case list():
                return [inner.plain() for inner in self.value]
            case _:
                return self.value


def parse(text: str, form: str) -> tuple[Found, list[Problem]]:
    """The one value `text` holds, and what is wrong with it short of being unreadable."""
    if (size := len(text.encode(errors="replace"))) > limits.GRAPH_BYTES_MAX:
        message = f"{size} bytes, at most {limits.GRAPH_BYTES_MAX}"
        raise TooLarge(message, place="document", remedy="pass large data as inputs of the run")
    return _parse_yaml(text) if form == "yaml" else _parse_json(text)


def unreadable(place: str, message: str, remedy: str) -> GraphRefused:
    """A refusal with a single problem, for what ends the reading."""
    return GraphRefused(
        "the graph document cannot be read", problems=[Problem("bad_document", place, message, remedy)]
    )


# -- YAML -------------------------------------------------------------------------------------


def _parse_yaml(text: str) -> tuple[Found, list[Problem]]:
    try:
        return _Builder().build(yaml.parse(text, Loader=yaml.CSafeLoader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        message = f"not YAML: {error.problem or error.context}"
        raise unreadable(_place(mark), message, "correct it there, or just before") from None
    except (yaml.YAMLError, UnicodeError) as error:
        message = f"not YAML: {shown(str(error).partition(chr(10))[0])}"
        raise unreadable("document", message, "save it as UTF-8 text") from None


def _place(mark: yaml.Mark | None) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}" if mark else "document"


@dataclass(slots=True)
class _Open:
    """A list or mapping that has not ended yet; `values` and `chars` were the counts before it."""

    value: list[Found] | dict[str, Found]
    event: Any
    values: int
    chars: int
    height: int = 1  # levels of nesting so far, its own included
    key: Found | None = None


class _Size(NamedTuple):
    """What a finished value adds when an alias repeats it."""

    values: int
    chars: int
    height: int


class _Builder:
    """Makes the value from events, counting as it goes."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self._open: list[_Open] = []
        self._root: Found | None = None
        self._anchors: dict[str, tuple[Value, _Size]] = {}
        self._values = 0
        self._chars = 0

    def build(self, events: Iterable[Any]) -> tuple[Found, list[Problem]]:
        for event in events:
            match event:
                case yaml.ScalarEvent():
                    self._count(event, 1, len(event.value))
                    self._add(event, _scalar(event), _Size(1, len(event.value), 0))
                case yaml.AliasEvent():
                    if event.anchor not in self._anchors:
                        raise _at(event, f"the alias {shown(event.anchor)} names nothing above it")
                    value, size = self._anchors[event.anchor]
                    self._count(event, size.values, size.chars)
                    if len(self._open) + size.height > DEPTH_MAX:
                        raise _at(event, f"nested deeper than {DEPTH_MAX}")
                    self._add(event, value, size)
                case yaml.MappingStartEvent():
                    self._start(event, {})
                case yaml.SequenceStartEvent():
                    self._start(event, [])
                case yaml.CollectionEndEvent():
                    done = self._open.pop()
                    size = _Size(self._values - done.values, self._chars - done.chars, done.height)
                    self._add(done.event, done.value, size)
                case yaml.DocumentStartEvent() if self._root is not None:
                    raise _at(event, "a second document begins")
        return self._root or Found(None), self.problems

    def _start(self, event: Any, value: list[Found] | dict[str, Found]) -> None:
        if event.tag is not None:
            raise _at(event, f"the tag {shown(event.tag)} is not supported")
        if len(self._open) == DEPTH_MAX:
            raise _at(event, f"nested deeper than {DEPTH_MAX}")
        self._open.append(_Open(value, event, self._values, self._chars))
        self._count(event, 1, 0)

    def _add(self, event: Any, value: Value, size: _Size) -> None:
        """Puts a value that is complete where it belongs."""
        found = Found(value, event.start_mark.line + 1)
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, size)
        if not self._open:
            self._root = found
            return
        top = self._open[-1]
        top.height = max(top.height, size.height + 1)
        if isinstance(top.value, list):
            top.value.append(found)
        elif top.key is None:
            top.key = found
        else:
            key, top.key = top.key, None
            self._put(top.value, key, value)

    def _put(self, mapping: dict[str, Found], key: Found, value: Value) -> None:
        name, place = key.value, f"line {key.line}"
        if not isinstance(name, str):
            spoken = "a list or mapping" if isinstance(name, list | dict) else shown(name)
            message = f"the key {spoken} is no text"
            self.problems.append(Problem("bad_document", place, message, "put the key in quotes"))
        elif name in mapping:
            message = f"the key {shown(name)} stands twice, first in line {mapping[name].line}"
            self.problems.append(Problem("duplicate_key", place, message, "keep one of the two"))
        elif name == "<<":
            message = "merge keys are not supported"
            self.problems.append(
                Problem("bad_document", place, message, "write the keys out, or use an alias")
            )
        else:
            mapping[name] = Found(value, key.line)

    def _count(self, event: Any, values: int, chars: int) -> None:
        self._values += values
        self._chars += chars
        if self._values > VALUES_MAX or self._chars > CHARS_MAX:
            message = f"over {VALUES_MAX} values or {CHARS_MAX} characters, aliases written out"
            remedy = "use `times`, or pass data as inputs of the run"
            raise TooLarge(message, place=_place(event.start_mark), remedy=remedy)


def _scalar(event: Any) -> Scalar:
    text: str = event.value
    if event.tag is not None:
        raise _at(event, f"the tag {shown(event.tag)} is not supported")
    if not event.implicit[0] or text[:1] not in _STARTS:
        return text
    tag = next((tag for tag, words, _ in PLAIN if words.match(text)), None)
    try:
        match tag:
            case Tag.NULL:
                return None
            case Tag.BOOL:
                return text[0] in "tT"
            case Tag.INT:
                return _whole(int(text, 0 if text[:2] in ("0o", "0x") else 10))
            case Tag.FLOAT:
                word = text.replace(".", "") if text[-1] in "fFnN" else text  # .inf, .NaN
                return _finite(float(word))
            case _:
                return text
    except ValueError as error:
        raise _at(event, f"{shown(text)}: {error}") from None


def _at(event: Any, message: str) -> GraphRefused:
    return unreadable(_place(event.start_mark), message, "write it another way")


def _whole(value: int) -> int:
    if not -_INT64 <= value < _INT64:
        raise ValueError("a whole number beyond 64 bits; write it as text")
    return value


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError("a number that is not finite")
    return value


def acceptable(value: Any, depth: int = 0) -> bool:
    """Whether a document can hold this JSON value."""
    match value:
        case dict():
            inside = list(value.values())
        case list():
            inside = value
        case bool() | str() | None:
            return True
        case int():
            return -_INT64 <= value < _INT64
        case _:
            return math.isfinite(value)
    return depth < DEPTH_MAX and all(acceptable(inner, depth + 1) for inner in inside)


# -- JSON -------------------------------------------------------------------------------------


def _parse_json(text: str) -> tuple[Found, list[Problem]]:
    if text.count(",") + text.count("[") + text.count("{") > VALUES_MAX:
        raise TooLarge(f"over {VALUES_MAX} values", place="document", remedy="use `times`")
    found: list[Problem] = []

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        for key, value in pairs:
            if key in mapping:
                message = f"the key {shown(key)} stands twice"
                found.append(Problem("duplicate_key", "document", message, "keep one of the two"))
            mapping[key] = value
        return mapping

    try:
        value = json.loads(
            text,
            object_pairs_hook=unique,
            parse_int=lambda digits: _whole(int(digits)),
            parse_float=lambda digits: _finite(float(digits)),
            parse_constant=lambda word: _finite(float(word)),
        )
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()  # an escape may be half a pair, which is no text
        return _located(value, 0), found
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise unreadable(place, f"not JSON: {error.msg}", "correct it there, or just before") from None
    except (ValueError, RecursionError) as error:
        raise unreadable(
            "document", f"not acceptable JSON: {shown(str(error))}", "correct the value"
        ) from None


def _located(value: Any, depth: int) -> Found:
    if depth > DEPTH_MAX:
        raise ValueError(f"nested deeper than {DEPTH_MAX}")
    match value:
        case dict():
            return Found({key: _located(inner, depth + 1) for key, inner in value.items()})
        case list():
            return Found([_located(inner, depth + 1) for inner in value])
        case _:
            return Found(value)
