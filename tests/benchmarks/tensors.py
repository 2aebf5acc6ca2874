"""One large tensor through three steps of a real cluster: made, passed on in another shape, added up.

    python -m tests.benchmarks.tensors --mb 1024 --json

One JSON line: {peer, case, mb, nodes, seconds, mb_per_s, daemon_peak_mb, cell_peak_mb, client_peak_mb,
log_kb, blobs_mb, foreign_pct}. The peaks are what the worst process of each sort had resident at once beyond
what it had before; pages of shared memory a cell has mapped count in full. `log_kb` is what the logs of all
coordinators grew by, `blobs_mb` what lies in all blob stores at the end.
"""

import argparse
import asyncio
import contextlib
import json
import tempfile
import time
from pathlib import Path

from swarm.client import Swarm
from swarm.daemons.local import LocalCluster
from swarm.graph import Edge, Endpoint, Graph, Node, NodeName, Outlet, Payload, PortName
from swarm.ids import CapabilityName
from tests.benchmarks.procs import Meter, tree

AGENT = b"""\
version: '1.0'
name: tensors
kind: python
agent_version: 1.0.0
capabilities:
- name: tensor:make
  inputs: [{name: x, kind: json}]
  outputs: [{name: x, kind: tensor}]
- name: tensor:fold
  inputs: [{name: x, kind: tensor}]
  outputs: [{name: x, kind: tensor}]
- name: tensor:sum
  inputs: [{name: x, kind: tensor}]
  outputs: [{name: x, kind: json}]
resources:
  limits: {memory_mb: 4096, cpu_cores: 1.0, disk_mb: 16, network_bandwidth_mbps: 0}
---BINARY_SECTION:python_module---
import numpy as np


class Agent:
    def process_input(self, capability, inputs):
        x = inputs["x"]
        if capability == "tensor:make":
            return {"x": np.full(x, 2.0, np.float32)}
        if capability == "tensor:fold":
            return {"x": x.reshape(2, -1)}
        return {"x": float(x.sum(dtype=np.float64))}
"""
X = PortName("x")
MIB = 1 << 20


def pipeline(items):
    given = ((X, Payload("json", str(items).encode())),)
    nodes = tuple(
        Node(
            NodeName(name),
            CapabilityName(f"tensor:{name}"),
            given if name == "make" else (),
            timeout_ms=600_000,
        )
        for name in ("make", "fold", "sum")
    )
    edges = tuple(
        Edge(Endpoint(NodeName(one), X), Endpoint(NodeName(other), X))
        for one, other in (("make", "fold"), ("fold", "sum"))
    )
    return Graph("tensor", nodes, edges, outlets=(Outlet("x", Endpoint(NodeName("sum"), X)),))


def status(pid, field):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith(field)), 0)


class Peaks:
    """What each process has resident at once beyond what it has now; sampled, so that new ones count too."""

    def __init__(self, cluster):
        self._cluster = cluster
        self._base, self._peak = {}, {}
        self._look()

    def _look(self):
        daemons = {self._cluster.pid(node) for node in self._cluster.running()}
        for pid in tree():
            with contextlib.suppress(OSError):
                if pid not in self._base:
                    Path(f"/proc/{pid}/clear_refs").write_text("5")  # the peak begins anew
                    self._base[pid] = status(pid, "VmRSS:")
                kind = "client" if pid == tree()[0] else "daemon" if pid in daemons else "cell"
                self._peak[pid] = kind, status(pid, "VmHWM:") - self._base[pid]

    async def watch(self):
        while True:
            self._look()
            await asyncio.sleep(0.05)

    def worst(self, kind):
        self._look()
        return round(max((size for its, size in self._peak.values() if its == kind), default=0) / MIB, 1)


def folder_bytes(cluster, name):
    files = (cluster.home(node) / "data" / name for node in cluster.nodes)
    return sum(path.stat().st_size for folder in files for path in folder.rglob("*") if path.is_file())


async def measure(size_mb, nodes):
    with tempfile.TemporaryDirectory() as folder:
        cluster = LocalCluster(Path(folder) / "cluster", nodes)
        cluster.start()
        try:
            await cluster.ready()
            async with Swarm.connect(cluster.profile_path) as swarm:
                await swarm.deploy(AGENT)
                await swarm.run(pipeline(1_000_000))  # the cells are there, and have mapped what they need
                log_bytes, peaks = folder_bytes(cluster, "log"), Peaks(cluster)
                watching = asyncio.create_task(peaks.watch())
                meter, began = Meter(), time.perf_counter()
                result = await swarm.run(pipeline(size_mb * MIB // 4))
                seconds, (_, foreign_pct) = time.perf_counter() - began, meter.read()
                watching.cancel()
                assert result["x"] == size_mb * MIB / 2
                return {
                    "peer": "swarm",
                    "case": "tensor",
                    "mb": size_mb,
                    "nodes": nodes,
                    "seconds": round(seconds, 3),
                    "mb_per_s": round(2 * size_mb / seconds, 1),
                    **{f"{kind}_peak_mb": peaks.worst(kind) for kind in ("daemon", "cell", "client")},
                    "log_kb": round((folder_bytes(cluster, "log") - log_bytes) / 1024, 1),
                    "blobs_mb": round(folder_bytes(cluster, "blobs") / MIB, 1),
                    "foreign_pct": foreign_pct,
                }
        finally:
            cluster.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mb", type=int, default=1024, help="of the tensor")
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="one JSON line (the only form there is)")
    options = parser.parse_args()
    print(json.dumps(asyncio.run(measure(options.mb, options.nodes))), flush=True)


if __name__ == "__main__":
    main()
