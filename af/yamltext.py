"""YAML for headers from strangers: a subset that can neither surprise nor exhaust the reader.

Accepted: one document of mappings with text keys, lists, texts, finite numbers, booleans and null. Refused:
aliases (a few lines of them expand to gigabytes), explicit tags, duplicate keys, merge keys, dates (they stay
text), numbers beyond 64 bits, deep nesting. Two passes: the events are counted first, so nothing is built
from a text that is too big; only then is the tree made.
"""

import math
from collections.abc import Hashable, Mapping
from typing import TypeAlias

import yaml

from af.errors import AfRefused, refused, shown
from af.limits import HEADER_BYTES_MAX, HEADER_DEPTH_MAX, HEADER_NODES_MAX

_Mark: TypeAlias = yaml.Mark | yaml._yaml.Mark  # noqa: SLF001 - the C loader has marks of its own

_INT64_MAX = 2**63 - 1
_INT64_MIN = -(2**63)


class _Loader(yaml.CSafeLoader):
    """The safe loader without dates and merge keys, and with the checks that need a node's place."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise refused(
                    _place(key_node.start_mark),
                    f"the key {shown(key)} is not text.",
                    "put the key in quotes.",
                )
            if key in seen:
                raise refused(
                    _place(key_node.start_mark),
                    f"the key {shown(key)} appears twice.",
                    "keep one of the two.",
                )
            seen.add(key)
        return super().construct_mapping(node, deep=deep)

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        value = int(super().construct_yaml_int(node))
        if not _INT64_MIN <= value <= _INT64_MAX:
            raise refused(_place(node.start_mark), "a whole number beyond 64 bits.", "write it as text.")
        return value

    def construct_yaml_float(self, node: yaml.ScalarNode) -> float:
        value = float(super().construct_yaml_float(node))
        if not math.isfinite(value):
            raise refused(_place(node.start_mark), "a number that is not finite.", "write a finite number.")
        return value


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_yaml_float)
_UNWANTED_TAGS = frozenset({"tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:merge"})
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _UNWANTED_TAGS]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


class _Dumper(yaml.SafeDumper):
    """The pure Python dumper, whose output does not depend on a C library; never writes an alias."""

    def ignore_aliases(self, data: object) -> bool:
        del data
        return True

    def serialize(self, node: yaml.Node) -> None:
        if isinstance(node, yaml.MappingNode):
            node.flow_style = False  # of the outermost mapping only: one key per line
        super().serialize(node)


def load_mapping(data: bytes) -> dict[str, object]:
    """The mapping a header text holds; AfRefused with line and column otherwise."""
    if len(data) > HEADER_BYTES_MAX:
        raise refused(
            "header",
            f"it has {len(data)} bytes, the most is {HEADER_BYTES_MAX}.",
            "move bulk data into a binary section.",
        )
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise refused(
            f"header, byte {error.start}", "it is not UTF-8 text.", "save the header as UTF-8."
        ) from None
    try:
        _count_events(text)
        loaded: object = yaml.load(text, Loader=_Loader)  # noqa: S506 - _Loader is the safe loader, narrowed
    except yaml.MarkedYAMLError as error:
        raise refused(
            _place(error.problem_mark or error.context_mark),
            f"{error.problem or error.context}.",
            "repair the YAML there.",
        ) from None
    except yaml.reader.ReaderError as error:
        place = f"header, character {error.position}"
        raise refused(
            place, "a character that YAML does not allow.", "remove it; bulk data goes into sections."
        ) from None
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        raise refused("header", f"it is not readable YAML ({error}).", "repair the header text.") from None
    if not isinstance(loaded, dict):
        raise refused("header", "it is not a mapping of keys to values.", "start with `version: '1.0'`.")
    return loaded


def dump_mapping(mapping: Mapping[str, object]) -> bytes:
    """The one text of a mapping: same mapping in the same order, same bytes."""
    text = yaml.dump(
        dict(mapping),
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=None,
        width=110,
    )
    return text.encode("utf-8")


def _count_events(text: str) -> None:
    depth = nodes = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        match event:
            case yaml.AliasEvent():
                raise _event_error(event, "an alias", "write the value out")
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                depth += 1
                nodes += 1
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                depth -= 1
            case yaml.ScalarEvent():
                nodes += 1
            case _:
                continue
        if isinstance(event, yaml.NodeEvent) and getattr(event, "tag", None) is not None:
            raise _event_error(event, f"an explicit tag {shown(event.tag)}", "leave the tag out")
        if depth > HEADER_DEPTH_MAX:
            raise _event_error(event, f"nesting deeper than {HEADER_DEPTH_MAX}", "flatten it")
        if nodes > HEADER_NODES_MAX:
            raise _event_error(event, f"more than {HEADER_NODES_MAX} values", "move bulk data into a section")


def _event_error(event: yaml.Event, message: str, remedy: str) -> AfRefused:
    return refused(_place(event.start_mark), f"{message} is not allowed in a header.", f"{remedy}.")


def _place(mark: _Mark | None) -> str:
    return "header" if mark is None else f"header, line {mark.line + 1}, column {mark.column + 1}"
