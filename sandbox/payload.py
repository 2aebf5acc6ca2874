"""What crosses the wall of a cell: bytes with a kind, or a list of such on a port that carries many."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

Payload: TypeAlias = tuple[str, bytes]
Items: TypeAlias = Payload | list[Payload]
Ports: TypeAlias = Mapping[str, Items]

KINDS: Final = ("json", "tensor", "bytes")


def json_payload(value: Any) -> Payload:
    """Pack a value as JSON text; NaN and infinities are no JSON and raise `ValueError`."""
    return "json", json.dumps(value, allow_nan=False, separators=(",", ":"), ensure_ascii=False).encode()


def parse_json(data: bytes) -> Any:
    """Read JSON text a stranger wrote; raises `ValueError` for anything that is not strict JSON."""
    try:
        return json.loads(data, parse_constant=_no_constant)
    except RecursionError as error:
        raise ValueError("JSON is nested too deeply") from error


def _no_constant(name: str) -> None:
    message = f"{name} is not JSON"
    raise ValueError(message)
