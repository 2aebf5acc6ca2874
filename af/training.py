"""Training a neural agent anew: mini-batches through PyTorch, on the file's own training data or others.

Some rows are held out, and the share of them that the network gets right (or its mean squared error, where
rows have no classes) is measured before and after. What is random follows from the seed: the same file, data
and course, the number of threads included, give the same bytes on the same machine with the same PyTorch. A
course whose loss is no longer finite ends with an error and changes nothing.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Literal, assert_never

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from af.agentfile import AgentFile
from af.check import check
from af.compiler import compile_agent
from af.engines.torch_engine import TorchEngine, torch
from af.errors import AfError, AfRefused, Problem, refused
from af.network import Floats, Network
from af.trainingdata import TRAINING, TrainingData, training_from, training_section
from af.weights import WEIGHTS, network_from, weights_section

Optimizer = Literal["adam", "sgd"]

EPOCHS_MAX = 100_000
BATCH_MAX = 65_536
THREADS_MAX = 256
RATE = 0.001
RECORD_KEY = "x-training"  # of the header
_SCORED_ROWS = 4_096  # at a time


@dataclass(frozen=True, slots=True)
class Course:
    """How to train. Without a rate, the file's learning_rate; momentum is SGD's, the file's unless given."""

    epochs: int = 10
    batch: int = 32
    rate: float | None = None
    optimizer: Optimizer = "adam"
    momentum: float | None = None
    seed: int = 0
    held_out: float = 0.1
    device: str = "cpu"
    threads: int = 1


@dataclass(frozen=True, slots=True)
class Score:
    """How good a network is on some rows: the share it gets right, where they have classes."""

    loss: float
    accuracy: float | None

    def to_json(self) -> dict[str, JsonValue]:
        facts: dict[str, JsonValue] = asdict(self)
        return {name: value for name, value in facts.items() if value is not None}

    def __str__(self) -> str:
        loss = f"loss {self.loss:.6g}"
        return loss if self.accuracy is None else f"{loss}, accuracy {self.accuracy:.2%}"


@dataclass(frozen=True, slots=True)
class Trained:
    """The new agent, and what the course has changed; measured on `scored_rows` of `scored_on`."""

    agent: AgentFile
    before: Score
    after: Score
    training_rows: int
    scored_rows: int
    scored_on: Literal["held_out", "training"]


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """Inputs, and targets either as classes or as rows of numbers."""

    inputs: Floats
    targets: NDArray[np.int64] | Floats

    @property
    def has_classes(self) -> bool:
        return self.targets.ndim == 1

    def part(self, places: NDArray[np.int64]) -> "_Rows":
        return _Rows(self.inputs[places], self.targets[places])

    def targets_as_rows(self, size: int) -> Floats:
        if self.has_classes:
            return np.eye(size, dtype=np.float32)[self.targets]
        return self.targets.astype(np.float32, copy=False)


def train_agent(
    agent: AgentFile,
    data: TrainingData | None,
    course: Course,
    tell: Callable[[int, float], None],
) -> Trained:
    """Train on `data`, or on the file's own; `tell` hears each epoch's mean loss.

    The new file is compiled if the old one was. AfNotReady without PyTorch; AfRefused if file and data do not
    fit; AfError if the course leads nowhere.
    """
    network, data = _network_and_data(agent, data)
    rows = _rows(network, data)
    random = np.random.default_rng(course.seed)
    order = random.permutation(len(rows.inputs))
    held = round(course.held_out * len(order))
    if held >= len(order):
        raise refused("training data", f"{len(order)} rows leave none to learn from.", "give more rows.")
    learned, scored = rows.part(order[held:]), rows.part(order[:held]) if held else rows
    with _threads(course.threads):
        before = _score(network, scored, course.device)
        better = _trained(network, learned, _completed(course, agent), random, tell)
        after = _score(better, scored, course.device)
    trained = Trained(
        agent=agent,
        before=before,
        after=after,
        training_rows=len(learned.inputs),
        scored_rows=len(scored.inputs),
        scored_on="held_out" if held else "training",
    )
    return _written(trained, better, course)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """PyTorch with so many threads: the order of a sum, and with it the last bits, depends on them."""
    library = torch()
    before = library.get_num_threads()
    library.set_num_threads(count)
    try:
        yield
    finally:
        library.set_num_threads(before)


def _network_and_data(agent: AgentFile, data: TrainingData | None) -> tuple[Network, TrainingData]:
    config, weights = agent.header.neural_config, agent.section(WEIGHTS)
    if agent.header.kind != "neural" or config is None or weights is None:
        message = f"an agent of kind {agent.header.kind} has no weights to train."
        raise refused("header: kind", message, "give a neural agent; a Python agent trains itself.")
    own = agent.section(TRAINING)
    if data is None and own is None:
        message = "the file has no training data of its own."
        raise refused(f"section {TRAINING}", message, "give rows with --data ROWS.npz.")
    problems = check(agent if data is None else agent.with_section(training_section(data)))
    if problems:
        raise AfRefused(problems)
    if data is None:
        assert own is not None
        data = training_from(own)
    return network_from(config, weights), data


def _rows(network: Network, data: TrainingData) -> _Rows:
    inputs = data.inputs.astype(np.float32)
    place = "training data"
    if not np.isfinite(inputs).all() or not np.isfinite(data.targets).all():
        raise refused(place, "a number is not finite.", "leave such rows out.")
    if not (data.targets.shape[1] == 1 < network.output_size):
        return _Rows(inputs, data.targets.astype(np.float32))
    classes = data.targets[:, 0].astype(np.int64)
    if (classes != data.targets[:, 0]).any() or not 0 <= classes.min(initial=0) <= classes.max(initial=0) < (
        network.output_size
    ):
        message = f"a label is no whole number from 0 to {network.output_size - 1}."
        raise refused(place, message, "correct the targets.")
    return _Rows(inputs, classes)


def _completed(course: Course, agent: AgentFile) -> Course:
    config = agent.header.neural_config
    assert config is not None
    rate = course.rate if course.rate is not None else config.learning_rate or RATE
    momentum = config.momentum if course.momentum is None else course.momentum
    return Course(**asdict(course) | {"rate": rate, "momentum": momentum})


def _trained(
    network: Network,
    rows: _Rows,
    course: Course,
    random: np.random.Generator,
    tell: Callable[[int, float], None],
) -> Network:
    library = torch()
    engine = TorchEngine(network, course.device)
    parameters = list(engine.parameters.values())
    for parameter in parameters:
        parameter.requires_grad_(requires_grad=True)
    match course.optimizer:
        case "adam":
            descent = library.optim.Adam(parameters, lr=course.rate)
        case "sgd":
            descent = library.optim.SGD(parameters, lr=course.rate, momentum=course.momentum)
        case _:
            assert_never(course.optimizer)
    for epoch in range(1, course.epochs + 1):
        total = 0.0
        for part in _batches(rows, course.batch, random):
            inputs = library.from_numpy(part.inputs).to(course.device)
            targets = library.from_numpy(part.targets_as_rows(network.output_size)).to(course.device)
            descent.zero_grad()
            loss = engine.loss(inputs, targets)
            loss.backward()
            descent.step()
            total += float(loss.detach()) * len(part.inputs)
        if not np.isfinite(total):
            message = f"after epoch {epoch} the loss is {total}."
            raise AfError((Problem("training", message, "learn at a lower rate: --lr."),))
        tell(epoch, total / len(rows.inputs))
    weights = {name: value.detach().cpu().numpy() for name, value in engine.parameters.items()}
    if not all(np.isfinite(each).all() for each in weights.values()):
        message = "a weight is no longer finite."
        raise AfError((Problem("training", message, "learn at a lower rate: --lr."),))
    return network.with_tensors(weights)


def _batches(rows: _Rows, size: int, random: np.random.Generator) -> Iterator[_Rows]:
    order = random.permutation(len(rows.inputs))
    for start in range(0, len(order), size):
        yield rows.part(order[start : start + size])


def _score(network: Network, rows: _Rows, device: str) -> Score:
    """The loss that training lessens, and the share of rows whose largest output is the target's."""
    library, engine = torch(), TorchEngine(network, device)
    total, right = 0.0, 0
    for start in range(0, len(rows.inputs), _SCORED_ROWS):
        part = rows.part(np.arange(start, min(start + _SCORED_ROWS, len(rows.inputs))))
        targets = part.targets_as_rows(network.output_size)
        with library.inference_mode():
            given = library.from_numpy(part.inputs).to(device)
            loss = engine.loss(given, library.from_numpy(targets).to(device))
        total += float(loss) * len(targets)
        right += int((engine.forward(part.inputs).argmax(axis=1) == targets.argmax(axis=1)).sum())
    count = len(rows.inputs)
    chooses = network.output_size > 1 and (rows.has_classes or _shares(network))
    return Score(total / count, right / count if chooses else None)


def _shares(network: Network) -> bool:
    return getattr(network.specs[-1], "activation", None) == "softmax"


def _written(trained: Trained, network: Network, course: Course) -> Trained:
    agent = trained.agent
    record: dict[str, JsonValue] = {
        "epochs": course.epochs,
        "batch": course.batch,
        "optimizer": course.optimizer,
        "seed": course.seed,
        "rows": trained.training_rows,
        "scored_rows": trained.scored_rows,
        "scored_on": trained.scored_on,
        "before": trained.before.to_json(),
        "after": trained.after.to_json(),
    }
    header = agent.header.model_copy(update={"extras": agent.header.extras | {RECORD_KEY: record}})
    better = agent.with_section(weights_section(network)).with_header(header)
    if header.manifest is not None:
        compiled = header.manifest.get("precision", "f32")
        better = compile_agent(better, "int8" if compiled == "int8" else "f32")
    return Trained(
        better,
        trained.before,
        trained.after,
        trained.training_rows,
        trained.scored_rows,
        trained.scored_on,
    )
