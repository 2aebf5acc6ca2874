"""Trains the digit agent and writes digits.af and examples.npz beside this file.

    python agents/digits/train.py          (needs scikit-learn: pip install 'neural-swarm[train]')

The framework is scikit-learn's MLPClassifier. Everything random is seeded; the same versions of scikit-learn
and numpy on the same processor write the same files.
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

import af
from af.network import Network, dense, feedforward
from af.trainingdata import TrainingData, training_section
from af.weights import weights_section

HERE = Path(__file__).resolve().parent
PIXEL_MAX = 16.0  # a power of two, so folding the scale into the weights loses no bit
HELD_OUT_IMAGES = 540  # about 30 % of 1,797
SEED = 0
ALPHA = 0.1  # L2 penalty, see README.md


def main() -> None:
    agent = af.parse((HERE / "digits.yaml").read_bytes())
    config = agent.header.neural_config
    assert config is not None
    pixels, labels = load_digits(return_X_y=True)
    train_pixels, held_pixels, train_labels, held_labels = train_test_split(
        pixels, labels, test_size=HELD_OUT_IMAGES, random_state=SEED, stratify=labels
    )
    model = MLPClassifier(
        hidden_layer_sizes=config.hidden_layers,
        activation=config.activation_function,
        alpha=ALPHA,
        learning_rate_init=config.learning_rate,
        max_iter=600,
        tol=1e-5,
        random_state=SEED,
    )
    model.fit(train_pixels / PIXEL_MAX, train_labels)
    assert model.out_activation_ == config.output_activation
    probabilities = model.predict_proba(held_pixels / PIXEL_MAX)

    training = TrainingData(train_pixels.astype(np.uint8), train_labels.astype(np.uint8)[:, np.newaxis])
    agent = agent.with_section(weights_section(network_of(model))).with_section(training_section(training))
    problems = af.check(agent)
    assert not problems, problems
    (HERE / "digits.af").write_bytes(af.write(agent))
    np.savez_compressed(
        HERE / "examples.npz",
        allow_pickle=False,
        images=held_pixels.astype(np.uint8),
        labels=held_labels.astype(np.uint8),
        framework_labels=probabilities.argmax(axis=1).astype(np.uint8),
        framework_probabilities=probabilities,
    )
    accuracy = (probabilities.argmax(axis=1) == held_labels).mean()
    print(f"{len(train_labels)} training images, {len(held_labels)} held out, accuracy {accuracy:.4f}")


def network_of(model: MLPClassifier) -> Network:
    """The trained network in float32, for raw pixel values: the first layer absorbs the scaling."""
    activations = [model.activation] * (len(model.coefs_) - 1) + [model.out_activation_]
    layers = []
    for number, (coefficients, bias) in enumerate(zip(model.coefs_, model.intercepts_, strict=True)):
        weights = coefficients.T / (PIXEL_MAX if number == 0 else 1.0)
        layers.append(dense(weights, bias, activations[number]))
    return feedforward(layers)


if __name__ == "__main__":
    main()
