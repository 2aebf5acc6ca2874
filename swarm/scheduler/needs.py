"""Large payloads that runs speak of: which a step is given, and which are needed and how long."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from swarm.graph import Items, Ref, has_refs, refs
from swarm.ids import Digest, NodeId
from swarm.scheduler.placement import affinities
from swarm.scheduler.run import Run

NOWHERE: Final[Mapping[NodeId, float]] = {}


class Needs:
    """How often remembered runs speak of each large payload."""

    def __init__(self) -> None:
        self._count: dict[Digest, int] = {}

    def __contains__(self, digest: Digest) -> bool:
        return digest in self._count

    def add(self, run: Run, values: Iterable[Items]) -> None:
        """A run has these values now."""
        if has_refs(values):
            run.refers = True
            for ref in refs(values):
                self._count[ref.digest] = self._count.get(ref.digest, 0) + 1

    def forget(self, run: Run) -> None:
        """A run is remembered no longer."""
        if not run.refers:
            return
        outputs = (record.outputs.values() for record in run.records.values())
        for values in (run.submitted.inputs.values(), *outputs):
            for ref in refs(values):
                self._count[ref.digest] -= 1
                if not self._count[ref.digest]:
                    del self._count[ref.digest]


def large_inputs(run: Run, step: int) -> Iterator[Ref]:
    """What a step is given by reference; nothing to look for in nearly every run."""
    if not run.refers:
        return iter(())
    given: list[Items] = [run.submitted.inputs[feed] for _, feed in run.plan.feeds[step]]
    for source, out_port, _, _, _ in run.plan.incoming[step]:
        record = run.records.get(source)
        if record is not None and (items := record.outputs.get(out_port)) is not None:
            given.append(items)
    return refs(given)


def near(run: Run, step: int) -> Mapping[NodeId, float]:
    """How near each node is to what a step is given; nothing to look for where that comes from nowhere."""
    if not run.refers and not run.plan.incoming[step]:
        return NOWHERE
    return affinities(run.sources(step), large_inputs(run, step))
