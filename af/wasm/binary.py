"""Just enough of the WebAssembly binary format to add a data segment without passing it through text."""

from collections.abc import Iterator

MAGIC = b"\x00asm\x01\x00\x00\x00"
COMPONENT_MAGIC = b"\x00asm\x0d\x00\x01\x00"

_CUSTOM_SECTION = 0
_DATA_SECTION = 11
_I32_CONST = b"\x41"
_END = b"\x0b"


def with_data(module: bytes, address: int, data: bytes) -> bytes:
    """The module, so far without data, with one segment that instantiation copies to `address`."""
    assert module.startswith(MAGIC)
    kept = [(number, body) for number, body in _sections(module) if number != _CUSTOM_SECTION]
    assert all(number < _DATA_SECTION for number, _ in kept)
    segment = b"\x00" + _I32_CONST + _signed(address) + _END + _unsigned(len(data)) + data
    kept.append((_DATA_SECTION, _unsigned(1) + segment))
    return MAGIC + b"".join(bytes([number]) + _unsigned(len(body)) + body for number, body in kept)


def _sections(module: bytes) -> Iterator[tuple[int, bytes]]:
    position = len(MAGIC)
    while position < len(module):
        number = module[position]
        size, start = _read_unsigned(module, position + 1)
        position = start + size
        yield number, module[start:position]


def _unsigned(number: int) -> bytes:
    """LEB128: seven bits per byte, the lowest first."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _signed(number: int) -> bytes:
    assert number >= 0
    # A final byte with bit 6 set would read as negative; one more zero byte prevents it.
    encoded = bytearray(_unsigned(number))
    if encoded[-1] & 0x40:
        encoded[-1] |= 0x80
        encoded.append(0)
    return bytes(encoded)


def _read_unsigned(module: bytes, position: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = module[position]
        position += 1
        number |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return number, position
