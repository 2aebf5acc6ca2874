"""Constants of a node: `with: {port: value}`, and the longer form for what is not plain JSON.

    with: {parts_count: 8}
    with: [{port: image, kind: tensor, base64: VAEB...}, {port: parts_count, json: 8}]

A value becomes a payload of kind json in one way only, so that equal documents give equal graphs.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from typing import Any, Final, TypeAlias

from swarm.doors.document.fields import Section
from swarm.doors.document.text import acceptable
from swarm.graph import Payload, PortName
from swarm.graph.names import PAYLOAD_KINDS

Literal: TypeAlias = tuple[PortName, Payload]

ENTRY_KEYS: Final = ("port", "json", "kind", "base64")


def read_literals(section: Section) -> tuple[Literal, ...]:
    """The constants under `with`, in their order."""
    if "with" in section and isinstance(section["with"].value, list):
        entries = (
            _entry(Section(one, path, section.complaints, ENTRY_KEYS)) for one, path in section.each("with")
        )
        return tuple(entry for entry in entries if entry is not None)
    return tuple(
        (PortName(port), json_payload(found.plain())) for port, found, _ in section.section("with").items()
    )


def written_literals(literals: tuple[Literal, ...]) -> dict[str, Any] | list[dict[str, Any]]:
    """The shortest `with` that means these constants."""
    plain = {port: value for port, payload in literals if (value := _plain(payload)) is not _NOT_PLAIN}
    if len(plain) == len(literals):
        return {str(port): value for port, value in plain.items()}
    return [
        {"port": str(port), "json": plain[port]}
        if port in plain
        else {"port": str(port), "kind": payload.kind, "base64": b64encode(payload.data).decode()}
        for port, payload in literals
    ]


def json_payload(value: Any) -> Payload:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return Payload("json", text.encode())


def _entry(section: Section) -> Literal | None:
    section.require("port", "port: name")
    port = PortName(section.text("port"))
    if "json" in section and "kind" not in section and "base64" not in section:
        return port, json_payload(section["json"].plain())
    for key in ("kind", "base64"):
        section.require(key, "{port, json} or {port, kind, base64}")
    kind = section.choice("kind", {kind: kind for kind in sorted(PAYLOAD_KINDS)}, "bytes")
    try:
        return port, Payload(kind, b64decode(section.text("base64"), validate=True))
    except ValueError as error:
        message = f"not base64: {error}"
        section.complaints.add(section["base64"], section.at("base64"), message, "encode the bytes in base64")
        return None


_NOT_PLAIN = object()


def _plain(payload: Payload) -> Any:
    """The value whose payload this is, if a document can hold it."""
    if payload.kind != "json":
        return _NOT_PLAIN
    try:
        value = json.loads(payload.data)
        same = acceptable(value) and json_payload(value) == payload
    except (ValueError, RecursionError):
        return _NOT_PLAIN
    return value if same else _NOT_PLAIN
