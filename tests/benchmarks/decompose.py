"""How well requests are broken down: `python -m tests.benchmarks.decompose --data DIR --json [--test FILE]`.

DIR (or its folder `decompose`) holds for a set S: `S.train.jsonl` (id, text, nodes, links, perhaps steps),
`S.tools.json` and perhaps `S.paraphrases.train.jsonl`. Every engine is trained on 80 % and asked the
other 20 %, for five seeds; rephrasings of the training requests are trained on, those of the others are
never seen. With `--test FILE` the whole training file is trained on and FILE is asked. One line per set
and engine: pooled F1 of nodes and of edges, share of exact graphs, median time of a request. Large
language models published on the same requests are prompted, ours are trained.
"""

import argparse
import json
import os
import random
import re
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")  # before numpy is loaded: one core, as the figures say

from swarm.decompose.learn.training import train  # noqa: E402
from swarm.decompose.metric import quality  # noqa: E402
from swarm.decompose.records import Capability, Engine, Example  # noqa: E402
from swarm.decompose.strategies.heuristic import HeuristicEngine  # noqa: E402
from swarm.decompose.strategies.hybrid import HybridEngine  # noqa: E402
from swarm.decompose.strategies.stacked import StackedEngine  # noqa: E402

SETS = ("multimedia_dag", "ultratool")
ENGINES = ("heuristic", "stacked", "hybrid")
SEEDS = (11, 12, 13, 14, 15)
HELD_OUT = 0.2
PUBLISHED = {"multimedia_dag": ("gpt-4-32k, prompted", 91.4, 68.4, 42.0)}
STEP = re.compile(r"^Step \d+ Call (\S+) to (.+)$", re.DOTALL)

Material = tuple[list[Capability], list[Example], list[Example]]


def material(folder: Path, name: str) -> Material:
    """Capabilities, requests, and English rephrasings of some of them."""
    tools = json.loads((folder / f"{name}.tools.json").read_text())["nodes"]
    capabilities = [
        Capability(
            tool["id"], tool["desc"], tuple(tool.get("input-type", ())), tuple(tool.get("output-type", ()))
        )
        for tool in tools
    ]
    examples = requests(folder / f"{name}.train.jsonl")
    by_id = {each.group: each for each in examples}
    rephrased: list[Example] = []
    path = folder / f"{name}.paraphrases.train.jsonl"
    for record in lines(path) if path.exists() else ():
        group = record["process_id"].rsplit("_", 1)[0]
        if record["language"] == "en" and group in by_id:
            rephrased.append(
                Example(record["rephrased_query"], by_id[group].nodes, by_id[group].links, (), group)
            )
    return capabilities, examples, rephrased


def requests(path: Path) -> list[Example]:
    return [
        Example(
            record["text"],
            tuple(record["nodes"]),
            tuple((source, target) for source, target in record["links"]),
            tuple((found[1], found[2]) for found in map(STEP.match, record.get("steps", ())) if found),
            str(record["id"]),
        )
        for record in lines(path)
    ]


def lines(path: Path) -> Iterator[dict]:
    with path.open() as file:
        yield from map(json.loads, file)


def splits(examples: Sequence[Example]) -> Iterator[tuple[list[Example], list[Example]]]:
    for seed in SEEDS:
        dealt = list(examples)
        random.Random(seed).shuffle(dealt)
        cut = round(len(dealt) * HELD_OUT)
        yield dealt[cut:], dealt[:cut]


def engines(
    names: Sequence[str], capabilities: list[Capability], examples: list[Example], say: Callable[[str], None]
) -> Iterator[Engine]:
    if "heuristic" in names:
        yield HeuristicEngine(capabilities)
    if {"stacked", "hybrid"} & set(names):
        begun = time.perf_counter()
        stacked = StackedEngine(train(capabilities, examples, say))
        say(f"trained in {time.perf_counter() - begun:.0f} s")
        if "stacked" in names:
            yield stacked
        if "hybrid" in names:
            yield HybridEngine(capabilities, stacked)


def asked(engine: Engine, examples: Sequence[Example]) -> tuple[float, float, float, float]:
    """n-F1, e-F1 and exact in percent, and the median milliseconds of a request."""
    pairs, took = [], []
    for example in examples:
        begun = time.perf_counter()
        pairs.append((engine.decompose(example.text), example))
        took.append((time.perf_counter() - begun) * 1000)
    found = quality(pairs)
    return 100 * found.node_f1, 100 * found.edge_f1, 100 * found.exact, statistics.median(took)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument(
        "--test", type=Path, help="ask this file; its set is told by its name unless --set says it"
    )
    parser.add_argument("--set", choices=SETS, action="append", dest="sets")
    parser.add_argument("--engine", choices=ENGINES, action="append", dest="engines")
    parser.add_argument("--splits", type=int, default=len(SEEDS), help="how many of the seeds (default: all)")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--verbose", action="store_true")
    given = parser.parse_args()
    folder = given.data / "decompose" if (given.data / "decompose").is_dir() else given.data
    say = (
        (lambda text: print(f"  {text}", flush=True))
        if given.verbose and not given.json
        else (lambda _: None)
    )
    sets = given.sets or [each for each in SETS if given.test is None or given.test.name.startswith(each)]
    if not sets or (given.test and len(sets) != 1):
        parser.error("say with --set which set FILE belongs to")
    for name in sets:
        if not (folder / f"{name}.tools.json").exists():
            continue
        capabilities, examples, rephrased = material(folder, name)
        tested = [(examples, requests(given.test))] if given.test else splits(examples)
        dealt = islice(tested, given.splits)
        scores: dict[str, list[tuple[float, float, float, float]]] = {}
        for known, unseen in dealt:
            groups = {each.group for each in known}
            training = [*known, *(each for each in rephrased if each.group in groups)]
            for engine in engines(given.engines or ENGINES, capabilities, training, say):
                scores.setdefault(engine.name, []).append(asked(engine, unseen))
                say(f"{engine.name} {scores[engine.name][-1]}")
        rows = [
            (engine, *map(statistics.fmean, zip(*found, strict=True))) for engine, found in scores.items()
        ]
        show(name, rows, as_json=given.json)


def show(name: str, rows: Sequence[tuple[str, float, float, float, float]], *, as_json: bool) -> None:
    for engine, nodes, edges, exact, ms in rows:
        line = {"set": name, "engine": engine, "n_f1": round(nodes, 1), "e_f1": round(edges, 1)}
        line |= {"exact": round(exact, 1), "ms_p50": round(ms, 2)}
        print(
            json.dumps(line) if as_json else "  ".join(f"{key} {value}" for key, value in line.items()),
            flush=True,
        )
    if not as_json and name in PUBLISHED:
        print("beside it: {} n_f1 {} e_f1 {} exact {}".format(*PUBLISHED[name]))


if __name__ == "__main__":
    main()
