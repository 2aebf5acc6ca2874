"""Large payloads that runs speak of: which a step is given, and which are needed and how long."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from swarm.graph import Items, Ref, has_refs, refs
from swarm.ids import Digest, NodeId, RunId
from swarm.scheduler.placement import affinities
from swarm.scheduler.run import Run

NOWHERE: Final[Mapping[NodeId, float]] = {}


SUBMITTED: Final = -1  # in place of a step: what came with the run


class Mention(NamedTuple):
    """Where a large payload is spoken of: what a step gave, or what was `SUBMITTED`."""

    run: RunId
    step: int


class Needs:
    """Where remembered runs speak of each large payload."""

    def __init__(self) -> None:
        self._mentions: dict[Digest, dict[Mention, None]] = {}

    def __contains__(self, digest: Digest) -> bool:
        return digest in self._mentions

    def __iter__(self) -> Iterator[Digest]:
        return iter(self._mentions)

    def add(self, run: Run, step: int, values: Iterable[Items]) -> None:
        """A step of a run gave these values, or they were `SUBMITTED` with it."""
        if has_refs(values):
            run.refers = True
            mention = Mention(run.submitted.run, step)
            for ref in refs(values):
                self._mentions.setdefault(ref.digest, {})[mention] = None

    def forget(self, run: Run) -> None:
        """A run is remembered no longer."""
        if not run.refers:
            return
        outputs = ((step, record.outputs.values()) for step, record in run.records.items())
        for step, values in ((SUBMITTED, run.submitted.inputs.values()), *outputs):
            for ref in refs(values):
                mentions = self._mentions.get(ref.digest, {})
                mentions.pop(Mention(run.submitted.run, step), None)
                if not mentions:
                    self._mentions.pop(ref.digest, None)

    def mentions(self, digest: Digest) -> Iterable[Mention]:
        """Where this one is spoken of, in the order in which that came to be."""
        return self._mentions.get(digest, {})


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
