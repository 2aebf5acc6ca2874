"""Work for a cluster in trouble, and the books that are kept of it.

One writer submits small chains one after the other, each under a key of its own, and tries again until it is
acknowledged. Readers wait for every acknowledged run and compare what it says with what it must say.
"""

import asyncio
import json
import time
from collections import Counter, deque
from contextlib import suppress
from itertools import pairwise

from swarm.client import Swarm
from swarm.errors import NotFound, RunFailed, SwarmError
from swarm.graph import Edge, Endpoint, Feed, Graph, Node, Outlet

STEPS = 3
READERS = 12
PACE_S = 0.02
GAP_MS_MIN = 250  # a longer time between two acknowledgements counts as unavailable
PATIENCE_S = 300  # the machine may have other things to do
REST_S = 0.1

NEXT_AGENT = b"""\
version: '1.0'
name: next
description: Says the number after the one it is given.
author: The Neural Swarm authors
created: '2026-01-05T00:00:00Z'
modified: '2026-01-05T00:00:00Z'
kind: python
agent_version: 1.0.0
capabilities:
- name: test:next
  inputs:
  - {name: value, kind: json}
  outputs:
  - {name: value, kind: json}
resources:
  limits: {memory_mb: 512, cpu_cores: 1.0, disk_mb: 16, network_bandwidth_mbps: 0}
  requirements: {minimum_memory_mb: 64, minimum_cpu_cores: 0.1}
---BINARY_SECTION:python_module---
import time


class Agent:
    def process_input(self, capability, inputs):
        time.sleep(0.005)
        return {"value": inputs["value"] + 1}
"""


def chain():
    """x -> x + STEPS."""
    nodes = tuple(Node(f"s{number}", "test:next") for number in range(STEPS))
    edges = tuple(
        Edge(Endpoint(one.name, "value"), Endpoint(other.name, "value")) for one, other in pairwise(nodes)
    )
    feeds = (Feed("x", Endpoint("s0", "value")),)
    return Graph("chain", nodes, edges, feeds, (Outlet("x", Endpoint(nodes[-1].name, "value")),))


class Load:
    """See the head of this module; a context manager within which the load goes on."""

    def __init__(self, profile, name):
        self._swarm = Swarm.connect(profile)
        self._name = name
        self._graph = chain()
        self._waiting = deque()
        self._stopping = asyncio.Event()
        self._news = asyncio.Event()
        self._tasks = []
        self.acked_at = []
        self.acknowledged = []
        self.lost = []
        self.duplicated = []
        self.finished = 0

    async def __aenter__(self):
        await self._swarm.deploy(NEXT_AGENT)
        self._tasks = [asyncio.create_task(self._write())]
        self._tasks += [asyncio.create_task(self._read()) for _ in range(READERS)]
        return self

    async def __aexit__(self, *_):
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._swarm.close()

    async def settle(self):
        """Submit no more; wait until every acknowledged run has been read."""
        self._stopping.set()
        await asyncio.wait_for(asyncio.gather(*self._tasks), 2 * PATIENCE_S)

    async def flowing(self, count=10):
        """Wait for some more acknowledgements."""
        wanted = len(self.acknowledged) + count
        async with asyncio.timeout(PATIENCE_S):
            while len(self.acknowledged) < wanted:
                self._news.clear()
                await self._news.wait()

    def unavailable_ms(self):
        """All the time in which nothing was acknowledged for longer than it ordinarily takes."""
        gaps = (1000 * (after - before) for before, after in pairwise(self.acked_at))
        return round(sum(gap for gap in gaps if gap > GAP_MS_MIN))

    # -- inside -----------------------------------------------------------------------------

    async def _write(self):
        number = 0
        while not self._stopping.is_set():
            number += 1
            key = f"{self._name}-{number}"
            run = await self._insist(lambda n=number, k=key: self._swarm.submit(self._graph, {"x": n}, key=k))
            self.acked_at.append(time.monotonic())
            self.acknowledged.append((number, run.id))
            self._news.set()
            self._waiting.append((number, run))
            await asyncio.sleep(PACE_S)

    async def _insist(self, call):
        """A careful client: whatever is not an answer is asked again."""
        until = time.monotonic() + PATIENCE_S
        while True:
            try:
                return await call()
            except (RunFailed, NotFound):
                raise
            except SwarmError:
                if time.monotonic() > until:
                    raise
                await asyncio.sleep(REST_S)

    async def _read(self):
        while self._waiting or not self._stopping.is_set():
            if not self._waiting:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), REST_S)
                continue
            number, run = self._waiting.popleft()
            try:
                values = await self._insist(run.result)
                if values != {"x": number + STEPS}:
                    self.lost.append((run.id, f"{values} for {number}"))
                steps = Counter(event.step for event in await self._insist(run.logs))
                if any(count > 1 for count in steps.values()):
                    self.duplicated.append((run.id, dict(steps)))
                if missing := {f"s{step}" for step in range(STEPS)} - set(steps):
                    self.lost.append((run.id, f"succeeded without {sorted(missing)} in its log"))
            except SwarmError as error:
                self.lost.append((run.id, str(error)))
            self.finished += 1

    async def look_again(self):
        """What the cluster still remembers of acknowledged runs must be what it said before."""
        remembered = {run.id: run.status for run in await self._insist(self._swarm.runs)}
        for _, run in self.acknowledged:
            if remembered.get(run) == "running":  # says a replica that is behind: follow it
                remembered[run] = (await self._insist(self._swarm.attach(run).wait)).status
        wrong = {
            run: remembered[run]
            for _, run in self.acknowledged
            if remembered.get(run, "succeeded") != "succeeded"
        }
        self.lost += wrong.items()
        newest = [run for _, run in self.acknowledged[-len(remembered) // 2 :]]
        self.lost += [(run, "forgotten") for run in newest if run not in remembered]


def attempts_begun(cluster):
    """How often each step was begun, by the nodes' own journals."""
    begun = Counter()
    for node in cluster.nodes:
        for path in cluster.node_data(node).glob("journal.jsonl*"):
            for line in path.read_text().splitlines():
                with suppress(ValueError):  # the last line of a disk that was full
                    entry = json.loads(line)
                    begun.update((entry["run"], step) for step in entry["steps"])
    return begun
