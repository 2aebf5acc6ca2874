"""Ours and the peers' benchmarks in turn on this machine: ratios, a table and a plot.

    python -m tests.benchmarks.compare --peers DIR [--venvs DIR] [--only ray,dask] [--case throughput,latency]
                                       [--rounds 2] [--budget-s 360] --out DIR [--json]

DIR holds the peers' scripts, bench_ray.py and so on, which print the lines that
`tests.benchmarks.dispatch` prints. Each peer runs in an environment of its own, `venv-NAME` under
--venvs; what is not there is said with how to make it. Everything runs once per round, in turn, so that
a busy hour hits all alike; figures are medians over the rounds. A round in which the budget would be
overrun leaves out what does not fit. --out gets lines.jsonl, comparison.md and comparison.svg.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.comparison import markdown, ratios
from tests.benchmarks.plot import svg
from tests.benchmarks.procs import tree

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CASES = "idle,throughput,latency,fanout,chain,payload"
OURS_CASES = f"{CASES},call,fault,inference"
ALL_CASES = OURS_CASES.split(",")
INSTALL = {
    "ray": "ray torch==2.13.0 numpy",
    "dask": "'dask[distributed]'",
    "celery": "celery redis packaging   # and Debian's redis-server",
}
LEAST_S = 20.0  # with less of the budget left nothing is begun
RUN_S_MAX = 240.0


@dataclass(frozen=True, slots=True)
class Entrant:
    """One process that prints lines for some cases."""

    peer: str
    title: str
    program: tuple[str, ...]  # before `--case`
    cases: tuple[str, ...]
    takes_cases: bool = True


def entrants(scripts, venvs):
    """Everybody, in the order of a round: ours between the peers."""

    def theirs(peer, variant):
        python = str(venvs / f"venv-{peer}" / "bin" / "python")
        program = (python, str(scripts / f"bench_{peer}.py"), "--variant", variant)
        return Entrant(peer, f"{peer} {variant}", program, (*CASES.split(","), "fault"))

    ours = (sys.executable, "-m", "tests.benchmarks.dispatch", "--json")
    ray = str(venvs / "venv-ray" / "bin" / "python")
    return (
        Entrant("swarm", "swarm", ours, tuple(ALL_CASES)),
        theirs("ray", "actor"),
        theirs("dask", "tuned"),
        Entrant("swarm", "swarm relaxed", (*ours, "--relaxed"), ("throughput", "latency")),
        theirs("ray", "tasks"),
        theirs("celery", "tuned"),
        Entrant(
            "ray", "ray inference", (ray, str(HERE / "peers" / "ray_inference.py")), ("inference",), False
        ),
    )


class Race:
    """Runs entrants by turns and keeps what they print."""

    def __init__(self, folder, budget_s, *, show):
        self.lines, self.missing = [], {}
        self._folder, self._show = folder, show
        self._until = time.monotonic() + budget_s
        self._took_s = {}

    def run(self, entrant, cases, number):
        left_s = self._until - time.monotonic()
        if left_s < max(LEAST_S, self._took_s.get(entrant.title, 0.0)):
            self._say({"left_out": entrant.title, "round": number, "why": "the time budget is spent"})
            return
        command = [*entrant.program, *(("--case", ",".join(cases)) if entrant.takes_cases else ())]
        began = time.monotonic()
        code, out, errors = execute(command, ROOT if entrant.peer == "swarm" else self._folder, left_s)
        self._took_s[entrant.title] = time.monotonic() - began
        for text in out.splitlines():
            if text.startswith("{"):
                self.lines.append({**json.loads(text), "round": number})
                self._say(self.lines[-1])
        if code != 0:  # None: it was ended
            said = errors.strip().splitlines()[-1] if errors.strip() else "no word"
            why = f"ended with {code}: {said}" if code else "it took too long: raise --budget-s"
            self.missing[entrant.title] = why
            self._say({"failed": entrant.title, "round": number, "why": why})

    def absent(self, entrant, why):
        if entrant.title not in self.missing:
            self.missing[entrant.title] = why
            self._say({"missing": entrant.title, "why": why})

    def _say(self, line):
        if self._show:
            print(json.dumps(line), flush=True)


def execute(command, folder, seconds):
    """Run a benchmark to its end, or end it and all it started; (code or None, stdout, stderr)."""
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            command, cwd=folder, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True
        )
        try:
            out, _ = process.communicate(timeout=min(seconds, RUN_S_MAX))
        except subprocess.TimeoutExpired:
            for pid in reversed(tree(process.pid)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            out, _ = process.communicate()
            return None, out, ""
        errors.seek(0)
        return process.returncode, out, errors.read()


def why_absent(entrant, scripts, venvs):
    """What is missing before an entrant can run, and what to do about it; nothing if it can."""
    if entrant.peer == "swarm":
        return ""
    venv = venvs / f"venv-{entrant.peer}"
    if not (venv / "bin" / "python").exists():
        return (
            f"no environment {venv}: python3 -m venv {venv} && {venv}/bin/pip install {INSTALL[entrant.peer]}"
        )
    script = Path(entrant.program[1])
    return "" if script.exists() else f"no script {script.name} in {scripts}"


def read_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", type=Path, required=True, help="the folder with bench_ray.py and so on")
    parser.add_argument("--venvs", type=Path, help="the folder with venv-ray and so on; default: --peers")
    parser.add_argument("--only", default=",".join(INSTALL), help="peers, a comma list")
    parser.add_argument("--case", default="", help="a comma list; default: all but the peers' fault")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--budget-s", type=float, default=360.0, help="no run is begun that would exceed it")
    parser.add_argument("--out", type=Path, required=True, help="where lines, table and plot are written")
    parser.add_argument("--json", action="store_true", help="print every line as it comes, then the ratios")
    options = parser.parse_args()
    wanted = options.case.split(",") if options.case else []
    if unknown := set(wanted) - set(ALL_CASES):
        parser.error(f"no such case: {', '.join(sorted(unknown))}; there are {', '.join(ALL_CASES)}")
    if unknown := set(options.only.split(",")) - set(INSTALL):
        parser.error(f"no such peer: {', '.join(sorted(unknown))}; there are {', '.join(INSTALL)}")
    if not options.peers.is_dir():
        parser.error(f"{options.peers} is no folder")
    return options


def main():
    options = read_options()
    options.out.mkdir(parents=True, exist_ok=True)
    venvs = (options.venvs or options.peers).absolute()
    peers = {"swarm", *options.only.split(",")}
    with tempfile.TemporaryDirectory() as folder:
        scripts = Path(folder)  # copies: the scripts write beside themselves
        for path in options.peers.glob("*.py"):
            shutil.copy(path, scripts)
        (scripts / "results").mkdir()
        race = Race(scripts, options.budget_s, show=options.json)
        for number in range(1, options.rounds + 1):
            for entrant in entrants(scripts, venvs):
                default = OURS_CASES if entrant.peer == "swarm" else f"{CASES},inference"
                cases = (options.case or default).split(",")
                cases = [case for case in cases if case in entrant.cases]
                if entrant.peer not in peers or not cases:
                    continue
                if why := why_absent(entrant, options.peers, venvs):
                    race.absent(entrant, why)
                else:
                    race.run(entrant, cases, number)
    options.out.joinpath("lines.jsonl").write_text("".join(json.dumps(line) + "\n" for line in race.lines))
    about = (
        f"Medians over {options.rounds} rounds, {len(os.sched_getaffinity(0))} processors. Per second; in "
        "microseconds: processor time of all processes for each step."
    )
    table = markdown(race.lines, race.missing, about)
    options.out.joinpath("comparison.md").write_text(table)
    options.out.joinpath("comparison.svg").write_text(svg(race.lines))
    if options.json:
        for one in ratios(race.lines):
            print(json.dumps(one), flush=True)
    else:
        print(table)


if __name__ == "__main__":
    main()
