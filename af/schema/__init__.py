"""The JSON Schema of the header, made from the models that read it.

The published text lies beside this module as `af-1.0.json`. An editor that speaks to a YAML language server
uses it when the first line of a file says

    # yaml-language-server: $schema=https://raw.githubusercontent.com/.../af/schema/af-1.0.json

or a path to the file. The schema knows every key, type and bound of one mapping; what several keys must agree
on (sizes of weights, the order of steps) is for `af-compile --check`.
"""

import json
from pathlib import Path

from pydantic import JsonValue
from pydantic.json_schema import models_json_schema

from af.header import Header
from af.headertext import SECTIONS_KEY
from af.interchange import TENSORS_KEY
from af.limits import SECTIONS_MAX
from af.mappings import EXTRAS_KEY
from af.sections import IndexEntry
from af.source import SOURCE_KEYS, SOURCES_KEY

SCHEMA_FILE = Path(__file__).with_name("af-1.0.json")

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_OWN_KEYS: dict[str, JsonValue] = {"^x-": True}


def header_schema() -> dict[str, JsonValue]:
    """The schema of a header, and of the YAML source of one."""
    references, document = models_json_schema([(Header, "validation"), (IndexEntry, "validation")])
    definitions: dict[str, dict[str, JsonValue]] = document["$defs"]
    for definition in definitions.values():
        _open_for_own_keys(definition)
    header = definitions.pop("Header")
    properties = header["properties"]
    assert isinstance(properties, dict)
    properties[SECTIONS_KEY] = {
        "type": "array",
        "items": dict(references[IndexEntry, "validation"]),
        "maxItems": SECTIONS_MAX,
        "description": "The index of the binary sections, in their order; written by the compiler.",
    }
    properties[SOURCES_KEY] = {
        "type": "object",
        "properties": {key: {"type": "string"} for key in SOURCE_KEYS},
        "additionalProperties": False,
        "description": "In the YAML source of a new file only: the files its sections are built from.",
    }
    properties[TENSORS_KEY] = {
        "type": "array",
        "items": {"type": "string"},
        "description": "In the YAML source beside imported weights only: whose weights are whose, in order.",
    }
    facts: dict[str, JsonValue] = {"$schema": _DIALECT, "title": "Agent file header, version 1.0"}
    rest = {key: value for key, value in header.items() if key != "title"}
    ordered: dict[str, JsonValue] = {name: definitions[name] for name in sorted(definitions)}
    return {**facts, **rest, "$defs": ordered}


def schema_text() -> str:
    """The text of the published file."""
    return json.dumps(header_schema(), indent=1, ensure_ascii=False) + "\n"


def _open_for_own_keys(definition: dict[str, JsonValue]) -> None:
    """A mapping that gathers its `x-` keys in one field says so the way JSON Schema does."""
    properties = definition.get("properties")
    if isinstance(properties, dict) and properties.pop(EXTRAS_KEY, None) is not None:
        definition["patternProperties"] = _OWN_KEYS
