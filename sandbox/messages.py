"""What stands in the bodies of frames: calls with their ports, answers, failures.

Integers are little endian. A `process` call is: capability, number of items, items. An item is a number
of ports; a port is its name, whether it carries many, and its payloads; a payload is its kind, its
length and its bytes, which start at a multiple of 16 so that a tensor can be used where it lies. The
daemon parses answers as hostile input with the same functions: every count and length is checked
against its cap and against the bytes at hand.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sandbox.errors import AgentFailed, Broken, CellError, Exceeded, Refused, clean_text
from sandbox.frames import Data
from sandbox.payload import KINDS, Items, Payload, Ports

ITEMS_MAX: Final = 4096  # in one batch
PORTS_MAX: Final = 64  # of one item
PAYLOADS_MAX: Final = 65536  # on one `many` port
NAME_BYTES_MAX: Final = 400  # of a port or a capability
_CALL: Final = struct.Struct("<IH")
_PORTS: Final = struct.Struct("<BB")
_PORT: Final = struct.Struct("<HBI")
_PAYLOAD: Final = struct.Struct("<BI")
_FAILURE: Final = struct.Struct("<BdIII")
_ALIGN: Final = 16
_PADS: Final = tuple(bytes(n) for n in range(_ALIGN))
_KIND_CODES: Final = {kind: code for code, kind in enumerate(KINDS)}
_OK, _FAILED = 0, 1


class MessageError(ValueError):
    """The bytes of a body are not what they should be."""


class Writer:
    """Collects pieces and knows how many bytes came before, which alignment needs."""

    def __init__(self) -> None:
        self.parts: list[Data] = []
        self.size = 0

    def put(self, data: Data) -> None:
        self.parts.append(data)
        self.size += len(data)

    def payload(self, payload: Payload) -> None:
        kind, data = payload
        pad = -(self.size + _PAYLOAD.size) % _ALIGN
        head = _PAYLOAD.pack(_KIND_CODES[kind], len(data)) + _PADS[pad]
        self.parts += (head, data)
        self.size += len(head) + len(data)

    def ports(self, ports: Ports, flag: int = _OK) -> None:
        if len(ports) > PORTS_MAX:
            raise MessageError(f"{len(ports)} ports, at most {PORTS_MAX}")
        self.put(_PORTS.pack(flag, len(ports)))
        for name, items in ports.items():
            self.port(name, items)

    def port(self, name: str, items: Items) -> None:
        many = isinstance(items, list)
        payloads: Sequence[Payload] = items if isinstance(items, list) else (items,)
        if len(payloads) > PAYLOADS_MAX:
            raise MessageError(f"{len(payloads)} payloads on port {name!r}, at most {PAYLOADS_MAX}")
        text = name.encode()
        if len(text) > NAME_BYTES_MAX:
            raise MessageError(f"a port name of {len(text)} bytes, at most {NAME_BYTES_MAX}")
        self.put(_PORT.pack(len(text), many, len(payloads)) + text)
        for payload in payloads:
            self.payload(payload)


class Reader:
    """Walks a body; raises `MessageError` at the first byte that is out of place."""

    def __init__(self, body: Data) -> None:
        self._view = memoryview(body)
        self._size = len(body)
        self.at = 0

    def take(self, shape: struct.Struct) -> tuple[Any, ...]:
        end = self.at + shape.size
        if end > self._size:
            raise MessageError(f"cut off at byte {self._size}")
        values = shape.unpack_from(self._view, self.at)
        self.at = end
        return values

    def data(self, size: int) -> bytes:
        end = self.at + size
        if end > self._size:
            raise MessageError(f"{size} bytes announced at byte {self.at}, {self._size - self.at} there")
        found = bytes(self._view[self.at : end])
        self.at = end
        return found

    def text(self, size: int) -> str:
        try:
            return self.data(size).decode()
        except UnicodeDecodeError as error:
            raise MessageError("a name is not UTF-8") from error

    def payload(self) -> Payload:
        code, size = self.take(_PAYLOAD)
        if code >= len(KINDS):
            raise MessageError(f"payload kind {code} is unknown")
        self.at += -self.at % _ALIGN
        return KINDS[code], self.data(size)

    def ports(self, count: int) -> dict[str, Items]:
        if count > PORTS_MAX:
            raise MessageError(f"{count} ports, at most {PORTS_MAX}")
        found: dict[str, Items] = {}
        for _ in range(count):
            name_bytes, many, payloads = self.take(_PORT)
            name = self.text(name_bytes)
            if name in found:
                raise MessageError(f"port {name!r} comes twice")
            if payloads > PAYLOADS_MAX or many > 1 or (not many and payloads != 1):
                raise MessageError(f"{payloads} payloads on port {name!r}")
            found[name] = [self.payload() for _ in range(payloads)] if many else self.payload()
        return found

    def finish(self) -> None:
        if self.at != self._size:
            raise MessageError(f"{self._size - self.at} bytes too many")


def write_process(capability: str, batch: Sequence[Ports]) -> list[Data]:
    """The body of a process call."""
    if len(batch) > ITEMS_MAX:
        raise MessageError(f"{len(batch)} items in a batch, at most {ITEMS_MAX}")
    writer = Writer()
    name = capability.encode()
    if len(name) > NAME_BYTES_MAX:
        raise MessageError(f"a capability of {len(name)} bytes, at most {NAME_BYTES_MAX}")
    writer.put(_CALL.pack(len(batch), len(name)) + name)
    for ports in batch:
        writer.ports(ports)
    return writer.parts


def read_process(body: Data) -> tuple[str, list[dict[str, Items]]]:
    """Inverse of `write_process`."""
    reader = Reader(body)
    items, name_bytes = reader.take(_CALL)
    if items > ITEMS_MAX:
        raise MessageError(f"{items} items, at most {ITEMS_MAX}")
    capability = reader.text(name_bytes)
    batch = []
    for _ in range(items):
        _, ports = reader.take(_PORTS)
        batch.append(reader.ports(ports))
    reader.finish()
    return capability, batch


def write_results(results: Sequence[Mapping[str, Items] | CellError]) -> list[Data]:
    """The body of the answer to a process call: per item its ports or its failure."""
    writer = Writer()
    for result in results:
        if isinstance(result, CellError):
            writer.put(_PORTS.pack(_FAILED, 0))
            writer.put(b"".join(write_failure(result)))
        else:
            writer.ports(result)
    return writer.parts


def read_results(body: Data, count: int) -> list[dict[str, Items] | CellError]:
    """Inverse of `write_results` for a batch of `count`."""
    reader = Reader(body)
    results: list[dict[str, Items] | CellError] = []
    for _ in range(count):
        flag, ports = reader.take(_PORTS)
        if flag == _OK:
            results.append(reader.ports(ports))
        elif flag == _FAILED:
            results.append(_failure(reader))
        else:
            raise MessageError(f"result flag {flag} is unknown")
    reader.finish()
    return results


def write_items(items: Items) -> list[Data]:
    """The body that carries one port's worth of payloads."""
    writer = Writer()
    writer.port("", items)
    return writer.parts


def read_items(body: Data) -> Items:
    """Inverse of `write_items`."""
    reader = Reader(body)
    items = reader.ports(1)
    reader.finish()
    if set(items) != {""}:
        raise MessageError("exactly one nameless port is expected")
    return items[""]


def write_load(kind: str, name: str, manifest: Mapping[str, Any], code: bytes) -> list[Data]:
    """The body that brings an agent into a cell."""
    about = json.dumps({"kind": kind, "name": name, "manifest": dict(manifest)}).encode()
    return [struct.pack("<I", len(about)), about, code]


def read_load(body: Data) -> tuple[str, str, dict[str, Any], bytes]:
    """Inverse of `write_load`."""
    reader = Reader(body)
    (size,) = reader.take(struct.Struct("<I"))
    about = json.loads(reader.data(size))
    return about["kind"], about["name"], about["manifest"], reader.data(len(body) - reader.at)


# Only these four cross the wall; a code has one meaning on both sides.
_AGENT_FAILED, _BROKEN, _EXCEEDED, _REFUSED = range(4)
_TEXT_BYTES_MAX: Final = 16 << 10


def write_failure(error: CellError) -> list[Data]:
    """The body that tells why a call, or one item of it, has no answer."""
    message, value, asked = error.message, 0.0, ""
    match error:
        case Exceeded():
            code, message, value, asked = _EXCEEDED, error.limit, float(error.value), str(error.asked)
        case Broken():
            code = _BROKEN
        case AgentFailed():
            code = _AGENT_FAILED
        case _:
            code = _REFUSED
    texts = [text.encode(errors="replace")[:_TEXT_BYTES_MAX] for text in (message, error.place, asked)]
    return [_FAILURE.pack(code, value, *map(len, texts)), *texts]


def _failure(reader: Reader) -> CellError:
    kind, value, *sizes = reader.take(_FAILURE)
    code = int(kind)
    if max(sizes) > _TEXT_BYTES_MAX:
        raise MessageError(f"a text of {max(sizes)} bytes, at most {_TEXT_BYTES_MAX}")
    texts = (clean_text(reader.data(size).decode(errors="replace")) for size in sizes)
    message, place, asked = texts
    match code:
        case 0:
            return AgentFailed(message, place=place)
        case 1:
            return Broken(message, place=place)
        case 2:
            return Exceeded(message, value, asked, place=place)
        case 3:
            return Refused(message, place=place)
        case _:
            raise MessageError(f"failure code {code} is unknown")


def read_failure(body: Data) -> CellError:
    """Inverse of `write_failure`; the texts are a stranger's and arrive cleaned."""
    reader = Reader(body)
    error = _failure(reader)
    reader.finish()
    return error
