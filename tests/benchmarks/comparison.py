"""What lines of benchmarks amount to beside each other: medians, ratios to each peer at its best, a table.

A line is what every benchmark prints: {peer, variant, case, per_s, p50_us, cpu_us, ...}. A peer with several
variants counts by the better one, figure by figure.
"""

from collections import defaultdict
from dataclasses import dataclass
from statistics import median

OURS, RELAXED = "swarm", "swarm relaxed"
TOGETHER = "inference-together"  # another question, see peers/ray_inference.py


@dataclass(frozen=True, slots=True)
class Goal:
    """One figure of ours beside one of a peer's, or beside a bound: how far apart they should be."""

    case: str
    figure: str  # of the lines
    wanted: float
    peer: str = ""  # beside nobody: an absolute bound
    ours: str = OURS
    our_case: str = ""  # where it is not `case`

    @property
    def more_is_better(self):
        return self.figure == "per_s"

    def holds(self, value):
        return value >= self.wanted if self.more_is_better else value <= self.wanted


GOALS = (
    Goal("throughput", "per_s", 10, "ray"),
    Goal("throughput", "per_s", 14, "ray", ours=RELAXED),
    Goal("throughput", "per_s", 25, "dask"),
    Goal("throughput", "per_s", 80, "celery"),
    Goal("throughput", "cpu_us", 0.15, "ray"),
    Goal("latency", "p50_us", 2_500),
    Goal("latency", "p50_us", 1.0, "ray", ours=RELAXED),
    Goal("latency", "p50_us", 0.6, "ray", our_case="call"),
    Goal("fanout", "per_s", 6, "ray"),
    Goal("chain", "per_s", 5, "ray"),
    Goal("payload", "per_s", 0.8, "ray"),
    Goal("payload", "per_s", 2, "dask"),
    Goal("fault", "share", 1.3),
    Goal("idle", "daemons_mb", 0.35, "ray"),
    Goal("idle", "cold_s", 0.4, "ray"),
    Goal("inference", "per_s", 30_000),
    Goal("inference", "per_s", 10, "ray"),
)

UNFAIR = {
    "throughput": (
        "Ours are durable on three replicas, encrypted and sandboxed; the peers' live in memory, in "
        "clear. Ours are submitted as runs of 500, Dask's by one `map`, Celery's as one group; Ray's "
        "are 10,000 calls, its only way."
    ),
    "latency": (
        "Ours is written and synced by two of three daemons before the answer; nobody else writes "
        "anything. `call` writes nothing either, and is encrypted and sandboxed all the same."
    ),
    "fanout": "As for throughput. Our graph is known as a whole beforehand.",
    "chain": (
        "Ours is one graph, known beforehand, and goes to a node as one piece; Ray's and Dask's could"
        " be extended by the caller at any step."
    ),
    "payload": (
        "Ray passes shared memory within this machine; ours are encrypted, verified and on the disks "
        "of two nodes. Between machines Ray would have to send them, too."
    ),
    "idle": (
        "Ours: three daemons with a replica each and their cells, without the client. Theirs: one "
        "node; of Ray without the caller's process, of Dask with it, as its scheduler is in there. "
        "Our cold start includes founding an authority, four certificates, attacking the sandbox, an "
        "election and a deployment."
    ),
    "fault": "Ours loses a whole node, which votes as well; the bound is on our own undisturbed run.",
    "inference": (
        "Ours: calls of one image each to a sandboxed WebAssembly agent. Ray's: the same to torch "
        "actors, not sandboxed, the better of single and micro-batched. Callers who put 64 images "
        "into a call ask another question; that is in a column of its own."
    ),
}


def who(line):
    """Under which name a line counts."""
    if line["peer"] == OURS:
        return RELAXED if line["variant"].endswith("-relaxed") else OURS
    return f"{line['peer']} together" if line["variant"] == TOGETHER else line["peer"]


def derived(line):
    """The line, with figures that other figures give."""
    found = dict(line)
    if line["case"] == "fault":
        found["share"] = line["seconds"] / line["baseline_s"] if not line.get("lost") else float("inf")
    if line["case"] == "idle":
        outside = (
            line["peer"] == "ray"
        )  # its daemons are processes of their own, the caller is not one of them
        found["daemons_mb"] = line["pss_mb"] - (line.get("client_pss_mb", 0) if outside else 0)
    return found


def medians(lines):
    """{(who, case): {figure: (value, variant)}}: medians over rounds, of the best variant for each figure."""
    samples = defaultdict(list)
    for line in map(derived, lines):
        for figure, value in line.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                samples[who(line), line["case"], figure, line["variant"]].append(value)
    best = defaultdict(dict)
    for (name, case, figure, variant), values in samples.items():
        value, known = median(values), best[name, case].get(figure)
        better = max if figure == "per_s" else min
        if known is None or better(value, known[0]) == value != known[0]:
            best[name, case][figure] = (value, variant)
    return best


def ratios(lines):
    """One record for each goal whose two sides were measured."""
    found, results = medians(lines), []
    for goal in GOALS:
        mine = found.get((goal.ours, goal.our_case or goal.case), {}).get(goal.figure)
        theirs = found.get((goal.peer, goal.case), {}).get(goal.figure) if goal.peer else (1.0, "")
        if mine is None or theirs is None or not theirs[0]:
            continue
        value = mine[0] / theirs[0]
        results.append(
            {
                "case": goal.our_case or goal.case,
                "figure": goal.figure,
                "ours": goal.ours,
                "value": mine[0],
                "peer": f"{goal.peer} {theirs[1]}".strip(),
                "theirs": theirs[0] if goal.peer else None,
                "ratio": round(value, 3),
                "wanted": goal.wanted,
                "more_is_better": goal.more_is_better,
                "reached": goal.holds(value),
            }
        )
    return results


def markdown(lines, missing, about):
    """The table for people: what was measured, the ratios, and where a case is unfair."""
    found = medians(lines)
    names = sorted({name for name, _ in found}, key=lambda name: (not name.startswith(OURS), name))
    cases = list(dict.fromkeys(line["case"] for line in lines))
    rows = ["# Beside others", "", about, ""]
    rows += ["| | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
    for case in cases:
        cells = [_cell(case, found.get((name, case), {})) for name in names]
        rows.append(f"| {case} | " + " | ".join(cells) + " |")
    rows += ["", "| case | figure | ours | beside | ratio | wanted | |", "|---|---|---|---|---|---|---|"]
    for one in ratios(lines):
        beside = f"{one['peer']}: {_number(one['theirs'])}" if one["theirs"] is not None else "itself"
        wanted = f"{'>=' if one['more_is_better'] else '<='} {one['wanted']:g}"
        rows.append(
            f"| {one['case']} | {one['figure']} | {one['ours']}: {_number(one['value'])} | {beside} "
            f"| {_number(one['ratio'])} | {wanted} | {'reached' if one['reached'] else 'missed'} |"
        )
    rows += ["", "Where a case is unfair:", ""]
    rows += [f"- **{case}**: {UNFAIR[case]}" for case in cases if case in UNFAIR]
    if missing:
        rows += ["", "Not measured:", "", *(f"- {name}: {why}" for name, why in missing.items())]
    return "\n".join(rows) + "\n"


def _cell(case, figures):
    if not figures:
        return "-"
    if case == "idle":
        cold, held = figures["cold_s"][0], figures["daemons_mb"][0]
        return f"{cold:.1f} s cold, {held:.0f} MB"
    if case == "fault":
        return f"{_number(figures['share'][0])} x undisturbed"
    text = f"{_number(figures['per_s'][0])}/s"
    if "p50_us" in figures and case != "payload":
        text += f", p50 {figures['p50_us'][0] / 1000:.2f} ms"
    if "cpu_us" in figures:
        text += f", {_number(figures['cpu_us'][0])} us"
    return text


def _number(value):
    if value >= 1_000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
