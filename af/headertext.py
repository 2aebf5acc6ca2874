"""From header text to typed header: every schema error at once, with its place and the key that was meant."""

import difflib
import inspect
import typing
from collections.abc import Iterator, Mapping

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from af.errors import Problem, shown
from af.header import Header
from af.layers.spec import Spec
from af.limits import PROBLEMS_MAX, SECTIONS_MAX
from af.mappings import EXTRAS_KEY, HeaderMapping
from af.records import Capability, PortSpec
from af.sections import IndexEntry

SECTIONS_KEY = "sections"

_CLOSED = frozenset({"capabilities", SECTIONS_KEY})  # mappings without keys of one's own
_LAYERS = "layers"  # a layer's key is at home in many kinds: no use as a suggestion elsewhere
_NOISE = frozenset({"Capability", "PortSpec", "json-value"})
_KEY_CHARS_MAX = 60  # of a place in a message
_INDEX = TypeAdapter(tuple[IndexEntry, ...])


def read_header(
    mapping: Mapping[str, object],
) -> tuple[Header | None, tuple[IndexEntry, ...] | None, list[Problem]]:
    """Header, section index and problems. The index is None where the file has none or it is not readable."""
    rest = dict(mapping)
    index_present = SECTIONS_KEY in rest
    index_value = rest.pop(SECTIONS_KEY, None)
    problems: list[Problem] = []
    header: Header | None = None
    index: tuple[IndexEntry, ...] | None = None
    try:
        header = Header.model_validate(rest)
    except ValidationError as error:
        problems += [_problem(details, ()) for details in error.errors(include_url=False)[:PROBLEMS_MAX]]
    if index_present:
        try:
            index = _INDEX.validate_python(index_value)
        except ValidationError as error:
            problems += [
                _problem(details, (SECTIONS_KEY,))
                for details in error.errors(include_url=False)[:PROBLEMS_MAX]
            ]
        else:
            if len(index) > SECTIONS_MAX:
                message = f"{len(index)} sections, the most is {SECTIONS_MAX}."
                problems.append(Problem("header: sections", message, "put related data into one section."))
                index = None
    return header, index, problems


def _problem(details: ErrorDetails, prefix: tuple[str, ...]) -> Problem:
    location = prefix + tuple(part for part in details["loc"] if part not in _NOISE)
    place = "header: " + _dotted(location) if location else "header"
    key = str(location[-1]) if location else ""
    match details["type"]:
        case "extra_forbidden" | "unexpected_keyword_argument":
            return Problem(place, f"the key {shown(key)} is unknown.", _suggestion(key, location[:-1]))
        case "missing":
            return Problem(place, f"the key {shown(key)} is missing.", f"add `{key}: ...` there.")
        case _:
            return Problem(
                place, f"{details['msg']}; the file says {shown(details['input'])}.", "correct the value."
            )


def _dotted(location: tuple[str | int, ...]) -> str:
    text = ""
    for part in location:
        text += (
            f"[{part}]"
            if isinstance(part, int)
            else f".{part[:_KEY_CHARS_MAX]}"
            if text
            else part[:_KEY_CHARS_MAX]
        )
    return text


def _suggestion(key: str, parent: tuple[str | int, ...]) -> str:
    here = _KEYS.get(tuple(part for part in parent if isinstance(part, str)), frozenset())
    close = difflib.get_close_matches(key, sorted(here), n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    elsewhere = sorted(
        ".".join(path) or "the top level"
        for path, keys in _KEYS.items()
        if key in keys and _LAYERS not in path
    )
    if elsewhere:
        return f"{shown(key)} belongs under {' or '.join(elsewhere)}."
    if parent and parent[0] in _CLOSED:
        return f"remove it; known here are {', '.join(sorted(here))}."
    return f"remove it, or name it {shown('x-' + key)} if it is your own."


def _walk(model: type, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], frozenset[str]]]:
    """Every mapping of the header: its path (list positions left out) and the keys it may have."""
    hints = typing.get_type_hints(model)
    if issubclass(model, BaseModel):
        names = {name for name, field in model.model_fields.items() if field.alias != EXTRAS_KEY}
    else:
        names = {name for name in hints if not name.startswith("_")}
    yield path, frozenset(names)
    for name in names:
        for inner in _mappings_in(hints[name]):
            kind = (inner.model_fields["type"].default,) if issubclass(inner, Spec) else ()
            yield from _walk(inner, (*path, name, *kind))


def _mappings_in(hint: object) -> Iterator[type]:
    if hint in (Capability, PortSpec) or (inspect.isclass(hint) and issubclass(hint, HeaderMapping)):
        yield hint
    for inner in typing.get_args(hint):
        yield from _mappings_in(inner)


_KEYS: dict[tuple[str, ...], frozenset[str]] = dict(_walk(Header, ()))
_KEYS[()] |= {SECTIONS_KEY}
_KEYS[(SECTIONS_KEY,)] = frozenset(IndexEntry.model_fields)
