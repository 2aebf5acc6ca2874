"""Cuts tensors and lists into parts of even length, in order, and puts parts together again."""

from itertools import pairwise

import numpy as np

SPLIT, JOIN = "rows:split", "rows:join"
PARTS_COUNT_MAX = 1024


class Agent:
    """Stateless: the same input always gives the same parts, and joining them gives the input."""

    def process_input(self, capability: str, inputs: dict) -> dict:
        if capability == SPLIT:
            return {"parts": split(inputs["rows"], inputs["parts_count"])}
        if capability == JOIN:
            return {"rows": join(inputs["parts"])}
        raise ValueError(f"capability {capability!r} is not offered; ask for {SPLIT!r} or {JOIN!r}")

    def get_metadata(self) -> dict:
        return {"capabilities": [SPLIT, JOIN], "parts_count_max": PARTS_COUNT_MAX}


def split(rows, count) -> list:
    if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= PARTS_COUNT_MAX:
        raise ValueError(f"parts_count: {count!r} is not a whole number from 1 to {PARTS_COUNT_MAX}")
    if isinstance(rows, np.ndarray) and rows.ndim:
        return [np.ascontiguousarray(part) for part in np.array_split(rows, count)]
    if not isinstance(rows, list):
        raise ValueError("rows: this is neither a tensor with rows nor a list")  # noqa: TRY004 - one kind of error
    longer = len(rows) % count  # parts that get one more than the others, as numpy deals them
    ends = [part * (len(rows) // count) + min(part, longer) for part in range(count + 1)]
    return [rows[start:end] for start, end in pairwise(ends)]


def join(parts: list):
    if parts and all(isinstance(part, np.ndarray) and part.ndim for part in parts):
        return np.concatenate(parts)
    if all(isinstance(part, list) for part in parts):
        return [row for part in parts for row in part]
    raise ValueError("parts: they are not all tensors with rows, nor all lists")
