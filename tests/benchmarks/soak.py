"""Work without a pause, and whether memory stays flat: a client that submits faster than the cluster works.

    python -m tests.benchmarks.soak [--minutes 10] [--steps 1000000] --json          `make soak` runs this

Runs of 500 steps are submitted as fast as the cluster accepts them, without waiting for any to end, until
`--steps` are submitted and, if there is time left, beyond. The cluster is to slow the client, not to kill
it. The proportional memory (PSS) of every daemon, of its cells, and of the client is sampled and printed as
JSON lines.

A process is flat if the line through its samples, after `WARM` of the time, rises by no more than
`RISE_SHARE` of its mean or `RISE_MB`, whichever is more, over all that remains. Exit code 1 if one is not,
if a submission was refused or a run did not succeed.
"""

import argparse
import asyncio
import contextlib
import json
import sys
import tempfile
import time
from pathlib import Path

from swarm.client import Swarm
from swarm.daemons.local import LocalCluster
from swarm.errors import SwarmError
from tests.benchmarks.dispatch import bench_agent, flat
from tests.benchmarks.procs import pss_mb, tree

NODES = 3
RUN_STEPS = 500
SUBMITTERS = 4
SAMPLE_S = 5.0
WARM = 0.4
RISE_SHARE = 0.10
RISE_MB = 12.0
LAST_RUNS = 50  # looked at in the end; fewer than are remembered
DRAIN_S_MAX = 1_200.0  # of a machine that has much else to do


def rise(samples):
    """How much the least-squares line through (time, value) samples rises from the first to the last."""
    count = len(samples)
    mean_at = sum(at for at, _ in samples) / count
    mean = sum(value for _, value in samples) / count
    spread = sum((at - mean_at) ** 2 for at, _ in samples)
    if not spread:
        return 0.0
    slope = sum((at - mean_at) * (value - mean) for at, value in samples) / spread
    return slope * (samples[-1][0] - samples[0][0])


def judge(name, samples):
    """What is said of one process's (seconds, MB) samples."""
    settled = samples[int(len(samples) * WARM) :]
    mean = sum(value for _, value in settled) / len(settled)
    risen = rise(settled)
    return {
        "process": name,
        "first_mb": round(settled[0][1], 1),
        "last_mb": round(settled[-1][1], 1),
        "peak_mb": round(max(value for _, value in samples), 1),
        "rise_mb": round(risen, 2),
        "over_s": round(settled[-1][0] - settled[0][0]),
        "flat": risen <= max(RISE_MB, RISE_SHARE * mean),
    }


class Soak:
    """One cluster, a few submitters, and samples of what they hold."""

    def __init__(self, cluster, swarm, steps, minutes):
        self.cluster, self.swarm, self.steps = cluster, swarm, steps
        self.began = time.monotonic()
        self.until = self.began + minutes * 60
        self.submitted, self.runs, self.slowest_s = 0, [], 0.0
        self.samples, self.refusals = {}, []

    async def submit_forever(self):
        graph = flat(RUN_STEPS)
        while time.monotonic() < self.until:
            began = time.monotonic()
            try:
                run = await self.swarm.submit(graph, {})
            except SwarmError as error:
                self.refusals.append(f"{error.code}: {error.message}")
                return
            self.slowest_s = max(self.slowest_s, time.monotonic() - began)
            self.submitted += RUN_STEPS
            self.runs = [*self.runs[1 - LAST_RUNS :], run.id]

    async def sample_forever(self):
        while True:
            await asyncio.sleep(SAMPLE_S)
            try:
                status = await self.swarm.status()
            except SwarmError as error:  # a leader that answers nobody is a finding as well
                self.refusals.append(f"status: {error.code}: {error.message}")
                continue
            print(json.dumps(self.sample(status)), flush=True)

    def sample(self, status):
        """One line; what it says is kept for the judgement."""
        at_s = round(time.monotonic() - self.began, 1)
        found = {}
        for node in self.cluster.running():
            daemon, *cells = tree(self.cluster.pid(node))
            found[node] = pss_mb([daemon])
            found[f"{node} cells"] = pss_mb(cells)
        found["client"] = pss_mb(["self"])
        for name, value in found.items():
            self.samples.setdefault(name, []).append((at_s, value))
        return {
            "at_s": at_s,
            "pss_mb": {name: round(value, 1) for name, value in found.items()},
            "steps_submitted": self.submitted,
            "runs_active": status.runs_active,
            "steps_ready": status.steps_ready,
        }

    async def drained(self):
        """Wait for the last runs to end; how many succeeded, of how many."""
        ends = (self.swarm.attach(run).wait() for run in self.runs)
        waiting = asyncio.gather(*ends, return_exceptions=True)
        infos = await asyncio.wait_for(waiting, DRAIN_S_MAX)
        return sum(getattr(info, "status", "") == "succeeded" for info in infos), len(infos)


async def soak(steps, minutes):
    """Whether all went as it should."""
    with tempfile.TemporaryDirectory() as folder:
        cluster = LocalCluster(Path(folder) / "cluster", NODES)
        cluster.start()
        try:
            await cluster.ready()
            async with Swarm.connect(cluster.profile_path) as swarm:
                await swarm.deploy(bench_agent())
                one = Soak(cluster, swarm, steps, minutes)
                sampling = asyncio.create_task(one.sample_forever())
                await asyncio.gather(*(one.submit_forever() for _ in range(SUBMITTERS)))
                sampling.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await sampling
                succeeded, looked_at = await one.drained()
        finally:
            cluster.stop()
    verdicts = [judge(name, samples) for name, samples in one.samples.items()]
    for verdict in verdicts:
        print(json.dumps(verdict), flush=True)
    seconds = time.monotonic() - one.began
    good = all(verdict["flat"] for verdict in verdicts) and not one.refusals and succeeded == looked_at
    summary = {
        "steps_submitted": one.submitted,
        "steps_wanted": steps,
        "reached": one.submitted >= steps,
        "steps_per_s": round(one.submitted / seconds, 1),
        "slowest_submission_s": round(one.slowest_s, 2),
        "refused": one.refusals,
        "looked_at": looked_at,
        "succeeded": succeeded,
        "good": good,
    }
    print(json.dumps(summary), flush=True)
    return good


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--steps", type=int, default=1_000_000, help="how many should be reached; reported")
    parser.add_argument("--json", action="store_true", help="JSON lines (the only form there is)")
    options = parser.parse_args()
    sys.exit(0 if asyncio.run(soak(options.steps, options.minutes)) else 1)


if __name__ == "__main__":
    main()
