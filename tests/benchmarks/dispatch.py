"""Dispatch through real daemons with everything on: mutual TLS, durable commits, sandboxed cells.

    python -m tests.benchmarks.dispatch --case throughput,latency,call,fanout,chain,payload,idle,fault --json

One JSON line per case: {peer, variant, tls, case, n, seconds, per_s, p50_us, p99_us, cpu_us, foreign_pct}.
`throughput` submits its steps as runs of 500 with an input each, four at a time, and gathers every result;
`flat` submits them as one graph and waits for its end. `latency` is a durable run of one step, `call` and
`inference` are calls, of which nothing is written down.
`seconds` runs from the submission to the last result in the caller's hands; `cpu_us` is CPU per step over
every process, client included; repeat a line whose `foreign_pct` (others' share of the machine) is not small.
`--relaxed` is a cluster that acknowledges before its disks have synced (docs/guarantees.md).
"""

import argparse
import asyncio
import json
import tempfile
import time
from pathlib import Path

import numpy as np

import af
from af.source import build_mapping
from swarm.client import Swarm
from swarm.daemons.local import LocalCluster
from swarm.graph import Edge, Endpoint, Feed, Graph, Node, NodeName, Outlet, Payload, PortName
from swarm.ids import CapabilityName
from tests.benchmarks.procs import Meter, cpu_seconds, pss_mb, tree

HERE = Path(__file__).parent
AGENTS = HERE.parents[1] / "agents"
DEFAULT_N = {
    "throughput": 10_000,
    "flat": 10_000,
    "latency": 300,
    "call": 1_000,
    "fanout": 1_000,
    "chain": 200,
    "payload": 100,
    "idle": 1,
    "fault": 5_000,
    "inference": 20_000,
}
PAYLOAD_BYTES = 1_000_000
RUN_PAYLOADS = 50  # submitted together
RUN_STEPS, RUNS_AT_ONCE = 500, 4
IN_FLIGHT = 64
X, Y = PortName("x"), PortName("y")


def bench_agent():
    """The benchmark's agent file."""
    anything = {"kind": "any"}
    capabilities = [
        {
            "name": f"bench:{name}",
            "inputs": [{"name": "x", **anything, "many": name == "count"}],
            "outputs": [{"name": "y", **anything}],
        }
        for name in ("ident", "echo", "inc", "count", "nap")
    ]
    header = {
        "version": "1.0",
        "name": "bench",
        "description": "No-ops of several shapes.",
        "author": "benchmark",
        "created": "2026-01-05T00:00:00Z",
        "modified": "2026-01-05T00:00:00Z",
        "kind": "python",
        "agent_version": "1.0.0",
        "capabilities": capabilities,
        "resources": {
            "limits": {"memory_mb": 512, "cpu_cores": 1.0, "disk_mb": 16, "network_bandwidth_mbps": 0},
            "requirements": {"minimum_memory_mb": 64, "minimum_cpu_cores": 0.1},
        },
        "sources": {"module": "bench_agent.py"},
    }
    return af.write(af.compile_agent(build_mapping(header, HERE)))


def step(name, capability, value=None):
    literals = () if value is None else ((X, Payload("json", json.dumps(value).encode())),)
    return Node(NodeName(name), CapabilityName(f"bench:{capability}"), literals)


def edge(source, target):
    return Edge(Endpoint(NodeName(source), Y), Endpoint(NodeName(target), X))


def flat(n, capability="ident"):
    return Graph(f"flat-{n}", tuple(step(f"s{i}", capability, i) for i in range(n)))


def fan(n):
    nodes = (step("root", "ident", 1), *(step(f"s{i}", "ident") for i in range(n)), step("sink", "count"))
    edges = [edge("root", f"s{i}") for i in range(n)] + [edge(f"s{i}", "sink") for i in range(n)]
    return Graph(f"fan-{n}", nodes, tuple(edges), outlets=(Outlet("n", Endpoint(NodeName("sink"), Y)),))


def chain(n):
    nodes = (step("s0", "inc", 0), *(step(f"s{i}", "inc") for i in range(1, n)))
    edges = tuple(edge(f"s{i - 1}", f"s{i}") for i in range(1, n))
    return Graph(f"chain-{n}", nodes, edges, outlets=(Outlet("n", Endpoint(NodeName(f"s{n - 1}"), Y)),))


def echo(count):
    names = [f"p{i}" for i in range(count)]
    return Graph(
        "echo",
        tuple(step(name, "echo") for name in names),
        feeds=tuple(Feed(name, Endpoint(NodeName(name), X)) for name in names),
        outlets=tuple(Outlet(name, Endpoint(NodeName(name), Y)) for name in names),
    )


class Cases:
    """Each case returns seconds, items, and samples where it has single round trips."""

    def __init__(self, swarm, cluster, cold_s):
        self.swarm, self.cluster, self.cold_s = swarm, cluster, cold_s

    async def _run(self, graph, inputs=None):
        run = await self.swarm.submit(graph, inputs or {})
        info = await run.wait()
        assert info.status == "succeeded", info
        return run, info

    async def throughput(self, n):
        names = [f"s{i}" for i in range(RUN_STEPS)]
        graph = Graph(
            f"map-{RUN_STEPS}",
            tuple(Node(NodeName(name), CapabilityName("bench:ident")) for name in names),
            feeds=tuple(Feed(name, Endpoint(NodeName(name), X)) for name in names),
            outlets=tuple(Outlet(name, Endpoint(NodeName(name), Y)) for name in names),
        )
        room = asyncio.Semaphore(RUNS_AT_ONCE)

        async def part(first):
            async with room:
                run = await self.swarm.submit(graph, {name: first + i for i, name in enumerate(names)})
                values = await run.result()
                assert [values[name] for name in names] == list(range(first, first + RUN_STEPS))

        began = time.perf_counter()
        await asyncio.gather(*(part(first) for first in range(0, n, RUN_STEPS)))
        return {"seconds": time.perf_counter() - began, "items": -(-n // RUN_STEPS) * RUN_STEPS}

    async def call(self, n):
        samples = []
        for i in range(n):
            began = time.perf_counter()
            assert (await self.swarm.call("bench:ident", {"x": i}))["y"] == i
            samples.append(time.perf_counter() - began)
        return {"seconds": sum(samples), "items": n, "samples": samples}

    async def flat(self, n):
        began = time.perf_counter()
        _, info = await self._run(flat(n))
        assert info.steps_ok == n
        return {"seconds": time.perf_counter() - began, "items": n}

    async def latency(self, n):
        graph, samples = flat(1), []
        for _ in range(n):
            began = time.perf_counter()
            await self.swarm.run(graph)
            samples.append(time.perf_counter() - began)
        return {"seconds": sum(samples), "items": n, "samples": samples}

    async def fanout(self, n):
        began = time.perf_counter()
        assert (await self.swarm.run(fan(n)))["n"] == n
        return {"seconds": time.perf_counter() - began, "items": n + 2}

    async def chain(self, n):
        began = time.perf_counter()
        assert (await self.swarm.run(chain(n)))["n"] == n
        return {"seconds": time.perf_counter() - began, "items": n}

    async def payload(self, n):
        blobs = [np.random.default_rng(i).bytes(PAYLOAD_BYTES) for i in range(n)]
        began = time.perf_counter()
        for start in range(0, n, RUN_PAYLOADS):
            part = blobs[start : start + RUN_PAYLOADS]
            run, _ = await self._run(echo(len(part)), {f"p{i}": blob for i, blob in enumerate(part)})
            values = await run.result()
            assert [values[f"p{i}"] for i in range(len(part))] == part
        return {"seconds": time.perf_counter() - began, "items": n, "bytes": PAYLOAD_BYTES}

    async def idle(self, _):
        await asyncio.sleep(3)
        before, began = cpu_seconds(), time.perf_counter()
        await asyncio.sleep(5)
        used = sum(seconds - before.get(pid, 0.0) for pid, seconds in cpu_seconds().items())
        daemons = [pid for node in self.cluster.running() for pid in tree(self.cluster.pid(node))]
        return {
            "seconds": self.cold_s,
            "items": 1,
            "cold_s": round(self.cold_s, 3),
            "pss_mb": round(pss_mb(daemons), 1),
            "procs": len(daemons),
            "idle_cpu_pct": round(100 * used / (time.perf_counter() - began), 1),
        }

    async def fault(self, n):
        """n steps of 1 ms, twice: undisturbed, then with kill -9 of one follower's daemon at a third."""
        began = time.perf_counter()
        await self._run(flat(n, "nap"))
        undisturbed = time.perf_counter() - began
        leader = (await self.swarm.status()).leader
        victim = next(node for node in self.cluster.running() if node != leader)
        began = time.perf_counter()
        run = await self.swarm.submit(flat(n, "nap"), {})
        await asyncio.sleep(undisturbed / 3)
        self.cluster.kill(victim)
        info = await run.wait()
        seconds = time.perf_counter() - began
        self.cluster.restart(victim)
        await self.cluster.ready()
        return {
            "seconds": seconds,
            "items": n,
            "baseline_s": round(undisturbed, 3),
            "returned": info.steps_ok,
            "lost": n - info.steps_ok,
            "extra_s": round(seconds - undisturbed, 3),
        }

    async def inference(self, n):
        """Digits recognised one by one, so many at a time, by calls."""
        images = np.load(AGENTS / "digits" / "examples.npz", allow_pickle=False)["images"].astype(np.float32)
        numbers, right = iter(range(n)), []

        async def ask():
            for number in numbers:
                image = images[number % len(images)][None]
                answer = await self.swarm.call("vision:digit", {"image": image})
                right.append(answer["scores"].shape == (1, 10))

        began = time.perf_counter()
        await asyncio.gather(*(ask() for _ in range(IN_FLIGHT)))
        assert len(right) == n
        assert all(right)
        return {"seconds": time.perf_counter() - began, "items": n}


def line(case, n, found, meter, variant):
    samples = sorted(found.pop("samples", ()))
    seconds, items = found.pop("seconds"), found.pop("items")
    cpu_s, foreign_pct = meter
    at = lambda share: round(samples[min(len(samples) - 1, int(len(samples) * share))] * 1e6, 1)  # noqa: E731
    return {
        "peer": "swarm",
        "variant": variant,
        "tls": True,
        "case": case,
        "n": n,
        "seconds": round(seconds, 5),
        "per_s": round(items / seconds, 1),
        "p50_us": at(0.5) if samples else None,
        "p99_us": at(0.99) if samples else None,
        "cpu_us": round(cpu_s / items * 1e6, 1),
        "foreign_pct": foreign_pct,
        **found,
    }


async def measure(cases, n, nodes, *, relaxed=False):
    settings = {"log": {"kind": "embedded", "relaxed": True}} if relaxed else {}
    variant = f"{nodes}-nodes{'-relaxed' if relaxed else ''}"
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        cluster = LocalCluster(Path(folder) / "cluster", nodes, settings=settings)
        cluster.start()
        try:
            await cluster.ready()
            async with Swarm.connect(cluster.profile_path) as swarm:
                await swarm.deploy(bench_agent())
                await swarm.run(flat(1))
                cold_s = time.perf_counter() - began
                await swarm.deploy(AGENTS / "digits" / "digits.af")
                found = Cases(swarm, cluster, cold_s)
                if cases != ["idle"]:
                    await (await swarm.submit(flat(500), {})).wait()  # warm up
                for case in cases:
                    meter = Meter()
                    result = await getattr(found, case)(n or DEFAULT_N[case])
                    found_line = line(case, n or DEFAULT_N[case], result, meter.read(), variant)
                    print(json.dumps(found_line), flush=True)
        finally:
            cluster.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", default="all", help=f"a comma list of {', '.join(DEFAULT_N)}, or all")
    parser.add_argument("--n", type=int, default=0, help="steps; default by case")
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--relaxed", action="store_true", help="acknowledge before the disks have synced")
    parser.add_argument("--json", action="store_true", help="one JSON line per case (the only form there is)")
    options = parser.parse_args()
    cases = list(DEFAULT_N) if options.case == "all" else options.case.split(",")
    if unknown := set(cases) - set(DEFAULT_N):
        parser.error(f"no such case: {', '.join(sorted(unknown))}")
    asyncio.run(measure(cases, options.n, options.nodes, relaxed=options.relaxed))


if __name__ == "__main__":
    main()
