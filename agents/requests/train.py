"""Trains the agent that scores (request, capability) pairs and writes requests.af beside this file.

    python agents/requests/train.py --data DIR      (needs scikit-learn: pip install 'neural-swarm[train]')

DIR holds the public sets that `tests/benchmarks/decompose.py` describes; README.md says where they come from.
First each set is asked with a network trained on the others alone, because what counts is a catalogue never
seen; then one network is trained on all. Everything random is seeded.
"""

import argparse
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
from sklearn.neural_network import MLPClassifier

import af
from af.network import Network, dense, feedforward
from af.weights import weights_section
from swarm.decompose.matching import Matcher
from swarm.decompose.metric import quality
from swarm.decompose.pairs import PAIR_FEATURES, pair_rows
from swarm.decompose.parse.language import parse_sentence
from swarm.decompose.strategies.heuristic import HeuristicEngine
from tests.benchmarks.decompose import SETS, material

HERE = Path(__file__).resolve().parent
CANDIDATES = 24  # best matches of a request that are learnt from
REQUESTS_PER_SET = 500
SMALLER_CATALOGUES = 30
SMALLER_SIZES = (4, 40)
REQUESTS_PER_SMALLER = 40
KINDLESS = 0.5
SPREAD_MIN = 0.25  # of a feature: one that never varied in training must not blow up elsewhere
EPOCHS = 8
SEED = 0


def pairs_of(capabilities, examples):
    """Rows and labels of some pairs of every request, the right ones among them where they are offered."""
    matcher = Matcher(capabilities)
    index = {each.name: at for at, each in enumerate(capabilities)}
    tables, labels = [], []
    for example in examples:
        sentence = parse_sentence(example.text)
        match = matcher.scores(sentence)
        wanted = [index[name] for name in example.nodes if name in index]
        columns = np.unique([*np.argsort(-match.max(0))[:CANDIDATES].tolist(), *wanted])
        tables.append(pair_rows(sentence, match, matcher)[columns])
        labels.append(np.isin(columns, wanted))
    return np.vstack(tables), np.concatenate(labels)


def varied(capabilities, examples):
    """The same requests over catalogues as clusters have them: smaller, and often without kinds of data."""
    dice = random.Random(SEED)
    parts = [pairs_of(capabilities, examples[:REQUESTS_PER_SET])]
    for _ in range(SMALLER_CATALOGUES):
        asked = dice.sample(examples, REQUESTS_PER_SMALLER)
        names = {name for each in asked[:6] for name in each.nodes}
        size = min(len(capabilities), max(len(names), dice.randint(*SMALLER_SIZES)))
        others = [each for each in capabilities if each.name not in names]
        kept = [each for each in capabilities if each.name in names]
        kept += dice.sample(others, size - len(kept))
        if dice.random() < KINDLESS:
            kept = [replace(each, inputs=(), outputs=()) for each in kept]
        parts.append(pairs_of(kept, asked))
    return np.vstack([rows for rows, _ in parts]), np.concatenate([labels for _, labels in parts])


def trained(sets, names):
    """One network over some sets, and what its inputs are scaled by."""
    rows = np.vstack([sets[name][2] for name in names])
    labels = np.concatenate([sets[name][3] for name in names])
    mean, spread = rows.mean(0), np.maximum(rows.std(0), SPREAD_MIN)
    model = MLPClassifier(
        hidden_layer_sizes=(8,),
        alpha=1.0,
        batch_size=256,
        learning_rate_init=2e-3,
        max_iter=EPOCHS,
        random_state=SEED,
        early_stopping=False,
    )
    return model.fit((rows - mean) / spread, labels), mean, spread


def network_of(model, mean, spread) -> Network:
    """The trained network for rows as they are: the first layer absorbs the scaling."""
    layers = []
    for number, (coefficients, bias) in enumerate(zip(model.coefs_, model.intercepts_, strict=True)):
        weights, offset = coefficients.T, bias
        if number == 0:
            weights = weights / spread
            offset = bias - weights @ mean
        last = number == len(model.coefs_) - 1
        layers.append(dense(weights, offset, "sigmoid" if last else "relu"))
    return feedforward(layers)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    given = parser.parse_args()
    folder = given.data / "decompose" if (given.data / "decompose").is_dir() else given.data
    sets = {}
    for name in SETS:
        capabilities, examples, _ = material(folder, name)
        sets[name] = (capabilities, examples, *varied(capabilities, examples))
    for name in SETS:
        model, mean, spread = trained(sets, [other for other in SETS if other != name])

        def scorer(rows, model=model, mean=mean, spread=spread):
            return model.predict_proba((rows - mean) / spread)[:, 1]

        for engine in (HeuristicEngine(sets[name][0]), HeuristicEngine(sets[name][0], scorer)):
            asked = sets[name][1][:200]
            found = quality([(engine.decompose(each.text), each) for each in asked])
            print(f"{name} unseen, {engine.name}: n-F1 {found.node_f1:.3f}, e-F1 {found.edge_f1:.3f}")
    network = network_of(*trained(sets, SETS))
    agent = af.parse((HERE / "requests.yaml").read_bytes())
    assert agent.header.neural_config.input_size == PAIR_FEATURES
    agent = agent.with_section(weights_section(network))
    problems = af.check(agent)
    assert not problems, problems
    (HERE / "requests.af").write_bytes(af.write(agent))


if __name__ == "__main__":
    main()
