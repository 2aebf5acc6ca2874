"""The replicated log beside etcd, in one run on one machine: three processes each, mutual TLS, synced disks.

    python -m tests.benchmarks.log --case commits,sequential,failover,snapshot,restart,submit --json

One JSON line per case. `commits` and `sequential` interleave both, `--rounds` times, and give medians: ours
are proposals made inside the leader's process, etcd's are puts over gRPC from another one. `submit` is one
submission per call, from another process, against etcd's put. `foreign_pct` is the share of the machine that
others took: repeat a line where it is not small.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from pathlib import Path

from swarm.adapters.etcd import EtcdClient
from swarm.adapters.raft import RaftSettings
from swarm.adapters.raft.logfile import LogDirectory
from swarm.adapters.raft.messages import REGULAR
from swarm.adapters.raft.wal import Wal
from swarm.adapters.tls import Authority
from swarm.client import Swarm
from swarm.daemons.local import LocalCluster
from swarm.graph import Graph, Node, Payload, Priority
from swarm.ids import NodeId, RunId
from swarm.scheduler.events import RunSubmitted, StepRecord, StepsRecorded
from swarm.scheduler.machine import Scheduler
from swarm.wire.entries import decode_history, encode_history
from tests.benchmarks.procs import Meter
from tests.etcd import EtcdServer, free_port
from tests.faults.load import NEXT_AGENT
from tests.integration.test_raft_kills import VOTERS, Cluster

ENTRY = bytes(100)
WINDOW = 512
ETCD_WINDOW = 256  # etcd's best of 64, 256 and 512 from a Python client
SECONDS = 3.0
KILLS = 50
STEPS, STEPS_PER_RUN = 100_000, 100
ENTRIES = 1_000_000
ENTRIES_PER_FLUSH = 10_000


class EtcdCluster:
    """Three members, clients and peers over mutual TLS."""

    def __init__(self, root):
        authority = Authority.create(root / "ca", "demo")
        names, peers = ("e1", "e2", "e3"), [free_port() for _ in range(3)]
        urls = [f"https://127.0.0.1:{port}" for port in peers]
        cluster = ",".join(f"{name}={url}" for name, url in zip(names, urls, strict=True))
        self.members = []
        for name, url in zip(names, urls, strict=True):
            home = root / name
            home.mkdir(parents=True)
            self.members.append(
                EtcdServer(home, authority, name=name, peers=url, cluster=cluster, wait=False)
            )
        for member in self.members:
            member.wait()
        self.endpoints, self.tls = [member.endpoint for member in self.members], self.members[0].tls

    def client(self):
        return EtcdClient(self.endpoints[:1], self.tls, timeout_s=30)

    def stop(self):
        for member in self.members:
            member.stop()


async def puts(client, window, seconds):
    """Puts over gRPC, as many at a time as `window`."""
    took, until = [], time.monotonic() + seconds

    async def put(worker):
        number = 0
        while (began := time.monotonic()) < until:
            number += 1
            await client.put(b"bench/%d/%d" % (worker, number), ENTRY)
            took.append(time.monotonic() - began)

    began = time.monotonic()
    await asyncio.gather(*(put(worker) for worker in range(window)))
    spent = time.monotonic() - began
    return {"per_s": len(took) / spent, **percentiles(took)}


def percentiles(took):
    took = sorted(took)
    return {
        "p50_ms": 1000 * took[len(took) // 2],
        "p99_ms": 1000 * took[min(len(took) - 1, len(took) * 99 // 100)],
    }


def commits(root, rounds, window=WINDOW, etcd_window=ETCD_WINDOW):
    """Ours and etcd's, in turns."""
    ours, theirs = [], []
    etcd = EtcdCluster(root / "etcd")
    swarm = Cluster(root / "swarm", counts_only=True)
    try:
        swarm.boot(*VOTERS)
        leader = swarm.running[swarm.leader()]
        swarm.joined_up()
        for _ in range(rounds):
            ours.append(
                leader.ask("measured", do="measure", window=window, bytes=len(ENTRY), seconds=SECONDS)
            )

            async def measure():
                client = etcd.client()
                try:
                    return await puts(client, etcd_window, SECONDS)
                finally:
                    await client.close()

            theirs.append(asyncio.run(measure()))
    finally:
        swarm.close()
        etcd.stop()
    middle = {
        f"{who}_{field}": round(statistics.median(one[field] for one in found), 2)
        for who, found in (("ours", ours), ("etcd", theirs))
        for field in ("per_s", "p50_ms", "p99_ms")
    }
    return {
        "window": window,
        "etcd_window": etcd_window,
        "entry_bytes": len(ENTRY),
        **middle,
        "times_etcd_per_s": round(middle["ours_per_s"] / middle["etcd_per_s"], 2),
        "times_etcd_p50": round(middle["ours_p50_ms"] / middle["etcd_p50_ms"], 2),
    }


def sequential(root, rounds):
    return commits(root, rounds, window=1, etcd_window=1)


def failover(root, rounds, kills=KILLS):
    """From kill -9 of the leader to the first acknowledged write, default timeouts, under load."""
    del rounds
    took = []
    swarm = Cluster(root)
    try:
        swarm.boot(*VOTERS)
        for process in swarm.running.values():
            process.tell(do="load", window=4, bytes=len(ENTRY))
        for _ in range(kills):
            swarm.joined_up()
            leader = swarm.leader()
            swarm.first_acknowledged_after(time.monotonic())
            moment = time.monotonic()
            swarm.kill(leader)
            took.append(swarm.first_acknowledged_after(moment) - moment)
            swarm.boot(leader)
            swarm.running[leader].tell(do="load", window=4, bytes=len(ENTRY))
    finally:
        swarm.close()
    settings = RaftSettings()
    timeouts = f"{settings.election_ms_min}-{settings.election_ms_max}/{settings.heartbeat_ms} ms"
    return {"kills": kills, "timeouts": timeouts, **{k: round(v, 1) for k, v in percentiles(took).items()}}


def snapshot(root, rounds):
    """A coordinator's state of many steps: how long the loop stands still, and how long the rest takes."""
    del root, rounds
    scheduler = Scheduler()
    for number in range(STEPS // STEPS_PER_RUN):
        run = RunId(f"run-{number}")
        graph = Graph("bench", tuple(Node(f"s{step}", "bench:ident") for step in range(STEPS_PER_RUN)))
        scheduler.apply(RunSubmitted(1, run, graph, {}, Priority.MEDIUM, "bench", f"key-{number}"))
        values = {"value": (Payload("json", b"12345"),)}
        records = (
            StepRecord(run, step, 1, 1, NodeId("n1"), True, values, None, 1, 2.0)
            for step in range(STEPS_PER_RUN)
        )
        scheduler.apply(StepsRecorded(2, tuple(records)))
    began = time.perf_counter()
    history = scheduler.ledger.history()
    held = time.perf_counter()
    data = encode_history(history)
    encoded = time.perf_counter()
    again = Scheduler()
    for event in decode_history(data):
        again.apply(event)
    restored = time.perf_counter()
    assert again.ledger.history() == history
    stalls = asyncio.run(stall_while(lambda: encode_history(history)))
    return {
        "steps": STEPS,
        "bytes": len(data),
        "capture_ms": round(1000 * (held - began), 1),
        "encode_ms": round(1000 * (encoded - held), 1),
        "restore_ms": round(1000 * (restored - encoded), 1),
        "loop_stall_ms": round(1000 * stalls, 1),
    }


async def stall_while(work):
    """The longest time the loop stood still while `work` went on in a thread."""
    working = asyncio.get_running_loop().run_in_executor(None, work)
    longest, last = 0.0, time.perf_counter()
    while not working.done():
        await asyncio.sleep(0.001)
        now = time.perf_counter()
        longest, last = max(longest, now - last - 0.001), now
    return longest


def restart(root, rounds):
    """A coordinator with a long log and no snapshot: from its start to the last entry applied."""
    del rounds
    swarm = Cluster(root, counts_only=True, compact_entries=10 * ENTRIES, compact_bytes=1 << 29)
    swarm.voters = {VOTERS[0]: swarm.voters[VOTERS[0]]}
    home = root / VOTERS[0] / "log"
    home.mkdir(mode=0o700)
    wal = Wal.open(LogDirectory(home), VOTERS[0])
    wal.setCurrentTerm(1, None)
    for index in range(2, ENTRIES + 2):
        wal.add(REGULAR + ENTRY, index, 1)
        if index % ENTRIES_PER_FLUSH == 0:
            wal.setRaftCommitIndex(index)
            wal.flush()
    wal.close()
    began = time.monotonic()
    try:
        swarm.boot(VOTERS[0])
        process = swarm.running[VOTERS[0]]
        until = began + 600
        while process.ask("dump", do="dump")["applied"] <= ENTRIES:
            assert time.monotonic() < until, "it never caught up"
            time.sleep(0.05)
        took = time.monotonic() - began
    finally:
        swarm.close()
    return {"entries": ENTRIES, "entry_bytes": len(ENTRY), "seconds": round(took, 2)}


def submit(root, rounds, window=64):
    """One submission per call through a coordinator, durable when it is answered, against etcd's put."""
    etcd = EtcdCluster(root / "etcd")
    ours, theirs = [], []
    try:
        with LocalCluster(root / "swarm", settings={"cells_per_agent": 1}) as cluster:
            leader = cluster.wait_ready()

            async def measure():
                async with Swarm.connect(cluster.profile_path) as swarm:
                    swarm._connection.turn_to(leader)
                    await swarm.deploy(NEXT_AGENT)
                    graph = Graph("one", (Node("s0", "test:next", (("value", Payload("json", b"1")),)),))
                    for _ in range(rounds):
                        ours.append(await submissions(swarm, graph, window))
                        client = etcd.client()
                        theirs.append(await puts(client, window, SECONDS))
                        await client.close()

            asyncio.run(measure())
    finally:
        etcd.stop()
    middle = {
        f"{who}_{field}": round(statistics.median(one[field] for one in found), 2)
        for who, found in (("ours", ours), ("etcd", theirs))
        for field in ("per_s", "p50_ms", "p99_ms")
    }
    ratio = round(middle["ours_per_s"] / middle["etcd_per_s"], 2)
    return {"window": window, **middle, "times_etcd_per_s": ratio}


async def submissions(swarm, graph, window):
    took, until = [], time.monotonic() + SECONDS

    async def send():
        while (began := time.monotonic()) < until:
            await swarm.submit(graph)
            took.append(time.monotonic() - began)

    began = time.monotonic()
    await asyncio.gather(*(send() for _ in range(window)))
    return {"per_s": len(took) / (time.monotonic() - began), **percentiles(took)}


CASES = {one.__name__: one for one in (commits, sequential, failover, snapshot, restart, submit)}


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.log", description=__doc__)
    parser.add_argument("--case", default=",".join(CASES), help="some of " + ", ".join(CASES))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kills", type=int, default=KILLS)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    for name in options.case.split(","):
        extra = {"kills": options.kills} if name == "failover" else {}
        with tempfile.TemporaryDirectory(prefix="swarm-log-bench-") as folder:
            meter = Meter()
            found = CASES[name](Path(folder), options.rounds, **extra)
            _, foreign = meter.read()
        line = {"case": name, **found, "foreign_pct": foreign}
        print(json.dumps(line) if options.json else line, flush=True)


if __name__ == "__main__":
    main()
