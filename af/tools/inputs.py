"""The inputs of one `af-run`, one after the other, without ever holding more than one piece of a file.

A `.json` file and an image are one input each. The rows of a `.csv` or `.npy` file are one input together, or
with `--batch N` one input for every N rows, read as they are needed. `-` is standard input: a line of JSON is
an input, and a line that cannot be used is reported and passed over.
"""

import io
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np

from af.errors import AfError, AfRefused, refused
from af.records import Capability
from af.tools.console import INPUT_BYTES_MAX
from af.tools.images import IMAGE_SUFFIXES, read_image
from af.tools.values import Values, as_input, json_values, read_values

STDIN = "-"
BATCH_MAX = 4096

_LINE_BYTES_MAX = 16 * 1024 * 1024
_ROW_FILES = frozenset({".csv", ".npy"})


@dataclass(frozen=True, slots=True)
class Input:
    """One input, or why there is none, and where it came from."""

    place: str
    values: Values | AfError


def read_inputs(
    sources: Sequence[str], capability: Capability, lines: TextIO, *, rows: int | None, white: float
) -> Iterator[Input]:
    """Every input of all sources in order. A file that cannot be used ends them: AfRefused."""
    for source in sources:
        path = Path(source)
        if source == STDIN:
            yield from _lines(lines, capability)
        elif path.suffix in IMAGE_SUFFIXES:
            yield Input(source, read_image(path, capability, white))
        elif rows is not None and path.suffix in _ROW_FILES:
            yield from _pieces(path, capability, rows)
        else:
            yield Input(source, read_values(path, capability))


def in_batches(inputs: Iterable[Input], size: int) -> Iterator[list[Input]]:
    """Up to `size` inputs at a time."""
    iterator = iter(inputs)
    while batch := list(itertools.islice(iterator, size)):
        yield batch


def _lines(lines: TextIO, capability: Capability) -> Iterator[Input]:
    number = 0
    while line := lines.readline(_LINE_BYTES_MAX):
        number += 1
        place = f"standard input, line {number}"
        if len(line) >= _LINE_BYTES_MAX:
            raise refused(place, f"it has more than {_LINE_BYTES_MAX} characters.", "split the input.")
        if not line.strip():
            continue
        try:
            yield Input(place, json_values(line, capability, place))
        except AfRefused as error:
            yield Input(place, error)


def _pieces(path: Path, capability: Capability, rows: int) -> Iterator[Input]:
    try:
        blocks = _array_blocks(path, rows) if path.suffix == ".npy" else _text_blocks(path, rows)
        first = 1
        for block in blocks:
            place = f"{path}, rows {first} to {first + len(block) - 1}"
            yield Input(place, as_input(capability, block, place))
            first += len(block)
    except OSError as error:
        raise refused(str(path), f"it is not readable ({error.strerror}).", "correct the path.") from None
    except (ValueError, EOFError) as error:
        message = f"it is not readable as {path.suffix[1:]} ({error})."
        raise refused(str(path), message, "correct it.") from None


def _array_blocks(path: Path, rows: int) -> Iterator[np.ndarray[tuple[int, ...], np.dtype[np.generic]]]:
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if not isinstance(array, np.memmap) or array.ndim < 1:
        message = "it holds no array with rows"
        raise ValueError(message)
    for start in range(0, len(array), rows):
        yield np.array(array[start : start + rows])


def _text_blocks(path: Path, rows: int) -> Iterator[np.ndarray[tuple[int, ...], np.dtype[np.generic]]]:
    with path.open(encoding="utf-8") as file:
        while lines := list(itertools.islice(iter(lambda: file.readline(_LINE_BYTES_MAX), ""), rows)):
            if sum(map(len, lines)) > INPUT_BYTES_MAX:
                message = f"{rows} rows have more than {INPUT_BYTES_MAX} characters"
                raise ValueError(message)
            if any(line.strip() for line in lines):
                yield np.loadtxt(io.StringIO("".join(lines)), delimiter=",", ndmin=2)
