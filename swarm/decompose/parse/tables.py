"""Tables of steps: CSV with a heading, one step per row; its needs in one cell, apart by blanks or `;|,`."""

from __future__ import annotations

import csv
import io
import re
from typing import Final

from swarm.errors import Mistake

COLUMNS_MAX: Final = 256
_NEEDS: Final = frozenset({"depends_on", "dependson", "needs", "after", "dependencies", "parents"})
_SEPARATOR: Final = re.compile(r"[\s;|,]+")


def parse_table(source: str) -> list[dict[str, object]]:
    """One mapping per row by the names of the heading; empty cells are left out; raises Mistake."""
    try:
        dialect = csv.Sniffer().sniff(source.splitlines()[0], ",;\t|") if source.strip() else csv.excel
    except csv.Error:  # one column
        dialect = csv.excel
    reader = csv.reader(io.StringIO(source), dialect, strict=True)
    try:
        rows = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise Mistake(
            f"this is no table: {error}", place=f"line {reader.line_num}", remedy="correct it"
        ) from None
    if len(rows) < 2 or len(rows[0][1]) > COLUMNS_MAX:
        raise Mistake(
            "it has no heading and rows", place="line 1", remedy="write id,action,depends_on, then the steps"
        )
    heading = [cell.strip().lower() for cell in rows[0][1]]
    found: list[dict[str, object]] = []
    for line, row in rows[1:]:
        if len(row) > len(heading):
            raise Mistake(
                f"{len(row)} cells under {len(heading)} names", place=f"line {line}", remedy="quote the cells"
            )
        record: dict[str, object] = {}
        for name, cell in zip(heading, (cell.strip() for cell in row), strict=False):
            if cell:
                record[name] = [each for each in _SEPARATOR.split(cell) if each] if name in _NEEDS else cell
        found.append(record)
    return found
