"""How far a network with weights of eight bits is from the one in float32, on rows of its own kind."""

from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
from pydantic import JsonValue

from af.agentfile import AgentFile
from af.engines import NumpyEngine, WasmEngine
from af.errors import refused
from af.layers import Embedding, EmbeddingMean
from af.network import Floats, Network
from af.trainingdata import TRAINING, training_from
from af.weights import WEIGHTS, network_from

ROWS_MAX = 4_096  # of a file's training data, evenly spread
_RANDOM_ROWS = 256


@dataclass(frozen=True, slots=True)
class Accuracy:
    """The comparison. Errors are relative to the largest output in float32; shares are of all rows.

    `same_choice` says how often the largest output is the same one. The last two are there if the rows are
    labelled: how often that output is the label's, with each precision.
    """

    rows: int
    source: Literal["training_data", "random"]
    error_max: float
    error_mean: float
    same_choice: float
    right_f32: float | None = None
    right_int8: float | None = None

    def to_json(self) -> dict[str, JsonValue]:
        return asdict(self)

    def __str__(self) -> str:
        text = (
            f"int8 against f32 on {self.rows} rows ({self.source}): error {self.error_mean:.2%} on average,"
            f" {self.error_max:.2%} at most; the same choice in {self.same_choice:.2%}"
        )
        if self.right_f32 is None or self.right_int8 is None:
            return text
        return f"{text}; right in {self.right_int8:.2%}, f32 in {self.right_f32:.2%}"


def int8_accuracy(agent: AgentFile) -> Accuracy:
    """The accuracy of a neural agent's int8 module on its own training data; on random rows without any."""
    config, weights = agent.header.neural_config, agent.section(WEIGHTS)
    if agent.header.kind != "neural" or config is None or weights is None:
        message = f"an agent of kind {agent.header.kind} has no weights to make smaller."
        raise refused("--int8", message, "leave --int8 out.")
    network = network_from(config, weights)
    rows, labels, source = _rows(agent, network)
    exact = NumpyEngine(network).forward(rows)
    small = WasmEngine.for_network(network, "int8").forward(rows)
    errors = np.abs(small - exact).max(axis=1) / max(float(np.abs(exact).max()), np.finfo(np.float32).tiny)
    chosen, chosen_small = exact.argmax(axis=1), small.argmax(axis=1)
    return Accuracy(
        len(rows),
        source,
        float(errors.max()),
        float(errors.mean()),
        float((chosen == chosen_small).mean()),
        None if labels is None else float((chosen == labels).mean()),
        None if labels is None else float((chosen_small == labels).mean()),
    )


def _rows(
    agent: AgentFile, network: Network
) -> tuple[Floats, Floats | None, Literal["training_data", "random"]]:
    section = agent.section(TRAINING)
    training = None if section is None else training_from(section)
    if training is None or not len(training.inputs):
        return _random_rows(network), None, "random"
    step = -(-len(training.inputs) // ROWS_MAX)
    inputs, targets = training.inputs[::step].astype(np.float32), training.targets[::step]
    if network.output_size == 1:
        return inputs, None, "training_data"
    labels = targets[:, 0] if targets.shape[1] == 1 else targets.argmax(axis=1)
    return inputs, labels.astype(np.float32), "training_data"


def _random_rows(network: Network) -> Floats:
    random, shape = np.random.default_rng(0), (_RANDOM_ROWS, network.input_size)
    first = network.layers[0].spec
    if isinstance(first, Embedding | EmbeddingMean):
        return random.integers(0, first.vocabulary, shape).astype(np.float32)
    return random.standard_normal(shape, np.float32)
