"""What asking a network costs, engine by engine: `python -m tests.benchmarks.engines [--json] [--case hot]`.

One process, one thread. In every round each engine has its turn, so that all of them meet the same machine;
a line gives the median of all calls and the 99th percentile. Writing the input and reading the output count.
`wasm` is the class that serves agents in a cell (sandbox.wasm), under a deadline of one second. FANN has no
relu: it computes its linear_piece in a net of the same size.

    hot        the same network again and again; its weights are in the caches
    cold256    256 networks of the same shape in turn; they are not
    fresh      the state that the module describes, for every request (`instance: per_request`)
    train      one step of learning on one row
    compile    from a parsed file to a compiled one
    idle1000   1,000 agents of one module that have answered once: their private memory together, in MB
"""

import argparse
import gc
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"  # before numpy is loaded

import numpy as np  # noqa: E402

import af  # noqa: E402
from af.engines import AutoEngine, Engine, open_engine, usable_engines  # noqa: E402
from af.engines.costs import measured  # noqa: E402
from af.errors import AfNotReady  # noqa: E402
from af.network import Network, dense, feedforward  # noqa: E402
from af.tools.served import ServedEngine  # noqa: E402
from af.wasm.manifest import manifest_of  # noqa: E402
from af.wasm.module import generate  # noqa: E402
from af.wasm.training import LEARNING_RATE, Learning  # noqa: E402
from af.weights import weights_section  # noqa: E402
from sandbox.wasm import WasmAgent  # noqa: E402
from sandbox.wasmfresh import FreshWasmAgent  # noqa: E402
from sandbox.wasmlearning import Lesson  # noqa: E402

CASES = ("hot", "cold256", "fresh", "train", "compile", "idle1000")
TINY, SLIM, SMALL, LARGE = (4, 8, 2), (64, 32, 8), (784, 128, 64, 32, 10), (784, 1024, 1024, 10)
SHAPES = (TINY, SLIM, SMALL, LARGE)
BATCH = 64
AGENTS = 256
IDLE = 1000
ROUNDS = 25
ROUND_S = 0.004  # of one engine in one round
DEADLINE_MS = 1000
CAPABILITY = "bench:net"

Call = Callable[[], object]
Line = dict[str, object]


def network(widths: tuple[int, ...], hidden: str = "relu", seed: int = 0) -> Network:
    random = np.random.default_rng(seed)
    layers = []
    for number, (inputs, outputs) in enumerate(pairwise(widths)):
        bound = 1 / np.sqrt(inputs)
        activation = "linear" if number == len(widths) - 2 else hidden
        weight = random.uniform(-bound, bound, (outputs, inputs))
        layers.append(dense(weight, random.uniform(-bound, bound, outputs), activation))
    return feedforward(layers)


def rows_of(widths: tuple[int, ...], batch: int):
    return np.random.default_rng(1).random((batch, widths[0]), np.float32)


def calls(widths: tuple[int, ...], batch: int, seed: int = 0) -> dict[str, Call]:
    """A call of every engine that is installed, on the same rows."""
    net, rows = network(widths, seed=seed), rows_of(widths, batch)
    found: dict[str, Call] = {}
    for name, precision in (("wasm", "f32"), ("wasm-int8", "int8")):
        found[name] = served_call(ServedEngine(net, precision).agent, rows)
    for name in ("numpy", "onnx", "torch"):
        try:
            found[name] = engine_call(open_engine(name, net), rows)
        except AfNotReady:
            continue
    fann = fann_call(widths, rows, seed)
    return found | ({"fann": fann} if fann else {})


def served_call(agent: WasmAgent, rows) -> Call:
    row = rows[0]
    return (lambda: agent.infer_rows(rows)) if len(rows) > 1 else (lambda: agent.infer(row).copy())


def engine_call(engine: Engine, rows) -> Call:
    return lambda: engine.forward(rows)


def fann_call(widths: tuple[int, ...], rows, seed: int = 0) -> Call | None:
    """FANN's own `run`, on lists made beforehand: its best case."""
    try:
        engine = open_engine("fann", network(widths, "fann_linear_piece", seed))
    except AfNotReady:
        return None
    lists, run = rows.astype(float).tolist(), engine._net.run
    return (lambda: run(lists[0])) if len(lists) == 1 else (lambda: [run(each) for each in lists])


def timed(work: dict[str, Call], rounds: int = ROUNDS, round_s: float = ROUND_S) -> dict[str, list[float]]:
    """Microseconds of every call; the engines take turns."""
    times: dict[str, list[float]] = {name: [] for name in work}
    clock = time.perf_counter_ns
    for call in work.values():
        for _ in range(3):
            call()
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            for name, call in work.items():
                until = clock() + round_s * 1e9
                call()  # brings its data back after the others
                while True:
                    began = clock()
                    call()
                    ended = clock()
                    times[name].append((ended - began) / 1e3)
                    if ended >= until:
                        break
    finally:
        gc.enable()
    return times


def lines(case: str, widths: tuple[int, ...], batch: int, times: dict[str, list[float]]) -> Iterator[Line]:
    base = float(np.median(times["wasm"])) if "wasm" in times else None
    for engine, each in times.items():
        median = float(np.median(each))
        yield {
            "case": case,
            "shape": "-".join(map(str, widths)),
            "batch": batch,
            "engine": engine,
            "median_us": round(median, 3),
            "p99_us": round(float(np.percentile(each, 99)), 3),
            "vs_wasm": None if base is None else round(median / base, 3),
        }


def hot() -> Iterator[Line]:
    for widths in SHAPES:
        for batch in (1, BATCH):
            work = calls(widths, batch)
            net, rows = network(widths), rows_of(widths, batch)
            engines = usable_engines(net, {"wasm": ServedEngine})
            auto = AutoEngine(net, engines, measured(net, engines))
            work["auto"] = engine_call(auto, rows)
            for line in lines("hot", widths, batch, timed(work)):
                yield line | ({"chosen": auto.chosen(batch)} if line["engine"] == "auto" else {})


def cold256() -> Iterator[Line]:
    """Each call meets the network that was used longest ago."""
    work: dict[str, Call] = {}
    for name in calls(SMALL, 1):
        each = [calls_of(name, seed) for seed in range(AGENTS)]
        work[name] = in_turn(each)
    yield from lines("cold256", SMALL, 1, timed(work, rounds=10, round_s=0.05))


def calls_of(name: str, seed: int) -> Call:
    net, rows = network(SMALL, seed=seed), rows_of(SMALL, 1)
    if name.startswith("wasm"):
        return served_call(ServedEngine(net, "int8" if name == "wasm-int8" else "f32").agent, rows)
    if name == "fann":
        call = fann_call(SMALL, rows, seed)
        assert call is not None
        return call
    return engine_call(open_engine(name, net), rows)


def in_turn(each: list[Call]) -> Call:
    position = 0

    def call() -> object:
        nonlocal position
        position = (position + 1) % len(each)
        return each[position]()

    return call


def fresh() -> Iterator[Line]:
    for widths in (TINY, SMALL):
        net, row = network(widths), rows_of(widths, 1)[0]
        small = ServedEngine(net, "int8", FreshWasmAgent).agent
        agent = ServedEngine(net, kind=FreshWasmAgent).agent
        work = {"wasm": lambda a=agent, r=row: a.infer(r), "wasm-int8": lambda a=small, r=row: a.infer(r)}
        yield from lines("fresh", widths, 1, timed(work))


def train() -> Iterator[Line]:
    """A step, with the weights kept until it has gone well. The wasm step is softmax and cross entropy."""
    rows, target = rows_of(SMALL, 1), np.eye(SMALL[-1], dtype=np.float32)[:1]
    work: dict[str, Call] = {"wasm": taught(rows, target)}
    for name, hidden in (("torch", "relu"), ("fann", "fann_linear_piece")):
        try:
            engine = open_engine(name, network(SMALL, hidden))
        except AfNotReady:
            continue
        work[name] = lambda engine=engine: engine.train(rows, target)
    yield from lines("train", SMALL, 1, timed(work))


def taught(rows, target) -> Call:
    """The step of the serving class, under its deadline."""
    layers = network(SMALL).layers
    last = dense(layers[-1].tensors["weight"], layers[-1].tensors["bias"], "softmax")
    module = generate(feedforward([*layers[:-1], last]), learning=Learning())
    manifest = manifest_of(module, CAPABILITY, "x", "y").to_json()
    agent = WasmAgent("bench", module.binary(), manifest, deadline_ms=DEADLINE_MS)
    lesson = Lesson(rows, target, LEARNING_RATE)
    return lambda: agent.learn(lesson)


def compiling() -> Iterator[Line]:
    for widths in (SMALL, LARGE):
        agent = agent_file(widths)
        work = {
            "wasm": lambda agent=agent: af.compile_agent(agent),
            "wasm-int8": lambda agent=agent: af.compile_agent(agent, "int8"),
        }
        yield from lines("compile", widths, 1, timed(work, rounds=7, round_s=0.02))


def agent_file(widths: tuple[int, ...]) -> af.AgentFile:
    def port(name: str, size: int) -> dict[str, object]:
        return {"name": name, "kind": "tensor", "dtype": "f32", "shape": [None, size]}

    header = {
        "version": "1.0",
        "name": "bench",
        "capabilities": [
            {"name": CAPABILITY, "inputs": [port("x", widths[0])], "outputs": [port("y", widths[-1])]}
        ],
        "neural_config": {
            "input_size": widths[0],
            "hidden_layers": list(widths[1:-1]),
            "output_size": widths[-1],
        },
    }
    return af.AgentFile(af.Header.model_validate(header), (weights_section(network(widths)),))


def idle1000() -> Iterator[Line]:
    module = generate(network(SMALL))
    manifest, code = manifest_of(module, CAPABILITY, "x", "y").to_json(), module.binary()
    row = rows_of(SMALL, 1)[0]
    WasmAgent("first", code, manifest, deadline_ms=DEADLINE_MS).infer(row)
    gc.collect()
    before, agents, times = private_mb(), [], []
    for _ in range(IDLE):
        began = time.perf_counter_ns()
        agents.append(WasmAgent("idle", code, manifest, deadline_ms=DEADLINE_MS))
        times.append((time.perf_counter_ns() - began) / 1e3)
        agents[-1].infer(row)
    used = private_mb() - before
    for line in lines("idle1000", SMALL, 1, {"wasm": times}):
        yield line | {"private_mb": round(used, 1)}


def private_mb() -> float:
    text = Path("/proc/self/smaps_rollup").read_text(encoding="ascii")
    return sum(int(kib) for kib in re.findall(r"^Private_\w+: +(\d+) kB", text, re.MULTILINE)) / 1024


_RUNNERS = {
    "hot": hot,
    "cold256": cold256,
    "fresh": fresh,
    "train": train,
    "compile": compiling,
    "idle1000": idle1000,
}


def one_thread() -> None:
    try:
        import torch  # noqa: PLC0415 - an extra
    except ImportError:
        return
    torch.set_num_threads(1)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object per line")
    parser.add_argument("--case", choices=CASES, action="append", help="only this case; may be repeated")
    arguments = parser.parse_args()
    one_thread()
    for case in arguments.case or CASES:
        for line in _RUNNERS[case]():
            if arguments.json:
                print(json.dumps(line), flush=True)
            else:
                facts = "  ".join(
                    f"{key} {value}" for key, value in line.items() if key not in {"case", "engine"}
                )
                print(f"{line['case']:<9} {line['engine']:<10} {facts}", flush=True)


if __name__ == "__main__":
    main()
