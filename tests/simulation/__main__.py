"""Simulated clusters from seeds: `python -m tests.simulation --seeds 1000 [--start N] [--world NAME]`.

    shower     the real drivers of coordinators and nodes, a little work and a little trouble
    storm      the same with more of both
    disks      large payloads, and machines that are lost with their disks one at a time
    three      the Raft core on simulated disks and links: crashes, pauses, cut links
    five       the same with five voters
    power      the same with power cuts that take everybody at once
    changes    nine replicas, three of which vote at first; voters come, go, and lose their disks then
    stock      pysyncobj as it is shipped: it fails, which shows that the checks can
    forgetful  disks that lie about a sync: it fails too

Without --world the seeds go through `shower`, and every twentieth of them through `storm`, `disks`, `three`,
`five`, `power` and `changes` as well. A failing seed prints the command that replays it, and the exit code
is 1.
"""

import argparse
import gc
import sys
import time
from functools import partial

from tests.simulation.cluster_world import SHOWER, STORM, run_seed
from tests.simulation.disks_world import run_seed as lose_disks
from tests.simulation.raft_replicas import Violation
from tests.simulation.raft_world import WORLDS as RAFT_WORLDS

FAILURES_SHOWN_MAX = 10
HEAVY_EVERY = 20
COLLECT_EVERY = 20  # seeds; looking for garbage in the middle of one costs a tenth of the time
HEAVY = ("storm", "disks", "three", "five", "power", "changes")


def _raft(world, seed):
    RAFT_WORLDS[world](seed).run()


WORLDS = {
    "shower": partial(run_seed, kind=SHOWER),
    "storm": partial(run_seed, kind=STORM),
    "disks": lose_disks,
    **{name: partial(_raft, name) for name in RAFT_WORLDS},
}


def main():
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--world", choices=WORLDS)
    options = parser.parse_args()
    seeds = range(options.start, options.start + options.seeds)
    if options.world:
        return 1 if _rain(options.world, seeds) else 0
    failed = _rain("shower", seeds)
    failed += sum(_rain(world, seeds[::HEAVY_EVERY]) for world in HEAVY)
    return 1 if failed else 0


def _rain(world, seeds):
    """All of these seeds in one world; how many fail."""
    failed, began = 0, time.process_time()
    gc.freeze()
    gc.disable()
    for number, seed in enumerate(seeds):
        if number % COLLECT_EVERY == 0:
            gc.collect()
        try:
            WORLDS[world](seed)
        except Violation as violation:
            failed += 1
            if failed <= FAILURES_SHOWN_MAX:
                replay = f"python -m tests.simulation --world {world} --start {seed} --seeds 1"
                print(f"seed {seed}: {violation}\n  replay: {replay}", flush=True)
    spent = time.process_time() - began
    print(f"{world}: {failed} of {len(seeds)} seeds fail; {len(seeds) / spent:.0f} seeds/s", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
