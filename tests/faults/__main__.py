"""Faults on real daemons: `python -m tests.faults --scenario kill-leader --seed 1 --minutes 1 --json`.

Three or five daemons on this machine, each a process, under a steady load; one scenario strikes again and
again. Exit code 1 if anything acknowledged was lost, or a step has two results. `disk-full` takes root, for
a file system of its own.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile

from tests.faults.scenarios import SCENARIOS
from tests.faults.trial import trial


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--scenario", choices=SCENARIOS, default="mixed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--nodes", type=int, choices=(3, 5), default=3)
    parser.add_argument("--json", action="store_true", help="the figures as JSON on stdout")
    options = parser.parse_args()
    if options.scenario == "disk-full" and os.geteuid() != 0:
        print("disk-full needs root: each node's data lies on a file system of its own", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="swarm-faults-") as folder:
        figures = asyncio.run(
            trial(
                f"{folder}/cluster",
                scenario=options.scenario,
                seed=options.seed,
                seconds=60 * options.minutes,
                nodes=options.nodes,
                say=lambda line: print(line, file=sys.stderr, flush=True),
            )
        )
    if options.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:20} {value}")
    return 1 if figures["lost"] or figures["duplicated_results"] else 0


if __name__ == "__main__":
    sys.exit(main())
