"""How far one leader reaches: the real scheduler among modelled nodes, at prices measured on this machine.

    python -m tests.benchmarks.scale [--case cluster,nodes,graph,runs] [--part 1.0] --json

cluster   1,000 nodes of 16 processors, 1,000,000 steps of --step-ms in runs of 1,000 (1 to 998 to 1)
nodes     100,000 steps on 3, 10, 100 and 1,000 nodes: what grows with their number
graph     one graph of 10,000, 100,000 and 1,000,000 steps, without the doors, which take 100,000
runs      1,000 and 10,000 runs at once, of 100 steps each

`leader_us` is the leader's processor time per step, by what it was for, `leader_pct` of all its time;
heartbeats are in there alone: they come anyhow. `makespan_s` is virtual, beside the least it could be.
`--part 0.01` is the same with a hundredth of the steps, for a look. Minutes; see docs/scaling.md.
"""

import argparse
import gc
import json
import time
import tracemalloc
from collections import defaultdict

from swarm import limits
from swarm.daemons.node import COLLECT_EVERY
from swarm.graph import Edge, Endpoint, Graph, Node, NodeName, Priority
from swarm.ids import NodeId, RunId
from swarm.scheduler.actions import Dispatch
from swarm.scheduler.events import (
    AgentDeployed,
    Elected,
    NodeJoined,
    OutcomesArrived,
    RunSubmitted,
    StepRecord,
    StepsRecorded,
    Tick,
)
from swarm.scheduler.machine import Scheduler
from swarm.testing.graphs import ALL, CAPABILITIES, OUT, model_agent, wide_graph
from tests.benchmarks.costs import measure_costs
from tests.benchmarks.fleet import ANSWER, Fleet

CASES = ("cluster", "nodes", "graph", "runs")
CORES = 16
FEW_NODES, FEW_SLOTS = 3, 1_024


def fan_graph(size):
    """One step, then all but one, then one."""
    names = [NodeName(f"s{number}") for number in range(size)]
    nodes = tuple(Node(name, CAPABILITIES[0]) for name in names)
    middle = names[1:-1]
    edges = [Edge(Endpoint(names[0], OUT), Endpoint(name, ALL)) for name in middle]
    edges += [Edge(Endpoint(name, OUT), Endpoint(names[-1], ALL)) for name in middle]
    return Graph(f"fan-{size}", nodes, tuple(edges))


def cluster(costs, part, step_ms, nodes=1_000, steps=1_000_000):
    """One line: a fleet works through `steps` steps."""
    size = 1_000 if steps * part >= 1_000 else 10
    graphs = [fan_graph(size)] * max(int(steps * part) // size, 1)
    count = sum(len(graph.nodes) for graph in graphs)
    fleet = Fleet(nodes, CORES, step_ms, costs)
    began = time.process_time()
    makespan_ms = fleet.run(graphs)
    least_ms = max(count * step_ms / (nodes * CORES), 3 * step_ms)
    leader_ms = sum(fleet.spent_ms.values())
    spent = sorted(fleet.spent_ms.items())
    by_what = {what: round(ms / count * 1000, 2) for what, ms in spent if what != "heartbeats"}
    share = {what: round(100 * ms / makespan_ms, 1) for what, ms in spent}
    return {
        "nodes": nodes,
        "steps": count,
        "step_ms": step_ms,
        "makespan_s": round(makespan_ms / 1000, 3),
        "least_s": round(least_ms / 1000, 3),
        "over_least": round(makespan_ms / least_ms, 3),
        "leader_busy_pct": round(100 * leader_ms / makespan_ms, 1),
        "leader_us": by_what,
        "leader_us_total": round(sum(by_what.values()), 2),
        "leader_pct": share,
        "messages_per_step": round(fleet.messages / count, 3),
        "bottleneck": max(share, key=share.get),
        "cpu_s": round(time.process_time() - began, 1),
    }


def fold(graphs):
    """Microseconds per step of the scheduler alone, and bytes per pending step; no messages, three nodes."""
    scheduler, agent = Scheduler(), model_agent(*CAPABILITIES)
    scheduler.apply(AgentDeployed(0, agent, "bench"))
    scheduler.apply(Elected(0, 1))
    scheduler.apply(Tick(limits.TAKEOVER_GRACE_MS))
    for number in range(FEW_NODES):
        hosted = frozenset([agent.digest])
        scheduler.apply(
            NodeJoined(1_000, NodeId(f"n{number}"), FEW_SLOTS, hosted, frozenset(), (), 65_536, 16.0)
        )
    count, flying, now_ms = sum(len(graph.nodes) for graph in graphs), [], 1_000
    began = time.process_time()
    for number, graph in enumerate(graphs):
        event = RunSubmitted(0, RunId(f"run-{number:06}"), graph, {}, Priority.MEDIUM, "bench", "")
        flying += [one for one in scheduler.apply(event) if isinstance(one, Dispatch)]
    used = {"submit": time.process_time() - began, "run": 0.0}
    done = 0
    while flying:
        batch, flying = flying[: limits.RECORDS_BATCH_MAX], flying[limits.RECORDS_BATCH_MAX :]
        records = tuple(StepRecord(*one.key, one.node, True, ANSWER, None, 0, 1.0) for one in batch)
        keys, now_ms = defaultdict(list), now_ms + 5
        for one in batch:
            keys[one.node].append(one.key)
        began = time.process_time()
        actions = []
        for node, theirs in keys.items():
            actions += scheduler.apply(OutcomesArrived(now_ms, node, tuple(theirs)))
        actions += scheduler.apply(StepsRecorded(now_ms, records))
        used["run"] += time.process_time() - began
        flying += [one for one in actions if isinstance(one, Dispatch)]
        done += len(batch)
    assert done == count, f"{done} of {count} steps"
    return {
        "steps": count,
        "runs": len(graphs),
        "submit_us": round(used["submit"] / count * 1e6, 2),
        "run_us": round(used["run"] / count * 1e6, 2),
        "fold_us": round(sum(used.values()) / count * 1e6, 2),
    }


def pending_bytes(size):
    """What a step that waits holds: of its graph, and of the scheduler; no node is there to take it."""
    scheduler, agent = Scheduler(), model_agent(*CAPABILITIES)
    scheduler.apply(AgentDeployed(0, agent, "bench"))
    scheduler.apply(Elected(0, 1))
    gc.collect()
    tracemalloc.start()
    try:
        graph = wide_graph(size)
        held = tracemalloc.get_traced_memory()[0]
        scheduler.apply(RunSubmitted(0, RunId("run-1"), graph, {}, Priority.MEDIUM, "bench", ""))
        gc.collect()
        total = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    return {"graph_bytes": round(held / size), "pending_bytes": round((total - held) / size)}


def lines(case, part, step_ms):
    """What a case gives, one line after the other."""
    if case in ("cluster", "nodes"):
        costs = measure_costs()
        prices = {name: round(getattr(costs, name), 2) for name in costs.__slots__}
        yield {"prices": prices}
        if case == "cluster":
            yield cluster(costs, part, step_ms)
            return
        for nodes in (3, 10, 100, 1_000):  # as much work for each node, whatever their number
            yield cluster(costs, part, max(step_ms * nodes / 1_000, 1.0), nodes, 100_000)
    elif case == "graph":
        for size in (10_000, 100_000, 1_000_000):
            size = max(int(size * part), 100)  # noqa: PLW2901 - scaled as asked
            yield fold([wide_graph(size)]) | pending_bytes(min(size, 100_000))
    else:
        for runs in (1_000, 10_000):
            yield fold([wide_graph(100)] * max(int(runs * part), 1))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--case", default=",".join(CASES))
    parser.add_argument("--part", type=float, default=1.0, help="of the steps")
    parser.add_argument("--step-ms", type=float, default=4_000.0, help="what a step takes in `cluster`")
    parser.add_argument(
        "--json", action="store_true", help="one JSON line per figure (the only form there is)"
    )
    options = parser.parse_args()
    if unknown := set(options.case.split(",")) - set(CASES):
        parser.error(f"no such case: {', '.join(sorted(unknown))}; there are {', '.join(CASES)}")
    gc.set_threshold(*COLLECT_EVERY)  # as a daemon does
    for case in options.case.split(","):
        for line in lines(case, options.part, options.step_ms):
            print(json.dumps({"case": case, **line}), flush=True)


if __name__ == "__main__":
    main()
