"""Do the recorded results of a run hold? Every signature and every hash, worked out again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from swarm.graph import Bond, Items
from swarm.scheduler.run import Run
from swarm.trust.results import Key, fault


class Checked(NamedTuple):
    """One recorded result. `fault` is empty where it holds."""

    step: str
    node: str
    fault: str


def check_run(run: Run, keys: Sequence[Key]) -> Iterator[Checked]:
    """Every step that gave a result, in the order of the log."""
    by_node: dict[str, list[Key]] = {}
    for key in keys:
        by_node.setdefault(key.node, []).append(key)
    for step in run.order:
        record = run.records[step]
        if not record.ok:
            continue
        node = run.graph.nodes[step]
        about = (record.run, step, str(node.capability))
        possible = list(_possible(run, step))
        known = by_node.get(record.node, [])
        why = fault(record.signature, about, possible, record.outputs, known, record.started_ms)
        yield Checked(node.name, record.node, why)


def _possible(run: Run, step: int) -> Iterator[Mapping[str, Items]]:
    """What the step can have been given: loose inputs come in the order of the log, and it may not wait."""
    incoming = run.plan.incoming[step]
    ports = frozenset(port for _, _, port, _, _ in incoming) | {port for port, _ in run.plan.feeds[step]}
    place = {source: at for at, source in enumerate(run.order)}
    own = place[step]
    late = sorted(
        {
            source
            for source, _, _, bond, _ in incoming
            if bond in (Bond.LOOSE, Bond.OBSERVE) and source in place and place[source] < own
        },
        key=place.__getitem__,
    )
    after = {source for source in place if place[source] > own}
    for count in range(len(late), -1, -1):
        yield run.inputs(step, ports, without=after | set(late[count:]))
