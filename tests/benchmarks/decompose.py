"""How well requests are broken down, on public sets: `python -m tests.benchmarks.decompose --data DIR
--json`.

DIR holds, for each set S, `S.train.jsonl` (id, text, nodes, links, perhaps steps), `S.tools.json` and
perhaps `S.paraphrases.train.jsonl`. Every engine is trained on 80 % and asked the other 20 %, for five
seeds; rephrasings of the training requests are trained on, those of the others are never seen. With
`--test FILE` the whole training file is trained on and FILE is asked. One line per set and engine: pooled
F1 of nodes and of edges, share of exact graphs, median time of a request, CPU seconds of training. With
`--encoder minilm` (the default where the extra is installed) the trained engines use the pretrained
sentence encoder; with `--encoder none` nothing pretrained. With `--paraphrased` the unseen requests are
asked again in other words (given rephrasings, else synonyms by rule). Large language models published on
the same requests are prompted, ours are trained.
"""

import argparse
import json
import os
import random
import re
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")  # before numpy is loaded: one core, as the figures say

from swarm.adapters.minilm import has_minilm, minilm  # noqa: E402
from swarm.decompose.encoder.port import TextEncoder  # noqa: E402
from swarm.decompose.learn.training import train, train_with_second  # noqa: E402
from swarm.decompose.metric import quality  # noqa: E402
from swarm.decompose.neural.config import SMALL, NeuralConfig  # noqa: E402
from swarm.decompose.neural.model import NeuralModel  # noqa: E402
from swarm.decompose.neural.training import Course, held_back, train_neural  # noqa: E402
from swarm.decompose.records import Capability, Engine, Example  # noqa: E402
from swarm.decompose.strategies.heuristic import HeuristicEngine  # noqa: E402
from swarm.decompose.strategies.hybrid import HybridEngine  # noqa: E402
from swarm.decompose.strategies.neural import NeuralEngine  # noqa: E402
from swarm.decompose.strategies.stacked import StackedEngine  # noqa: E402
from tests.benchmarks.paraphrases import Remembering, reworded  # noqa: E402

SETS = ("multimedia_dag", "ultratool")
ENGINES = ("heuristic", "neural", "stacked", "hybrid")
DEVICE = "cpu"
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


class Bench:
    """Trains what the named engines need, once, and counts the CPU seconds of each engine's training."""

    def __init__(self, names: Sequence[str], encoder: TextEncoder | None, say: Callable[[str], None]) -> None:
        self.names, self.encoder, self.say = names, encoder, say

    def engines(
        self, capabilities: list[Capability], examples: list[Example]
    ) -> Iterator[tuple[Engine, float]]:
        if "heuristic" in self.names:
            yield HeuristicEngine(capabilities), 0.0
        begun = time.process_time()
        neural = None
        if {"neural", "hybrid"} & set(self.names) and find_spec("torch") is not None:
            neural = self._neural(capabilities, examples)
        neural_s = time.process_time() - begun
        if neural is not None and "neural" in self.names:
            yield NeuralEngine(neural), neural_s
        if not {"stacked", "hybrid"} & set(self.names):
            return
        begun = time.process_time()
        if neural is None:
            model, second = train(capabilities, examples, self.say, self.encoder), None
        else:
            model, second = train_with_second(
                capabilities, examples, neural.chances, held_back, self.say, self.encoder
            )
        stacked_s = time.process_time() - begun
        if "stacked" in self.names:
            yield StackedEngine(model), stacked_s
        if "hybrid" in self.names:
            yield HybridEngine(capabilities, StackedEngine(model, second)), stacked_s + neural_s

    def _neural(self, capabilities: list[Capability], examples: list[Example]) -> NeuralModel:
        config = NeuralConfig(pretrained=self.encoder.size) if self.encoder else SMALL
        return train_neural(capabilities, examples, config, Course(device=DEVICE), self.say, self.encoder)


def asked(engine: Engine, examples: Sequence[Example]) -> tuple[float, float, float, float]:
    """n-F1, e-F1 and exact in percent, and the median milliseconds of a request."""
    pairs, took = [], []
    for example in examples:
        begun = time.perf_counter()
        pairs.append((engine.decompose(example.text), example))
        took.append((time.perf_counter() - begun) * 1000)
    found = quality(pairs)
    return 100 * found.node_f1, 100 * found.edge_f1, 100 * found.exact, statistics.median(took)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument(
        "--test", type=Path, help="ask this file; its set is told by its name unless --set says it"
    )
    parser.add_argument("--set", choices=SETS, action="append", dest="sets")
    parser.add_argument("--engine", choices=ENGINES, action="append", dest="engines")
    parser.add_argument("--encoder", choices=("none", "minilm"), default="minilm" if has_minilm() else "none")
    parser.add_argument("--splits", type=int, default=len(SEEDS), help="how many of the seeds (default: all)")
    parser.add_argument("--paraphrased", action="store_true", help="ask the unseen again in other words")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--verbose", action="store_true")
    given = parser.parse_args()
    given.sets = given.sets or [
        each for each in SETS if given.test is None or given.test.name.startswith(each)
    ]
    if not given.sets or (given.test and len(given.sets) != 1):
        parser.error("say with --set which set FILE belongs to")
    return given


def main() -> None:
    given = arguments()
    folder = given.data / "decompose" if (given.data / "decompose").is_dir() else given.data
    say = (
        (lambda text: print(f"  {text}", flush=True))
        if given.verbose and not given.json
        else (lambda _: None)
    )
    encoder = Remembering(minilm()) if given.encoder == "minilm" else None
    bench = Bench(given.engines or ENGINES, encoder, say)
    for name in given.sets:
        if not (folder / f"{name}.tools.json").exists():
            continue
        capabilities, examples, rephrased = material(folder, name)
        tested = [(examples, requests(given.test))] if given.test else splits(examples)
        scores: dict[tuple[str, bool], list[tuple[float, ...]]] = {}
        for known, unseen in islice(tested, given.splits):
            groups = {each.group for each in known}
            training = [*known, *(each for each in rephrased if each.group in groups)]
            for engine, cpu_s in bench.engines(capabilities, training):
                rounds = [(False, unseen)]
                if given.paraphrased:
                    rounds.append((True, reworded(unseen, rephrased)))
                for other, questions in rounds:
                    found = (*asked(engine, questions), cpu_s)
                    scores.setdefault((engine.name, other), []).append(found)
                    say(f"{engine.name} {found}")
        for (engine_name, other), found_all in scores.items():
            means = [statistics.fmean(each) for each in zip(*found_all, strict=True)]
            show(name, engine_name, means, given.encoder, reworded=other, as_json=given.json)
        if not given.json and name in PUBLISHED:
            print("beside it: {} n_f1 {} e_f1 {} exact {}".format(*PUBLISHED[name]))


def show(
    name: str, engine: str, means: Sequence[float], encoder: str, *, reworded: bool, as_json: bool
) -> None:
    nodes, edges, exact, ms, cpu_s = means
    line = {"set": name, "engine": engine, "n_f1": round(nodes, 1), "e_f1": round(edges, 1)}
    line |= {"exact": round(exact, 1), "ms_p50": round(ms, 2), "train_cpu_s": round(cpu_s)}
    line |= {"encoder": "none" if engine == "heuristic" else encoder}
    line |= {"reworded": True} if reworded else {}
    print(
        json.dumps(line) if as_json else "  ".join(f"{key} {value}" for key, value in line.items()),
        flush=True,
    )


if __name__ == "__main__":
    main()
