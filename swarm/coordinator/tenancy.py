"""What a policy has to say about a submission: is there room for it, and may its data go where it would?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from swarm import limits
from swarm.errors import Problem, QueueFull
from swarm.graph import PLAIN, Graph
from swarm.ports import Clock
from swarm.scheduler.ledger import Ledger
from swarm.scheduler.run import Run, context_of
from swarm.trust.policy import Grant

CLUSTER: Final = "cluster"  # where it is full, for whoever asks; clients then wait for a while
BURST_S: Final = 2.0  # a tenant that was quiet may submit so many seconds' worth at once


class Tenancy:
    """Quotas of tenants, as the leader keeps them."""

    def __init__(self, ledger: Callable[[], Ledger], clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._coming: Counter[str] = Counter()  # accepted, and not in the ledger yet
        self._buckets: dict[str, tuple[float, int]] = {}  # submissions left, and as of when

    @contextmanager
    def room(self, name: str, new_bytes: int) -> Iterator[None]:
        """Room for one more run while it is on its way to the log. Raises `QueueFull`."""
        ledger = self._ledger()
        tenant, place = ledger.policy.tenant(name), f"tenant {name}" if name else ""
        runs_max = ledger.policy.part(name, limits.RUNS_ACTIVE_MAX)
        if tenant.runs_active_max is not None:
            runs_max = min(runs_max, tenant.runs_active_max)
        remedy = "wait for one to end, or cancel one"
        if ledger.active() + self._coming.total() >= limits.RUNS_ACTIVE_MAX:
            raise QueueFull(f"{limits.RUNS_ACTIVE_MAX} runs are active", place=CLUSTER, remedy=remedy)
        if ledger.steps_left >= limits.STEPS_ACTIVE_MAX:
            message = f"{limits.STEPS_ACTIVE_MAX} steps are under way or waiting"
            raise QueueFull(message, place=CLUSTER, remedy=remedy)
        if ledger.active_of(name) + self._coming[name] >= runs_max:
            raise QueueFull(f"{runs_max} runs are active", place=place, remedy=remedy)
        if tenant.bytes_max is not None and ledger.bytes_of(name) + new_bytes > tenant.bytes_max:
            message = f"its runs would hold more than {tenant.bytes_max} bytes of payload"
            raise QueueFull(message, place=place, remedy="submit less at once, or cancel what is not needed")
        if tenant.submissions_per_s is not None:
            self._spend(name, tenant.submissions_per_s, place)
        self._coming[name] += 1
        try:
            yield
        finally:
            self._coming[name] -= 1

    def _spend(self, name: str, rate: float, place: str) -> None:
        now_ms = self._clock.monotonic_ms()
        left, then_ms = self._buckets.get(name, (rate * BURST_S, now_ms))
        left = min(max(1.0, rate * BURST_S), left + rate * (now_ms - then_ms) / 1000)
        if left < 1.0:
            raise QueueFull(
                f"more than {rate:g} submissions a second", place=place, remedy="submit more slowly"
            )
        self._buckets[name] = (left - 1.0, now_ms)


def context_problems(graph: Graph, grant: Grant) -> list[Problem]:
    """Why somebody may not submit a graph: a step is of another tenant, or a result is not for their eyes."""
    found: list[Problem] = []
    remedy = "leave the tenant out: a step belongs to whoever submits it"
    for node in graph.nodes:
        tenant = node.context.tenant
        if tenant and not grant.sees(tenant):
            message = f"it belongs to tenant {tenant}, its submitter to {grant.tenant or 'none'}"
            found.append(Problem("forbidden_context", f"node {node.name}", message, remedy))
    contexts = {node.name: node.context for node in graph.nodes}
    for outlet in graph.outlets:
        context = contexts.get(outlet.source.node, PLAIN)
        if not grant.clearance.covers(replace(context, tenant=context.tenant or grant.tenant)):
            message = f"whoever submits this is not cleared for its context ({context})"
            remedy = "ask for the clearance in the policy, or let an agent that may switch contexts give it"
            found.append(Problem("forbidden_context", f"output {outlet.name}", message, remedy))
    return found[: limits.ERROR_PROBLEMS_MAX]


def unreadable(run: Run, grant: Grant) -> str:
    """The first result of a run that somebody is not cleared for; empty where there is none."""
    position = {node.name: step for step, node in enumerate(run.graph.nodes)}
    return next(
        (
            outlet.name
            for outlet in run.graph.outlets
            if not grant.clearance.covers(context_of(run, position[outlet.source.node]))
        ),
        "",
    )


def barred_step(run: Run, grant: Grant) -> str:
    """The first step of a run whose data somebody is not cleared for; empty where there is none."""
    return next(
        (
            node.name
            for step, node in enumerate(run.graph.nodes)
            if not grant.clearance.covers(context_of(run, step))
        ),
        "",
    )
