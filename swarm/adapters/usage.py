"""What agents have taken: a page for each, with the sum over the cells that ended and the cells that live."""

from __future__ import annotations

from dataclasses import dataclass, field

import sandbox
from swarm.ids import Digest
from swarm.wire.messages import Usage

AnyCell = sandbox.Cell | sandbox.EdgeCell
PAGES_MAX = 1_000  # agents a node remembers the usage of


@dataclass(slots=True)
class _Page:
    living: set[AnyCell] = field(default_factory=set)
    ended: list[sandbox.Usage] = field(default_factory=list)  # never more than one: their sum


class UsageBook:
    """Usage by agent, whatever names it."""

    def __init__(self) -> None:
        self._pages: dict[object, _Page] = {}

    def enter(self, agent: object, cell: AnyCell) -> None:
        """A cell of this agent begins; its end is noticed."""
        page = self._pages.setdefault(agent, _Page())
        page.living.add(cell)
        cell.closed.add_done_callback(lambda _: self._ended(page, cell))
        if len(self._pages) > PAGES_MAX:
            for name in [name for name, old in self._pages.items() if not old.living][: PAGES_MAX // 10]:
                del self._pages[name]

    def read(self, agent: object, digest: Digest) -> Usage:
        """All that its cells have taken."""
        page = self._pages.get(agent, _Page())
        total = _sum([*page.ended, *(cell.usage() for cell in page.living)])
        memory = total.memory_peak_bytes or 0
        return Usage(digest, len(page.living), total.cpu_ms, memory, total.bytes_in, total.bytes_out)

    @staticmethod
    def _ended(page: _Page, cell: AnyCell) -> None:
        page.living.discard(cell)
        page.ended = [_sum([*page.ended, cell.usage()])]


def _sum(found: list[sandbox.Usage]) -> sandbox.Usage:
    """Times and bytes add up; of memory, the largest cell counts."""
    times = [usage.cpu_ms for usage in found if usage.cpu_ms is not None]
    return sandbox.Usage(
        cpu_ms=sum(times) if times else None,
        memory_peak_bytes=max((usage.memory_peak_bytes or 0 for usage in found), default=0),
        bytes_in=sum(usage.bytes_in for usage in found),
        bytes_out=sum(usage.bytes_out for usage in found),
    )
