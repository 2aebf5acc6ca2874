"""Why a file is refused, with the line or the bytes in question and the page of the specification."""

import re
from dataclasses import dataclass

import yaml

from af.agentfile import header_end, parse
from af.check import check
from af.errors import AfRefused, Problem
from af.yamltext import load_mapping

_LINE = re.compile(r"^header, line ([0-9]+), column ([0-9]+)")
_KEY = re.compile(r"^header: ([A-Za-z0-9_.\[\]-]+)")
_STEP = re.compile(r"([^.\[\]]+)|\[([0-9]+)\]")
_BYTE = re.compile(r"byte ([0-9]+)$")
_LINE_CHARS_MAX = 100
_BYTES_SHOWN = 32

# The heading in SPEC.md under which the rule stands, by how the place begins.
_RULES = (
    ("header: capabilities", "Capabilities"),
    ("header: workflows", "Workflows"),
    ("header: neural_config", "neural"),
    ("header: signature", "Signature"),
    ("header: sections", "Container"),
    ("header", "Header"),
    ("sections", "Container"),
    ("section neural_weights", "neural"),
    ("section training_data", "neural"),
    ("section python_module", "python"),
    ("section wasm_module", "wasm"),
    ("section", "Container"),
    ("file", "Container"),
)


@dataclass(frozen=True, slots=True)
class Explanation:
    """A problem, the part of the file it is about (lines to show), and the heading of the rule."""

    problem: Problem
    excerpt: tuple[str, ...]
    rule: str


def explain(data: bytes) -> list[Explanation]:
    """Everything that is wrong with a file's bytes; empty if nothing is."""
    try:
        problems = check(parse(data))
    except AfRefused as error:
        problems = list(error.problems)
    return [
        Explanation(problem, tuple(_excerpt(data, problem.place)), _rule(problem.place))
        for problem in problems
    ]


def _rule(place: str) -> str:
    return next((rule for start, rule in _RULES if place.startswith(start)), "Container")


def _excerpt(data: bytes, place: str) -> list[str]:
    header = data[: header_end(data)]
    match = _LINE.match(place)
    if match is not None:
        return _line(header, int(match[1]), int(match[2]))
    match = _KEY.match(place)
    if match is not None:
        return _key_line(header, match[1])
    match = _BYTE.search(place)
    return [] if match is None else _hexadecimal(data, int(match[1]))


def _line(header: bytes, line: int, column: int | None = None) -> list[str]:
    lines = header.split(b"\n")
    if not 1 <= line <= len(lines):
        return []
    text = "".join(c if c.isprintable() else "?" for c in lines[line - 1].decode("utf-8", "replace"))
    shown = f"{line:>5} | {text[:_LINE_CHARS_MAX]}"
    if column is None or column > _LINE_CHARS_MAX:
        return [shown]
    return [shown, " " * 8 + " " * (column - 1) + "^"]


def _key_line(header: bytes, path: str) -> list[str]:
    """The line of a key, or of the nearest mapping around it that is there."""
    try:
        load_mapping(header)  # refuses what would be costly to compose
        node = yaml.compose(header.decode("utf-8"), Loader=yaml.CSafeLoader)
    except (AfRefused, yaml.YAMLError):
        return []
    mark = None
    for name, position in _STEP.findall(path):
        found = _child(node, name, position)
        if found is None:
            break
        key, node = found
        mark = key.start_mark
    return [] if mark is None else _line(header, mark.line + 1, mark.column + 1)


def _child(node: yaml.Node | None, name: str, position: str) -> tuple[yaml.Node, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode) and name:
        return next(((key, value) for key, value in node.value if key.value == name), None)
    if isinstance(node, yaml.SequenceNode) and position and int(position) < len(node.value):
        return node.value[int(position)], node.value[int(position)]
    return None


def _hexadecimal(data: bytes, offset: int) -> list[str]:
    piece = data[offset : offset + _BYTES_SHOWN]
    if not piece:
        return [f"the file ends at byte {len(data)}"]
    text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in piece)
    return [f"byte {offset}: {piece.hex(' ')}", f"{' ' * len(f'byte {offset}: ')}{text}"]
