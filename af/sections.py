"""Binary sections: what the index says of each, how bytes are stored, and how they are read back safely.

A section is stored raw or as one LZ4 block, optionally byte-shuffled first (all first bytes of the items,
then all second bytes, ...), which is what makes floats compress at all. The index entry carries both sizes
and the SHA-256 of the stored bytes, so that a reader refuses a damaged section before it inflates anything,
and never inflates more than was announced and allowed.
"""

import hashlib
import math
from dataclasses import dataclass
from typing import Annotated, Literal

import lz4.block
import numpy as np
from pydantic import BaseModel, ConfigDict, Field, Strict, StringConstraints

from af.errors import Problem, refused
from af.header import Sha256
from af.limits import LZ4_RATIO_MAX, RAW_BYTES_TOTAL_MAX, SECTION_RAW_BYTES_MAX, SHAPE_RANK_MAX
from af.records import DTypeName, Extent

Codec = Literal["none", "lz4"]
SectionName = Annotated[str, Strict(), StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
ByteCount = Annotated[int, Strict(), Field(ge=0, le=SECTION_RAW_BYTES_MAX)]
Shape = Annotated[tuple[Extent, ...], Field(max_length=SHAPE_RANK_MAX)]

ITEM_BYTES: dict[str, int] = {
    **dict.fromkeys(("u8", "i8", "bool"), 1),
    **dict.fromkeys(("u16", "i16"), 2),
    **dict.fromkeys(("u32", "i32", "f32"), 4),
    **dict.fromkeys(("u64", "i64", "f64"), 8),
}

_LZ4_BLOCK_SLACK_BYTES = 64


class IndexEntry(BaseModel):
    """One line of the header's `sections:` index."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: SectionName
    codec: Codec
    shuffle: Annotated[bool, Strict()] = False
    dtype: DTypeName | None = None
    shapes: tuple[Shape, ...] = ()
    stored_bytes: ByteCount
    raw_bytes: ByteCount
    sha256: Sha256


@dataclass(frozen=True, slots=True)
class Section:
    """One binary section: its index entry, the bytes as stored, and the same bytes inflated."""

    entry: IndexEntry
    stored: bytes
    data: bytes

    @property
    def name(self) -> str:
        return self.entry.name


def encode_section(
    name: str,
    data: bytes,
    *,
    codec: Codec = "none",
    shuffle: bool = False,
    dtype: DTypeName | None = None,
    shapes: tuple[tuple[int, ...], ...] = (),
) -> Section:
    """A section ready to be written. Shuffling needs a dtype: it goes by the size of one item."""
    if len(data) > SECTION_RAW_BYTES_MAX:
        message = f"it has {len(data)} bytes, the most is {SECTION_RAW_BYTES_MAX}."
        raise refused(f"section {name}", message, "split the data or leave some out.")
    if shuffle and dtype is None:
        raise refused(f"section {name}", "shuffle is set without a dtype.", "name the dtype of the items.")
    stored = _shuffle(data, ITEM_BYTES[dtype]) if shuffle and dtype is not None else data
    if codec == "lz4":
        stored = lz4.block.compress(stored, mode="high_compression", store_size=False)
    entry = IndexEntry(
        name=name,
        codec=codec,
        shuffle=shuffle,
        dtype=dtype,
        shapes=shapes,
        stored_bytes=len(stored),
        raw_bytes=len(data),
        sha256=hashlib.sha256(stored).hexdigest(),
    )
    return Section(entry, stored, data)


def index_problems(entries: tuple[IndexEntry, ...]) -> list[Problem]:
    """What is wrong with an index before a byte of any section is read."""
    problems = [problem for entry in entries for problem in _entry_problems(entry)]
    names = [entry.name for entry in entries]
    problems += [
        Problem(f"sections: {name}", "the name appears twice.", "give each section its own name.")
        for name in sorted({name for name in names if names.count(name) > 1})
    ]
    total_bytes = sum(entry.raw_bytes for entry in entries)
    if total_bytes > RAW_BYTES_TOTAL_MAX:
        message = f"all sections together have {total_bytes} bytes, the most is {RAW_BYTES_TOTAL_MAX}."
        problems.append(Problem("sections", message, "leave training data out of the file."))
    return problems


def decode_section(entry: IndexEntry, stored: bytes, offset_bytes: int) -> Section:
    """The section at `offset_bytes` of the file, verified and inflated; AfRefused otherwise."""
    place = f"section {entry.name}, byte {offset_bytes}"
    digest = hashlib.sha256(stored).hexdigest()
    if digest != entry.sha256:
        raise refused(
            place,
            f"its bytes are damaged: their sha256 should be {entry.sha256[:12]}... and is {digest[:12]}...",
            "fetch the file again from its author.",
        )
    data = stored
    if entry.codec == "lz4":
        try:
            data = lz4.block.decompress(stored, uncompressed_size=entry.raw_bytes)
        except lz4.block.LZ4BlockError as error:
            raise refused(
                place, f"its LZ4 block is not readable ({error}).", "write the file again."
            ) from None
    if len(data) != entry.raw_bytes:
        message = f"it holds {len(data)} bytes, the index says raw_bytes {entry.raw_bytes}."
        raise refused(place, message, "write the file again.")
    if entry.shuffle and entry.dtype is not None:
        data = _unshuffle(data, ITEM_BYTES[entry.dtype])
    return Section(entry, stored, data)


def _entry_problems(entry: IndexEntry) -> list[Problem]:
    place = f"sections: {entry.name}"
    problems = []
    if entry.codec == "none" and entry.stored_bytes != entry.raw_bytes:
        message = f"codec none, but stored_bytes {entry.stored_bytes} and raw_bytes {entry.raw_bytes} differ."
        problems.append(Problem(place, message, "make the two equal."))
    if entry.codec == "lz4" and entry.raw_bytes > entry.stored_bytes * LZ4_RATIO_MAX + _LZ4_BLOCK_SLACK_BYTES:
        message = f"{entry.stored_bytes} LZ4 bytes cannot hold {entry.raw_bytes} bytes."
        problems.append(Problem(place, message, "write the true raw_bytes."))
    if entry.dtype is None:
        if entry.shuffle or entry.shapes:
            problems.append(Problem(place, "shuffle and shapes need a dtype.", "name the dtype."))
        return problems
    item_bytes = ITEM_BYTES[entry.dtype]
    if entry.raw_bytes % item_bytes:
        message = f"raw_bytes {entry.raw_bytes} is not a multiple of {entry.dtype}'s {item_bytes} bytes."
        problems.append(Problem(place, message, "correct the dtype or the size."))
    shaped_bytes = item_bytes * sum(math.prod(shape) for shape in entry.shapes)
    if entry.shapes and shaped_bytes != entry.raw_bytes:
        message = f"its shapes make {shaped_bytes} bytes, raw_bytes says {entry.raw_bytes}."
        problems.append(Problem(place, message, "correct the shapes or the size."))
    return problems


def _shuffle(data: bytes, item_bytes: int) -> bytes:
    return np.frombuffer(data, np.uint8).reshape(-1, item_bytes).T.tobytes()


def _unshuffle(data: bytes, item_bytes: int) -> bytes:
    return np.frombuffer(data, np.uint8).reshape(item_bytes, -1).T.tobytes()
